"""Training loops that go on amid their data as if they had never stopped."""

import itertools
from typing import Any, Callable, Dict, Iterator, Optional, Tuple, Union

import torch
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner import loops as mmengine_loops
from torch.utils.data import DataLoader

from mmtat.models.utils import kept_random_state
from mmtat.registry import LOOPS

from ..hooks.safe_checkpoint_hook import SafeCheckpointHook
from ..saving.positions import (
    begin_at,
    must_replay,
    position,
    resumable_loader,
)


@LOOPS.register_module()
class ExactIterBasedTrainLoop(IterBasedTrainLoop):
    """An ``IterBasedTrainLoop`` whose resumed runs go on exactly.

    Together with :class:`SafeCheckpointHook` a resumed run draws the random
    numbers of one that was never stopped. Without workers the samples that
    it had seen are not read again. With workers they are, as augmentations
    draw from the workers' random numbers, unless samples are seeded.

    Args:
        runner (Runner): Of the run.
        dataloader (dict | DataLoader): Best a config: one that is built is
            used as it is, and read again.
        seeded_samples (bool): Whether each sample has random numbers of its
            own, see :class:`SeededSamples`. Defaults to False.
        **kwargs: Of ``IterBasedTrainLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Union[DataLoader, Dict],
        seeded_samples: bool = False,
        **kwargs: Any,
    ) -> None:
        self._source, self._seed = (dataloader, seeded_samples), runner.seed
        loader = resumable_loader(dataloader, seeded_samples, runner.seed)
        stock = mmengine_loops._InfiniteDataloaderIterator
        # The stock one starts its workers now, when it is not yet known
        # where they are to begin.
        mmengine_loops._InfiniteDataloaderIterator = _Batches
        try:
            super().__init__(runner, loader, **kwargs)
        finally:
            mmengine_loops._InfiniteDataloaderIterator = stock

    def run(self) -> Any:
        """Train, from where the Runner was resumed.

        Returns:
            nn.Module: The model.
        """
        if self._iter > 0:
            if _rebuild(self):
                self.dataloader_iterator = _Batches(self.dataloader)
            self.dataloader_iterator.skip(self._iter, self._arrive)
        return super().run()

    def _arrive(self) -> None:
        self._decide_current_val_interval()
        is_due = self._iter >= self.val_begin and (
            self._iter % self.val_interval == 0
            or self._iter == self._max_iters
        )
        _restore(self.runner, is_due)


class _Batches:
    """Batches without end; the loader is begun when the first is asked for.

    Args:
        loader (DataLoader): Of the training.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._iterator: Optional[Iterator] = None
        # The stock loop begins the loader here, which draws a number: runs of
        # one seed stay what they are with it.
        torch.empty((), dtype=torch.int64).random_()
        self._epoch = 0
        self._skip = self._left = 0
        self._arrived: Callable[[], None] = lambda: None

    def skip(self, batches: int, arrived: Callable[[], None]) -> None:
        """Give None for so many batches.

        Args:
            batches (int): That the run had seen.
            arrived (Callable[[], None]): Called before the next.
        """
        self._skip = self._left = batches
        self._arrived = arrived

    def __iter__(self) -> '_Batches':
        return self

    def __next__(self) -> Any:
        if not self._left:
            return self._fetch()
        replays = must_replay(self._loader)
        if replays:
            self._fetch()
        self._left -= 1
        if not self._left:
            if not replays:
                self._epoch, batches = position(self._loader, self._skip)
                begin_at(self._loader, self._epoch, batches)
                self._iterator = iter(self._loader)
            self._arrived()
        return None

    def _begin(self) -> Iterator:
        if self._skip:
            return iter(self._loader)
        # Its number is drawn already.
        with kept_random_state():
            return iter(self._loader)

    def _fetch(self) -> Any:
        if self._iterator is None:
            self._iterator = self._begin()
        try:
            return next(self._iterator)
        except StopIteration:
            self._epoch += 1
            if hasattr(self._loader.sampler, 'set_epoch'):
                self._loader.sampler.set_epoch(self._epoch)
            self._iterator = iter(self._loader)
            return next(self._iterator)


