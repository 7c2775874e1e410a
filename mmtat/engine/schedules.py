"""Which loss of a config follows which schedule, and its curve."""

import fnmatch
import math
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from mmengine.config import Config

from mmtat.models.distillers.loss_modules import has_weight, loss_modules

from .inspected import built, is_distillation
from .weight_ranges import Range, check_schedule, close_match, weight_at

#: Points of a curve, beside the ends of its ranges.
_POINTS = 200


def schedules_by_loss(
    schedules: Dict[str, Sequence[Range]], losses: Dict[str, Any]
) -> Dict[str, Sequence[Range]]:
    """Which loss follows which schedule.

    Args:
        schedules (dict[str, list[dict]]): By names of losses, or patterns
            of them (``*``, ``?``, ``[...]``).
        losses (dict[str, nn.Module]): Of :func:`loss_modules`.

    Returns:
        dict[str, list[dict]]: By names of losses.

    Raises:
        ValueError: A name or pattern that no loss has, two for one loss, or
            a loss whose weight cannot be scheduled.
    """
    found: Dict[str, Sequence[Range]] = {}
    patterns: Dict[str, str] = {}
    for pattern, schedule in schedules.items():
        own = pattern.removeprefix('distill.')
        names = fnmatch.filter(losses, own)
        if not names:
            raise ValueError(
                f'schedules: no distillation loss is named {pattern!r}'
                f'{close_match(own, losses)}. There are '
                f'{", ".join(losses) or "none"}'
            )
        for name in names:
            if name in found:
                raise ValueError(
                    f'schedules: {patterns[name]!r} and {pattern!r} are both '
                    f'for the loss {name!r}; leave one'
                )
            module = losses[name]
            if not has_weight(module) or not module.loss_weight > 0:
                raise ValueError(
                    f'schedules: the loss {name!r} ({type(module).__name__}) '
                    'must have a loss_weight above 0, of which a schedule '
                    'takes a share; it has '
                    f'{getattr(module, "loss_weight", None)!r}'
                )
            found[name], patterns[name] = schedule, pattern
    return found


def weight_hooks(
    config: Config,
) -> Iterator[Tuple[int, Dict[str, Sequence[Range]]]]:
    """The schedules of each ``DistillWeightHook`` of a config.

    Args:
        config (Config): Of a training.

    Yields:
        tuple[int, dict[str, list[dict]]]: Index in ``custom_hooks``, and
        ranges by names of losses or patterns of them.
    """
    for index, hook in enumerate(config.get('custom_hooks') or ()):
        if not isinstance(hook, dict):
            continue
        name = getattr(hook.get('type'), '__name__', str(hook.get('type')))
        if name.split('.')[-1] == 'DistillWeightHook':
            yield index, dict(hook.get('schedules') or {})


def schedule_curves(
    config: Config,
) -> Dict[str, Tuple[List[int], List[float]]]:
    """The weights of a config's distillation losses, to be plotted.

    The model is built to be looked at; no data and no weights are read.

    Args:
        config (Config): Of :func:`mmtat.engine.inspected.read_config`.

    Returns:
        dict[str, tuple[list[int], list[float]]]: By the name of each loss
        that has a weight, iterations from 0 on and the weight in each.

    Raises:
        ValueError: The config distils nothing, or a schedule cannot be.
    """
    if not is_distillation(config):
        raise ValueError(
            'config: it has no teacher and distiller, so there is no weight '
            'of a distillation to plot'
        )
    schedules = _schedules_of(config)
    for name, schedule in schedules.items():
        check_schedule(schedule, f'schedules.{name}')
    losses = loss_modules(built(config).distiller)
    chosen = schedules_by_loss(schedules, losses)
    last = _last_iteration(config, chosen)
    curves = {}
    for name, module in losses.items():
        if has_weight(module):
            own = chosen.get(name, ())
            steps = _steps(own, last)
            weight = float(module.loss_weight)
            curves[name] = (steps, [weight_at(own, i, weight) for i in steps])
    return curves


def _schedules_of(config: Config) -> Dict[str, Sequence[Range]]:
    """Of all hooks together, as each sets the weights of its own losses."""
    found: Dict[str, Sequence[Range]] = {}
    for _, schedules in weight_hooks(config):
        for pattern, schedule in schedules.items():
            if pattern in found:
                raise ValueError(
                    f'schedules: {pattern!r} stands in two hooks of '
                    'custom_hooks; leave one'
                )
            found[pattern] = schedule
    return found


def _last_iteration(
    config: Config, schedules: Dict[str, Sequence[Range]]
) -> int:
    """Of the training; a loop by epochs knows it only with its data."""
    known = (config.get('train_cfg') or {}).get('max_iters')
    if known:
        return int(known)
    ends = [
        part.get('end', part.get('begin', 0))
        for schedule in schedules.values()
        for part in schedule
    ]
    # A tenth more shows what holds behind the last range.
    return max(1, math.ceil(1.1 * max(ends, default=0)))


def _steps(schedule: Sequence[Range], last: int) -> List[int]:
    steps = {0, last}
    if schedule:
        steps |= {round(i * last / _POINTS) for i in range(_POINTS)}
    for part in schedule:
        begin = part.get('begin', 0)
        # Both sides of a jump.
        steps |= {begin - 1, begin, part.get('end', begin)}
    return sorted(step for step in steps if 0 <= step <= last)
