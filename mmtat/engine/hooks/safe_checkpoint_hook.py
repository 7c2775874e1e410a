"""Saves what a run needs to go on exactly, and never loses the last one."""

from collections import deque
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner

from mmtat.files import write_atomically
from mmtat.models.utils import random_state, set_random_state
from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..saving.newest import newest_loadable
from ..saving.removal import RemovesLater, remove
from ..saving.restarts import resume_after_restart
from ..saving.run_state import (
    gather_ranks,
    pending_gradients,
    restore_rank,
    set_gradients,
)
from ..saving.settings import differences, is_harmless, settings_of
from ..saving.work_dir_lock import lock_work_dir, unlock_work_dir

STATE = 'run_state'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """A ``CheckpointHook`` from whose files a run goes on exactly.

    It adds to each checkpoint the random states of all processes, gradients
    that wait for the optimizer, and the settings. An old file is removed
    only when the new one and its pointer are in place. Where a resume looks
    for the newest checkpoint, it takes the newest that loads.

    Args:
        allow_changes (bool): Whether a run may go on with other settings,
            another batch or another number of processes than it was begun
            with. Its length, validation, log and saving may change in any
            case. Defaults to False.
        **kwargs: Of ``CheckpointHook``.

    Raises:
        ValueError: On resume, where settings differ; names each.
    """

    def __init__(self, allow_changes: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allow_changes = allow_changes
        self._ranks: Optional[List[Dict[str, Any]]] = None
        self._resumed: Optional[Dict[str, Any]] = None
        self._before_validation: Optional[Dict[str, Any]] = None
        self._is_validated = False

    def before_run(self, runner: Runner) -> None:
        """Choose the file to go on from, if none is named.

        A run that torchrun or Slurm has begun anew goes on by itself.

        Args:
            runner (Runner): Of the run.

        Raises:
            ValueError: Another process trains in the work dir.
        """
        folder = Path(runner.work_dir)
        if isinstance(runner._train_loop, BaseLoop):
            lock_work_dir(folder)
        if self.out_dir not in (None, runner.work_dir):
            folder = Path(self.out_dir, folder.name)
        resume_after_restart(runner, folder)
        if runner._resume and runner._load_from is None:
            newest = newest_loadable(folder)
            runner._load_from = None if newest is None else str(newest)
            runner._resume = newest is not None

    def after_run(self, runner: Runner) -> None:
        """Let others train in the work dir.

        Args:
            runner (Runner): Of the run.
        """
        unlock_work_dir(runner.work_dir)

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Keep what a resumed run goes on with, and compare its settings.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Of the file.

        Raises:
            ValueError: The settings differ.
        """
        if not runner._resume:
            return
        # mmengine would run the text of such a file as a program.
        checkpoint.get('meta', {}).pop('config', None)
        self._resumed = checkpoint.get(STATE)
        if self._resumed is None:
            runner.logger.warning(
                'resume: the checkpoint holds no random states (it was saved '
                "by another hook than mmtat's), so that the run does not go "
                'on exactly'
            )
            return
        changes = differences(self._resumed['settings'], settings_of(runner))
        refused = [line for line in changes if not is_harmless(line)]
        if refused and not self.allow_changes:
            listed = '\n  '.join(refused[:20])
            raise ValueError(
                'resume: the run was begun with other settings:\n  '
                f'{listed}\nSet them back, or allow it: --cfg-options '
                'default_hooks.checkpoint.allow_changes=True'
            )
        if changes:
            listed = '\n  '.join(changes[:20])
            runner.logger.warning(f'resume with other settings:\n  {listed}')

    @property
    def must_validate(self) -> bool:
        """Whether the file was saved before the validation of its step."""
        return self._resumed is not None and not self._resumed['validated']

    def restore(self, runner: Runner) -> None:
        """Go on with the random numbers of the file, if it was resumed.

        Args:
            runner (Runner): Its data are where they were.
        """
        if self._resumed is None:
            return
        model = bare_model(runner)
        set_gradients(model, self._resumed['gradients'])
        if len(self._resumed['ranks']) == get_world_size():
            restore_rank(model, self._resumed['ranks'])
        self._resumed = None

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Forget the last validation.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
        """
        self._is_validated = False

    def before_val(self, runner: Runner) -> None:
        """A validation must leave no trace: it is not repeated on resume.

        Args:
            runner (Runner): Of the run.
        """
        self._before_validation = random_state()

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Save the best, with the random numbers of the training.

        Args:
            runner (Runner): Of the run.
            metrics (dict[str, float], optional): Of the validation.
        """
        self.break_off_validation()
        self._is_validated = True
        super().after_val_epoch(runner, metrics)

    def break_off_validation(self) -> None:
        """Go back to the random numbers of the training."""
        if self._before_validation is not None:
            set_random_state(self._before_validation)
            self._before_validation = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Add the state of the run.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Changed in place.
        """
        if self._ranks is None or 'optimizer' not in checkpoint:
            return
        checkpoint[STATE] = dict(
            ranks=self._ranks,
            gradients=pending_gradients(bare_model(runner)),
            settings=settings_of(runner),
            validated=self._is_validated,
        )

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: Dict
    ) -> None:
        outdated = self._outdated(runner, step)
        self._ranks = gather_ranks(bare_model(runner))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._ranks = None
        if is_main_process():
            pointer = Path(runner.work_dir, 'last_checkpoint')
            write_atomically(pointer, self.last_ckpt)
            for path in outdated:
                remove(self.file_backend, path)

    def _outdated(self, runner: Runner, step: int) -> List[str]:
        """Files that go when this step is saved."""
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return []
        kept = [*self.keep_ckpt_ids, step]
        gone, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
        self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        return [
            self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(number)
            )
            for number in gone
        ]

    def _save_best_checkpoint(self, runner: Runner, metrics: Dict) -> None:
        # A validation alone, without a training, is the best of nothing.
        if not self.save_best or not hasattr(self, 'file_backend'):
            return
        backend = self.file_backend
        self.file_backend = later = RemovesLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        for path in later.removed:
            if path not in best:
                remove(backend, path)
