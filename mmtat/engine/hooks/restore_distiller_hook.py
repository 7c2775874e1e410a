"""Reads what SaveStudentHook wrote."""

from typing import Dict

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..checkpoint_check import check_fit
from ..plain import restore_histories
from .save_student_hook import ENTRIES


@HOOKS.register_module()
class RestoreDistillerHook(Hook):
    """Put a checkpoint's distiller back, and refuse what does not fit.

    mmengine loads non-strictly even on resume, so this checks: a resumed
    file must hold student and distiller, whole; a file to start from must
    hold some of the student.

    FrozenTeacherDistill adds it to the Runner by itself. It must run before
    EMAHook reads the checkpoint.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._has_distiller = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Check the file and make it what mmengine expects.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Changed in place.

        Raises:
            ValueError: The file cannot be resumed, or holds another model.
        """
        self._has_distiller = 'distiller' in checkpoint
        if runner._resume:
            self._require_distiller()
        model = bare_model(runner)
        check_fit(
            model.architecture,
            checkpoint.get('state_dict', checkpoint),
            strict=runner._resume,
        )
        if self._has_distiller and runner._resume:
            check_fit(model.distiller, checkpoint['distiller'], strict=True)
        for target, (entry, begin) in ENTRIES.items():
            for name, tensor in checkpoint.pop(entry, {}).items():
                checkpoint[target][begin + name] = tensor
        if 'message_hub' in checkpoint:
            restore_histories(checkpoint['message_hub'])

    def before_train(self, runner: Runner) -> None:
        """Refuse to go on from a file without the distiller.

        Args:
            runner (Runner): Of the run.

        Raises:
            ValueError: ``runner.resume`` was called on such a file.
        """
        if runner.iter > 0:
            self._require_distiller()

    def _require_distiller(self) -> None:
        if not self._has_distiller:
            raise ValueError(
                "resume: the checkpoint has no entry 'distiller', so it is "
                'not of a distillation run and cannot be resumed as one; '
                'start from its weights instead: load_from=..., without '
                'resume'
            )
