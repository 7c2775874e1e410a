"""A Runner that refuses a bad start before it writes over anything."""

from pathlib import Path
from typing import Any, Dict

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmtat.models.utils import read_checkpoint, state_dict_of

from .checkpoint_check import check_fit
from .saving.newest import check_undamaged, newest_loadable
from .saving.work_dir_lock import lock_work_dir, unlock_work_dir


def bare_model(runner: Runner) -> nn.Module:
    """The Runner's model without its wrapper.

    Args:
        runner (Runner): Built.

    Returns:
        nn.Module: What the config's ``model`` is.
    """
    model = runner.model
    return model.module if is_model_wrapper(model) else model


class CheckedRunner(Runner):
    """The stock Runner, with its first checks before its first file.

    The config that it writes into the work dir may overwrite that of a good
    run, so the teacher and the checkpoint to go on from are read before.
    """

    def dump_config(self) -> None:
        """Check, then write the config into the work dir.

        Raises:
            ValueError: The teacher's file or the checkpoint is not what it
                must be, or another process trains in the work dir.
        """
        lock_work_dir(self.work_dir)
        try:
            self._check()
        except Exception:
            unlock_work_dir(self.work_dir)
            raise
        super().dump_config()

    def _check(self) -> None:
        model = bare_model(self)
        source = self._load_from
        if self._resume and source is None:
            newest = newest_loadable(Path(self.work_dir))
            source = self._load_from = newest and str(newest)
        elif self._resume and Path(source).is_file():
            check_undamaged(Path(source))
        if source is not None:
            name = '--resume' if self._resume else 'load_from'
            checkpoint = read_checkpoint(source, name)
            state_dict = state_dict_of(checkpoint, source, name)
            student = getattr(model, 'architecture', model)
            check_fit(student, state_dict, strict=self._resume)
            if self._resume:
                _check_resumable(checkpoint, source, model)
        if hasattr(model, 'load_teacher'):
            model.load_teacher()


def _check_resumable(
    checkpoint: Dict[str, Any], source: str, model: nn.Module
) -> None:
    needed = ['meta', 'message_hub', 'optimizer']
    if hasattr(model, 'required_hooks'):
        needed.append('distiller')
    lacking = [entry for entry in needed if entry not in checkpoint]
    if lacking:
        raise ValueError(
            f'--resume: {source!r} has no entry {", ".join(lacking)}, so it '
            'is not of such a run; start from its weights instead: '
            'load_from=..., without --resume'
        )
