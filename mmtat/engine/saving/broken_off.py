"""Validations that are left before their end."""

from mmengine.hooks import EMAHook
from mmengine.runner import Runner


def can_break_off(runner: Runner) -> bool:
    """Whether a validation of a run can be undone.

    Args:
        runner (Runner): Of a training, or of a validation alone.

    Returns:
        bool: False for a hook of mmpretrain that nests a second one.
    """
    return not any(
        getattr(hook, 'evaluate_on_origin', False) for hook in runner.hooks
    )


def break_off(runner: Runner) -> None:
    """Bring weights and random numbers back to those of the training.

    Args:
        runner (Runner): Amid a validation.
    """
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            # It swaps the averaged weights out again, and no more.
            hook.after_val_epoch(runner, {})
        elif hasattr(hook, 'break_off_validation'):
            hook.break_off_validation()
