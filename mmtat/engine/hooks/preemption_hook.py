"""Saves a run that is asked to leave, and leaves so that it goes on."""

import os.path as osp
from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import (
    BaseLoop,
    EpochBasedTrainLoop,
    Runner,
    find_latest_checkpoint,
)

from mmtat.registry import HOOKS

from ..saving.agreement import Agreement, smallest_of_all
from ..saving.asked_to_leave import AskedToLeave, Preempted, was_asked_before
from ..saving.broken_off import break_off, can_break_off
from ..saving.data_workers import has_running_workers, shield_workers
from ..saving.extra_checkpoint import checkpoint_hook, is_saved, save_extra


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Let SIGTERM or SIGUSR1 save the run and leave with status 75.

    The step under way is finished and saved through the run's checkpoint
    hook. Where one of several processes gets the signal, all leave at the
    same step: they ask each other about once a second, and on GPUs hear the
    answer a second later. A validation is broken off, and done again when
    the run goes on. A second signal, five seconds later or more, leaves at
    once. Ctrl-C ends a run as ever.

    The file counts to no ``max_keep_ckpts``, and goes when the resumed run
    has saved the next.

    Args:
        seconds (float): Between two questions of several processes; 0 asks
            at every step. Defaults to 1.0.

    Raises:
        ValueError: ``seconds`` is negative.
    """

    # What the other hooks do in a step is saved with it.
    priority = 'LOWEST'

    def __init__(self, seconds: float = 1.0) -> None:
        if not seconds >= 0:
            raise ValueError(f'seconds must not be negative, got {seconds}')
        self._agreement = Agreement(seconds)
        self._asked: Optional[AskedToLeave] = None
        self._leaves_after_epoch = False
        self._common_val_iters = 0
        self._is_saving = False
        self._resumed_extra: Optional[str] = None

    def before_run(self, runner: Runner) -> None:
        """Take the signals over.

        Args:
            runner (Runner): Of the run.
        """
        if not isinstance(runner._train_loop, BaseLoop):
            # A validation or a test has nothing to save.
            return
        if was_asked_before():
            raise Preempted
        self._agreement.begin()
        self._leaves_after_epoch = False
        self._asked = AskedToLeave(runner)
        self._asked.listen()
        if has_running_workers(runner._train_loop):
            runner.logger.warning(
                'mmtat.PreemptionHook cannot shield the data workers, which '
                'run already: a signal to every process of the job ends them '
                'before the run is saved. Take mmtat.ExactIterBasedTrainLoop'
            )
        self.before_train(runner)

    def before_train(self, runner: Runner) -> None:
        """Shield the data workers.

        Args:
            runner (Runner): Its loaders may have been built anew.
        """
        for loop in (runner._train_loop, runner._val_loop):
            shield_workers(loop, self._asked.has_ended)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """From here on there is something to save.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
        """
        if self._asked is not None:
            self._asked.has_trained = True

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict] = None,
    ) -> None:
        """Leave, if all processes agree to.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Of the step in its epoch.
            data_batch (Any): Unused.
            outputs (dict, optional): Unused.
        """
        self._remove_outdated(runner)
        if self._leaves_after_epoch or not self._is_agreed(runner.iter + 1):
            return
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            # A resumed run would take the epoch for a whole one.
            self._leaves_after_epoch = batch_idx + 1 == len(loop.dataloader)
        if not self._leaves_after_epoch:
            self._leave(runner, runner.epoch, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Leave, if all agreed to in the last step.

        Args:
            runner (Runner): Of the run.
        """
        self._remove_outdated(runner)
        if self._leaves_after_epoch:
            self._leave(runner, runner.epoch + 1, runner.iter)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find how many steps of the validation all processes have.

        Args:
            runner (Runner): Of the run.
        """
        self._common_val_iters = 0
        if self._asked is None or not can_break_off(runner):
            return
        self._common_val_iters = smallest_of_all(
            len(runner.val_loop.dataloader)
        )
        self._agreement.begin()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Any] = None,
    ) -> None:
        """Leave amid a validation, if all agree to.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Of the validation.
            data_batch (Any): Unused.
            outputs (Any, optional): Unused.
        """
        if batch_idx < self._common_val_iters and self._is_agreed(batch_idx):
            break_off(runner)
            self._leave(runner, runner.epoch, runner.iter)

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Count steps of the training again.

        Args:
            runner (Runner): Of the run.
            metrics (dict[str, float], optional): Unused.
        """
        self._agreement.begin()

    def after_run(self, runner: Runner) -> None:
        """Give the signals back.

        Args:
            runner (Runner): Of the run.
        """
        if self._asked is not None:
            self._asked.restore()
            self._asked = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Mark a file that is to go when the next is there.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Changed in place.
        """
        if self._is_saving:
            checkpoint['preempted'] = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Remember a file that is to go when the next is there.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Of the file.
        """
        if runner._resume and checkpoint.pop('preempted', False):
            # mmengine's hook lets the Runner find it.
            self._resumed_extra = runner._load_from or find_latest_checkpoint(
                runner.work_dir
            )

    def _is_agreed(self, step: int) -> bool:
        if self._asked is None:
            return False
        is_asked = self._asked.name is not None
        return self._agreement.reached(step, is_asked)

    def _leave(self, runner: Runner, epoch: int, iteration: int) -> None:
        hook = checkpoint_hook(runner)
        name = self._asked.name or 'A signal to another process'
        where = 'nothing is saved, for the run has no CheckpointHook'
        if hook is not None:
            if not is_saved(runner, epoch, iteration):
                self._is_saving = True
                save_extra(runner, epoch, iteration)
                self._is_saving = False
            where = f'it is saved to {hook.last_ckpt}'
        # Else the first to end would have the others killed amid the save.
        barrier()
        runner.logger.warning(
            f'{name}: the run leaves after iteration {iteration}; {where}. '
            'It goes on with --resume'
        )
        runner.visualizer.close()
        self.after_run(runner)
        raise Preempted

    def _remove_outdated(self, runner: Runner) -> None:
        if self._resumed_extra is None:
            return
        last = getattr(checkpoint_hook(runner), 'last_ckpt', None)
        if last is None:
            return
        extra, self._resumed_extra = self._resumed_extra, None
        is_other = osp.basename(last) != osp.basename(extra)
        if is_other and is_main_process() and '://' not in extra:
            Path(extra).unlink(missing_ok=True)
