"""Saves a distilled student as a student."""

import os.path as osp
from typing import Any, Dict, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmtat.registry import HOOKS

from ..plain import to_plain
from ..student_config import student_config

#: Entry of the distiller in a checkpoint, by the entry it is taken from, and
#: what its names begin with there.
ENTRIES = {
    'state_dict': ('distiller', 'distiller.'),
    'ema_state_dict': ('ema_distiller', 'module.distiller.'),
}


@HOOKS.register_module()
class SaveStudentHook(Hook):
    """Make every checkpoint a plain checkpoint of the student.

    The distiller's state moves to an entry of its own, and everything in
    the file becomes plain, so that ``torch.load`` takes it anywhere. Also
    writes the student's own config to ``<work_dir>/student.py``.

    FrozenTeacherDistill adds it to the Runner by itself. It must run after
    EMAHook has swapped the averaged weights in.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._has_written = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict] = None,
    ) -> None:
        """Write the student's config, once a first step was possible.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
            outputs (dict, optional): Unused.
        """
        is_first = not self._has_written and runner.rank == 0
        if is_first and 'model' in runner.cfg:
            config = student_config(runner.cfg)
            config.dump(osp.join(runner.work_dir, 'student.py'))
        self._has_written = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Split the checkpoint and make it plain.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Changed in place.
        """
        for source, (entry, begin) in ENTRIES.items():
            if source not in checkpoint:
                continue
            state_dict = checkpoint[source]
            names = [name for name in state_dict if name.startswith(begin)]
            checkpoint[entry] = {
                name[len(begin) :]: state_dict.pop(name) for name in names
            }
            metadata = getattr(state_dict, '_metadata', {})
            for name in [n for n in metadata if (n + '.').startswith(begin)]:
                del metadata[name]
        for name in list(checkpoint):
            checkpoint[name] = to_plain(checkpoint[name], name)
