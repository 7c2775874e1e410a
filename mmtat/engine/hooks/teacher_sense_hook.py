"""Warns at the start of a training where a teacher cannot teach."""

import logging
from typing import Any, Dict, Optional, Tuple

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..class_check import classes_of_checkpoint
from ..teacher_sense import (
    RecordLook,
    class_warnings,
    normalisation_warning,
)


@HOOKS.register_module()
class TeacherSenseHook(Hook):
    """Warn, once and with numbers, of a distillation that cannot be meant.

    Before the first iteration: teacher, student or data know other classes;
    the teacher gets images that are not normalised as it was trained on.
    After the first iteration that distils: a recorded feature, of teacher or
    student, that is 0 or constant, in half of its channels or more, or not
    finite. That reads a number from the device once; no later step waits.

    The first process looks. Nothing is said where all is well, of a resumed
    run, or of a model that distils nothing.
    """

    # After the hooks that put weights in their place.
    priority = 'LOW'

    def __init__(self) -> None:
        self._classes: Optional[Tuple[str, ...]] = None
        self._look: Optional[RecordLook] = None
        self._is_done = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Keep the classes of what the student begins from.

        Args:
            runner (Runner): Unused.
            checkpoint (dict): What was read.
        """
        self._classes = classes_of_checkpoint(checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Compare classes and normalisations.

        Args:
            runner (Runner): Of the run.
        """
        model = bare_model(runner)
        is_first = runner.rank == 0 and runner.iter == 0
        self._is_done = not (is_first and hasattr(model, 'load_teacher'))
        if self._is_done:
            return
        lines = class_warnings(runner, model, self._classes)
        line = normalisation_warning(model, runner.cfg)
        for warning in [*lines, *([line] if line else [])]:
            print_log(warning, 'current', logging.WARNING)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Look at what the step records, unless one was looked at.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
        """
        if not self._is_done:
            self._look = RecordLook(bare_model(runner).distiller)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Warn of what was seen.

        Args:
            runner (Runner): Unused.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
            outputs (dict, optional): Unused.
        """
        look, self._look = self._look, None
        if look is None:
            return
        look.close()
        self._is_done = look.has_seen
        for line in look.warnings():
            print_log(line, 'current', logging.WARNING)
