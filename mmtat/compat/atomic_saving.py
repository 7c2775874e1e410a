"""Saving checkpoints, whole or not at all."""

import functools
from pathlib import Path
from typing import Any, Callable

from mmtat.files import remove_left_over, save_atomically

from .workaround import Workaround


def _safely(save_checkpoint: Callable) -> Callable:
    """Save as mmengine does, and a file of this machine by renaming."""

    @functools.wraps(save_checkpoint)
    def save(
        checkpoint: Any,
        filename: Any,
        file_client_args: Any = None,
        backend_args: Any = None,
    ) -> None:
        is_local = '://' not in str(filename)
        if is_local and not file_client_args and not backend_args:
            # Before it: they may be what fills the disk.
            remove_left_over(Path(filename).parent)
            save_atomically(checkpoint, filename)
        else:
            save_checkpoint(
                checkpoint, filename, file_client_args, backend_args
            )

    return save


def _needed() -> bool:
    from mmengine.runner import checkpoint

    return not hasattr(checkpoint.save_checkpoint, '__wrapped__')


def _apply() -> None:
    from mmengine import runner
    from mmengine.runner import checkpoint
    from mmengine.runner import runner as runner_module

    save = _safely(checkpoint.save_checkpoint)
    for module in (runner, checkpoint, runner_module):
        module.save_checkpoint = save


WORKAROUND = Workaround(
    'atomic-saving',
    'mmengine writes a checkpoint in its place, so that one which is '
    'interrupted, or meets a full disk, is damaged',
    'mmengine writes beside it and renames',
    _needed,
    _apply,
)
