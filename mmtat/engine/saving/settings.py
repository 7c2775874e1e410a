"""The settings of a run, and in which of them another one differs."""

from typing import Any, Dict, List, Optional

from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..plain import to_plain

#: Settings that change nothing of what is trained.
_FREE = (
    *('work_dir', 'resume', 'load_from', 'launcher', 'log_level'),
    *('visualizer', 'vis_backends', 'log_processor', 'experiment_name'),
    *('local_rank', 'gpu_ids', 'trust_checkpoint'),
)

#: Settings that change no step that both runs have: how long, how often.
_HARMLESS = (
    *('train_cfg.max_iters', 'train_cfg.max_epochs', 'train_cfg.val_'),
    *('train_cfg.dynamic_intervals', 'val_', 'test_'),
    *('default_hooks.logger.', 'default_hooks.checkpoint.'),
)


def settings_of(runner: Runner) -> Dict[str, Any]:
    """What may change how a run goes on.

    Args:
        runner (Runner): Of the run.

    Returns:
        dict: Its config, plain, and the number of its processes.
    """
    settings = to_plain(runner.cfg.to_dict(), 'config')
    hook = settings.get('default_hooks', {}).get('checkpoint') or {}
    hook.pop('allow_changes', None)
    for name in ('default_hooks', 'custom_hooks'):
        if settings.get(name):
            settings[name] = _without_free_hooks(settings[name])
    return dict(settings, number_of_processes=get_world_size())


def is_harmless(difference: str) -> bool:
    """Whether a run may differ in this and still go on exactly.

    Args:
        difference (str): Of :func:`differences`.

    Returns:
        bool: True for the run's length, validation, log and saving.
    """
    return difference.startswith(_HARMLESS)


def differences(
    old: Any, new: Any, name: str = '', free: Optional[tuple] = _FREE
) -> List[str]:
    """What differs between two plain configs.

    Args:
        old (Any): A config, or a part of one.
        new (Any): Another.
        name (str): Where it stands.
        free (tuple[str], optional): Keys that are left out at the top.

    Returns:
        list[str]: As ``train_dataloader.batch_size: 4 became 8``.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [
            k for k in dict.fromkeys([*old, *new]) if k not in (free or ())
        ]
        return [
            line
            for key in keys
            for line in differences(
                old.get(key),
                new.get(key),
                f'{name}.{key}' if name else str(key),
                None,
            )
        ]
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        if len(old) == len(new):
            return [
                line
                for index, pair in enumerate(zip(old, new))
                for line in differences(*pair, f'{name}[{index}]', None)
            ]
    if old == new:
        return []
    return [f'{name}: {_short(old)} became {_short(new)}']


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'


#: A run may go on with or without them.
_FREE_HOOKS = ('mmtat.PreemptionHook', 'mmtat.NonFiniteHook')


def _without_free_hooks(hooks: Any) -> Any:
    """The hooks that can change what is trained."""
    if isinstance(hooks, dict):
        return {
            name: hook for name, hook in hooks.items() if not _is_free(hook)
        }
    return [hook for hook in hooks if not _is_free(hook)]


def _is_free(hook: Any) -> bool:
    return isinstance(hook, dict) and hook.get('type') in _FREE_HOOKS
