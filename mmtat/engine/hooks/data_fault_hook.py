"""Samples that fail: checked in every worker, counted over all processes."""

from typing import Any, List, Optional, Set

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import distributed
from torch.utils.data import DataLoader

from mmtat.registry import HOOKS

from ..data_check.checked_pipeline import CheckedPipeline
from ..data_check.checks import FaultyDataError
from ..data_check.fault_record import FaultRecord
from ..data_check.in_run import MOST, check_samples, checked_share, leaves_of
from ..saving.data_workers import has_running_workers


@HOOKS.register_module()
class DataFaultHook(Hook):
    """Lets a run name and count the samples that fail, within limits.

    What is checked, and what mmengine does otherwise, is said in
    :func:`check_samples`. Of the data of a validation or a test the first
    faulty sample ends the run. Processes speak to each other when one of them
    found a faulty sample only, so that a run whose data are whole waits for
    nothing.

    mmengine's ``IterBasedTrainLoop`` starts its workers before any hook is
    asked: with it, wrap the dataset in :class:`CheckedDataset` instead.

    Args:
        most (float): Share of the training's samples, over all processes,
            that may fail before the run ends, in [0, 1]. Defaults to 0.001;
            of less than 1000 samples none.

    Raises:
        ValueError: ``most`` is out of its range.
    """

    priority = 'LOW'

    def __init__(self, most: float = MOST) -> None:
        self.most = checked_share(most)
        self._record: Optional[FaultRecord] = None
        self._told: Set[int] = set()
        self._changes = 0

    def before_run(self, runner: Runner) -> None:
        """Check the training's samples, before its first worker starts.

        Args:
            runner (Runner): Of the run.
        """
        # For a test alone the training's data must not be built.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        if _has_unchecked_workers(runner.train_loop):
            runner.logger.warning(
                'mmtat.DataFaultHook cannot check the training data, as the '
                'workers run already: take mmtat.ExactIterBasedTrainLoop, or '
                'wrap the dataset in mmtat.CheckedDataset'
            )
            return
        dataset = runner.train_dataloader.dataset
        check_samples(dataset, self.most, runner.seed, 'training data')

    def before_train(self, runner: Runner) -> None:
        """Find the record of the training's samples.

        Args:
            runner (Runner): Of the run.
        """
        # A resumed run may have built its loader anew.
        self.before_run(runner)
        records = [
            leaf.pipeline.record
            for leaf in leaves_of(runner.train_dataloader.dataset)
            if isinstance(getattr(leaf, 'pipeline', None), CheckedPipeline)
        ]
        # Several are of one loader only where its parts are checked apart.
        self._record = records[0] if len({*map(id, records)}) == 1 else None

    def before_val(self, runner: Runner) -> None:
        """Check the validation's samples, all of which are needed.

        Args:
            runner (Runner): Of the run.
        """
        _check_all(runner.val_dataloader, 'validation data')

    def before_test(self, runner: Runner) -> None:
        """Check the test's samples, all of which are needed.

        Args:
            runner (Runner): Of the run.
        """
        _check_all(runner.test_dataloader, 'test data')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Add what this process found since.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
            outputs (Any): Unused.

        Raises:
            FaultyDataError: All processes together found too many.
        """
        record = self._record
        if record is None or record.changes == self._changes:
            return
        self._changes = record.changes
        failed = self._tell(record.failed_indices())
        if failed > record.limit:
            raise FaultyDataError(record.end(failed))

    def after_train(self, runner: Runner) -> None:
        """Say how many failed, if any did.

        Args:
            runner (Runner): Of the run.
        """
        if self._told:
            runner.logger.warning(
                f'{len(self._told)} of {self._record.samples} samples failed '
                'in this process; others were taken in their place'
            )

    def _tell(self, indices: List[int]) -> int:
        """The number of samples that failed in any process."""
        new = [index for index in indices if index not in self._told]
        self._told.update(new)
        store = _store()
        if store is None:
            return len(self._told)
        for index in new:
            # The first to find a sample counts it.
            if store.add(f'mmtat_fault_{index}', 1) == 1:
                store.add('mmtat_faults', 1)
        return store.add('mmtat_faults', 0)


def _store() -> Any:
    """What the processes of a run share; None of a process alone."""
    if get_world_size() == 1:
        return None
    return distributed.distributed_c10d._get_default_store()


def _check_all(loader: DataLoader, name: str) -> None:
    check_samples(loader.dataset, most=0.0, name=name)


def _has_unchecked_workers(loop: Any) -> bool:
    checked = [
        isinstance(getattr(leaf, 'pipeline', None), CheckedPipeline)
        for leaf in leaves_of(loop.dataloader.dataset)
    ]
    return has_running_workers(loop) and not all(checked)