@LOOPS.register_module()
class ExactEpochBasedTrainLoop(EpochBasedTrainLoop):
    """An ``EpochBasedTrainLoop`` whose resumed runs go on exactly.

    Also amid an epoch, where the stock loop would begin it anew; else as
    :class:`ExactIterBasedTrainLoop`.

    Args:
        runner (Runner): Of the run.
        dataloader (dict | DataLoader): Best a config: one that is built is
            used as it is, and read again.
        seeded_samples (bool): Whether each sample has random numbers of its
            own, see :class:`SeededSamples`. Defaults to False.
        **kwargs: Of ``EpochBasedTrainLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Union[DataLoader, Dict],
        seeded_samples: bool = False,
        **kwargs: Any,
    ) -> None:
        self._source, self._seed = (dataloader, seeded_samples), runner.seed
        self._is_resumed = False
        loader = resumable_loader(dataloader, seeded_samples, runner.seed)
        super().__init__(runner, loader, **kwargs)

    def run(self) -> Any:
        """Train, from where the Runner was resumed.

        Returns:
            nn.Module: The model.
        """
        self._is_resumed = self._iter > 0
        if self._is_resumed:
            _rebuild(self)
        if self._is_resumed and self._epoch >= self._max_epochs:
            # Nothing is left, but perhaps the validation of the last epoch.
            self.runner.call_hook('before_train')
            self._arrive(0)
            self.runner.call_hook('after_train')
            return self.runner.model
        return super().run()

    def run_epoch(self) -> None:
        """Iterate one epoch, or the rest of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, batch in self._batches():
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches(self) -> Iterator[Tuple[int, Any]]:
        first = self._iter - self._epoch * len(self.dataloader)
        if not self._is_resumed:
            return enumerate(self.dataloader)
        replays = must_replay(self.dataloader)
        if replays:
            self._replay_epochs()
        else:
            begin_at(self.dataloader, self._epoch, first)
        if not first and not self.dataloader.persistent_workers:
            # To begin an epoch draws a number, which was not drawn when the
            # file was saved. Workers that live on draw it once for all.
            self._arrive(first)
            return enumerate(self.dataloader)
        batches = iter(self.dataloader)
        for _ in itertools.islice(batches, first if replays else 0):
            pass
        self._arrive(first)
        return enumerate(batches, first)

    def _arrive(self, first: int) -> None:
        self._is_resumed = False
        self._decide_current_val_interval()
        is_due = (
            not first
            and self._epoch >= self.val_begin
            and (
                self._epoch % self.val_interval == 0
                or self._epoch == self._max_epochs
            )
        )
        _restore(self.runner, is_due)

    def _replay_epochs(self) -> None:
        """Bring workers that live on to where they were."""
        if not self.dataloader.persistent_workers:
            return
        for epoch in range(self._epoch):
            if hasattr(self.dataloader.sampler, 'set_epoch'):
                self.dataloader.sampler.set_epoch(epoch)
            for _ in self.dataloader:
                pass
        if hasattr(self.dataloader.sampler, 'set_epoch'):
            self.dataloader.sampler.set_epoch(self._epoch)


def _rebuild(loop: Union[IterBasedTrainLoop, EpochBasedTrainLoop]) -> bool:
    """Build the loader anew where the run was begun with another seed."""
    runner = loop.runner
    source, seeded_samples = loop._source
    if runner.seed == loop._seed or not isinstance(source, dict):
        return False
    loop._seed = runner.seed
    loop.dataloader = runner.build_dataloader(
        resumable_loader(source, seeded_samples, runner.seed),
        seed=runner.seed,
        diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
    )
    return True


def _restore(runner: Runner, is_validation_due: bool) -> None:
    """Go on with the file's random numbers, and what it was saved before."""
    for hook in runner.hooks:
        if isinstance(hook, SafeCheckpointHook):
            must_validate = hook.must_validate and is_validation_due
            hook.restore(runner)
            if must_validate and runner.val_loop is not None:
                runner.val_loop.run()
                runner.model.train()
