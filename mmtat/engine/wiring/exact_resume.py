"""Settings that let a written config's run go on exactly after a kill."""

from typing import Any, Dict, Optional

from .code import Commented

_LOOPS = {
    'IterBasedTrainLoop': 'mmtat.ExactIterBasedTrainLoop',
    'EpochBasedTrainLoop': 'mmtat.ExactEpochBasedTrainLoop',
}
_WHY = 'A run that was killed goes on exactly, with --resume.'


def exact_resume(
    train_cfg: Optional[Dict[str, Any]], inherits: bool
) -> Dict[str, Any]:
    """The training loop of mmtat, and its checkpoint hook.

    Args:
        train_cfg (dict, optional): Of the schedule.
        inherits (bool): Whether the bases have it too.

    Returns:
        dict: Settings by their names; empty where the loop is none of
        mmengine's.
    """
    train_cfg = dict(train_cfg or {})
    train_cfg.pop('_scope_', None)
    by_epoch = train_cfg.pop('by_epoch', None)
    kind = train_cfg.get('type')
    if by_epoch is not None:
        # A loop that is named by its type does not take this key.
        kind = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
        inherits = False
    if kind not in _LOOPS:
        return {}
    loop = dict(type=_LOOPS[kind])
    if not inherits:
        loop = dict(_delete_=True, **dict(train_cfg, **loop))
    hook = dict(checkpoint=dict(type='mmtat.SafeCheckpointHook'))
    return dict(train_cfg=Commented(loop, _WHY), default_hooks=hook)
