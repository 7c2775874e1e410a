"""In which iterations a training logs."""

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


def is_logged(runner: Runner, batch_idx: int) -> bool:
    """Whether a LoggerHook of the run logs an iteration.

    Args:
        runner (Runner): In its training, by iterations or by epochs.
        batch_idx (int): As the hooks of the iteration are given it.

    Returns:
        bool: False also where nothing logs at all.
    """
    return any(
        _logs(hook, runner, batch_idx)
        for hook in runner.hooks
        if isinstance(hook, LoggerHook)
    )


def _logs(hook: LoggerHook, runner: Runner, batch_idx: int) -> bool:
    if hook.every_n_inner_iters(batch_idx, hook.interval):
        return True
    loader = runner.train_dataloader
    is_last = hook.end_of_epoch(loader, batch_idx)
    return is_last and (not hook.ignore_last or len(loader) <= hook.interval)
