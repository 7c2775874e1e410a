"""What a run measured, as far as its logs say."""

import json
import os.path as osp
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..plain import restore_histories
from .source import Source

#: What TeacherMetricHook logs is not of the student.
_TEACHER = 'teacher/'
_NO_METRICS = ('step', 'time', 'data_time', 'memory', 'iter', 'epoch')


@dataclass
class Measured:
    """Validation results of a run.

    Attributes:
        own (dict[str, float]): Of this checkpoint's weights.
        best (str | None): The best of the run, in words.
        last (dict[str, float]): The last of the run.
        last_step (int | None): When that was.
    """

    own: Dict[str, float] = field(default_factory=dict)
    best: Optional[str] = None
    last: Dict[str, float] = field(default_factory=dict)
    last_step: Optional[int] = None


def measured(source: Source) -> Measured:
    """Find out what is known of a checkpoint's quality.

    Looked at are the scalars in the ``vis_data`` folders beside it, and what
    the checkpoint itself remembers.

    Args:
        source (Source): The checkpoint.

    Returns:
        Measured: Empty where nothing was measured.
    """
    found = Measured()
    lines = _validations(source.path)
    if lines:
        found.last = _metrics(lines[-1])
        found.last_step = lines[-1].get('step')
        found.best = _best(source, lines)
    if source.averaged is False:
        # Validations of such a run are of the averaged weights.
        return found
    step = _step(source)
    own = [line for line in lines if line.get('step') == step is not None]
    if own:
        found.own = _metrics(own[-1])
    elif osp.basename(source.path).startswith('best_'):
        # It was written right after the validation that made it the best.
        found.own = _remembered(source.message_hub)
    return found


def _validations(path: str) -> List[Dict[str, Any]]:
    """Lines of the scalars that are a validation's, in their order."""
    if '://' in path:
        return []
    lines = []
    for file in sorted(Path(path).parent.glob('*/vis_data/scalars.json')):
        for text in file.read_text(encoding='utf-8').splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                # The last line of a run that was killed.
                continue
            if isinstance(line, dict) and 'loss' not in line:
                if _metrics(line) and 'lr' not in line:
                    lines.append(line)
    return lines


def _metrics(line: Dict[str, Any]) -> Dict[str, float]:
    return {
        name: float(value)
        for name, value in line.items()
        if name not in _NO_METRICS
        and not name.startswith(_TEACHER)
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
    }


def _step(source: Source) -> Optional[int]:
    """By which step the log of the run names this checkpoint's validation."""
    config = source.run or source.config
    logger = (config.get('default_hooks') or {}).get('logger') or {}
    loop = config.get('train_cfg') or {}
    is_by_iter = 'Iter' in str(loop.get('type')) or not loop.get(
        'by_epoch', True
    )
    if logger.get('log_metric_by_epoch', True):
        # In an iteration loop every validation then is of epoch 0.
        return None if is_by_iter else source.meta.get('epoch')
    return source.meta.get('iter')


def _best(source: Source, lines: List[Dict[str, Any]]) -> Optional[str]:
    config = source.run or source.config
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    wanted = hook.get('save_best')
    wanted = wanted[0] if isinstance(wanted, (list, tuple)) else wanted
    known = [name for line in lines for name in _metrics(line)]
    if wanted not in known:
        wanted = known[0]
    choose = min if hook.get('rule') == 'less' or 'loss' in wanted else max
    best = choose(
        (line for line in lines if wanted in line),
        key=lambda line: line[wanted],
    )
    return f'{wanted} {best[wanted]:g} at step {best.get("step")}'


def _remembered(message_hub: Dict[str, Any]) -> Dict[str, float]:
    hub = dict(message_hub)
    hub['log_scalars'] = dict(hub.get('log_scalars') or {})
    restore_histories(hub)
    return {
        name.partition('/')[2]: float(history.data[0][-1])
        for name, history in hub['log_scalars'].items()
        if name.startswith('val/')
        and name.partition('/')[2] not in _NO_METRICS
        and len(history.data[0])
    }
