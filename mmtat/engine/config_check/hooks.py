"""Hooks: types, keys, schedules and intervals."""

import fnmatch
from typing import Any, Dict, Iterator, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import HOOKS

from ..schedules import weight_hooks
from ..weight_ranges import check_schedule
from .components import component_problems, find_class
from .distiller import distiller_of
from .loss_names import own_loss_names
from .problem import Problem
from .signatures import what_is_known

#: Hooks that count the training's iterations, with their default interval
#: and what does not happen where the run is shorter.
_COUNTING = {
    'LoggerHook': (10, 'logs nothing but at the end of a pass over the data'),
    'DistillationFigureHook': (1000, 'draws nothing'),
    'DistillationMonitorHook': (50, 'looks at nothing'),
}


def hooks_of(config: Config) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The hooks that a config names.

    Args:
        config (Config): Of a training.

    Yields:
        tuple[str, dict]: Place and config of each.
    """
    for name, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, dict):
            yield f'default_hooks.{name}', hook
    for index, hook in enumerate(config.get('custom_hooks') or ()):
        if isinstance(hook, dict):
            yield f'custom_hooks[{index}]', hook


def hook_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the hooks.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    for place, hook in hooks_of(config):
        # The Runner takes it out before it builds.
        yield from component_problems(hook, place, HOOKS, also=('priority',))


def schedule_problems(config: Config) -> Iterator[Problem]:
    """Schedules that cannot be, or that name no loss.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    losses = own_loss_names(distiller_of(config) or {})
    owners: Dict[str, str] = {}
    for index, schedules in weight_hooks(config):
        place = f'custom_hooks[{index}].schedules'
        if distiller_of(config) is None:
            yield Problem(place, 'the model distils nothing to be scheduled')
            continue
        for pattern, schedule in schedules.items():
            try:
                check_schedule(schedule, f'schedules.{pattern}')
            except (TypeError, ValueError) as error:
                yield Problem(f'{place}.{pattern}', str(error))
            if losses is not None:
                yield from _name_problems(
                    f'{place}.{pattern}', pattern, losses, owners
                )


def _name_problems(
    place: str, pattern: str, losses: list, owners: Dict[str, str]
) -> Iterator[Problem]:
    own = pattern.removeprefix('distill.')
    names = fnmatch.filter(losses, own)
    if not names:
        yield Problem(
            place,
            f'no distillation loss is named {pattern!r}'
            f'{what_is_known(own, losses)}',
        )
    for name in names:
        if name in owners:
            yield Problem(
                place,
                f'is for the loss {name!r}, which {owners[name]} schedules '
                'already; leave one',
            )
        owners.setdefault(name, place)


def interval_problems(config: Config) -> Iterator[Problem]:
    """Hooks that wait for longer than the training lasts.

    Validation, and checkpoints unless ``save_last`` is off, come with the
    last iteration whatever their interval.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    loop = config.get('train_cfg') or {}
    last = dict(
        iterations=loop.get('max_iters'), epochs=loop.get('max_epochs')
    )
    for place, hook in hooks_of(config):
        interval, unit, lacking = _interval_of(hook)
        length = last.get(unit)
        is_known = isinstance(length, int) and isinstance(interval, int)
        if is_known and interval > length:
            yield Problem(
                f'{place}.interval',
                f'is {interval} {unit}, but the training has {length}: it '
                f'{lacking}',
                stops=False,
            )


def _interval_of(hook: Dict[str, Any]) -> Tuple[Optional[int], str, str]:
    """Interval, its unit, and what does not happen in a shorter run."""
    try:
        kind = find_class(HOOKS, hook.get('type'))
    except ValueError:
        return None, '', ''
    names = [base.__name__ for base in kind.__mro__]
    if 'CheckpointHook' in names and hook.get('save_last') is False:
        unit = 'epochs' if hook.get('by_epoch', True) else 'iterations'
        return hook.get('interval'), unit, 'saves nothing'
    for name in names:
        if name in _COUNTING:
            default, lacking = _COUNTING[name]
            return hook.get('interval', default), 'iterations', lacking
    return None, '', ''
