"""A checkpoint beside those that the run saves by its own rule."""

import contextlib
import os.path as osp
from typing import Iterator, Optional

from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner


def checkpoint_hook(runner: Runner) -> Optional[CheckpointHook]:
    """The hook that saves a run.

    Args:
        runner (Runner): Of the run.

    Returns:
        CheckpointHook | None: The first, if there is one.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            return hook
    return None


def is_saved(runner: Runner, epoch: int, iteration: int) -> bool:
    """Whether the last checkpoint of a run is of this step.

    Args:
        runner (Runner): Of the run.
        epoch (int): Epochs that are done.
        iteration (int): Iterations that are done.

    Returns:
        bool: False also where this process has saved nothing yet.
    """
    hook, loop = checkpoint_hook(runner), runner.train_loop
    step = iteration
    if hook.by_epoch:
        is_whole = isinstance(loop, EpochBasedTrainLoop) and (
            iteration == epoch * len(loop.dataloader)
        )
        step = epoch if is_whole else None
    name = osp.basename(hook.last_ckpt or '')
    return name == hook.filename_tmpl.format(step)


def save_extra(runner: Runner, epoch: int, iteration: int) -> None:
    """Save as the hook does; all processes must call it.

    Nothing is removed, and the file is not counted: the hook's own stay as
    many as they are to be.

    Args:
        runner (Runner): Of a run that has a CheckpointHook.
        epoch (int): Epochs that are done.
        iteration (int): Iterations that are done.
    """
    hook = checkpoint_hook(runner)
    meta = dict(epoch=epoch, iter=iteration)
    with _by_iteration(hook):
        hook._save_checkpoint_with_step(runner, iteration, meta=meta)


@contextlib.contextmanager
def _by_iteration(hook: CheckpointHook) -> Iterator[None]:
    kept = hook.by_epoch, hook.filename_tmpl, hook.max_keep_ckpts
    if hook.by_epoch:
        hook.by_epoch, hook.filename_tmpl = False, 'iter_{}.pth'
    hook.max_keep_ckpts = -1
    try:
        yield
    finally:
        hook.by_epoch, hook.filename_tmpl, hook.max_keep_ckpts = kept
