"""The loop, the optimizer and its schedule, and the keys of the Runner."""

import difflib
import inspect
from numbers import Real
from typing import Any, Dict, Iterator

from mmengine.config import Config
from mmengine.registry import (
    LOOPS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
)
from mmengine.runner import Runner

from .components import component_problems
from .problem import Problem

#: What a loop is given by the Runner.
_OF_RUNNER = ('runner', 'dataloader', 'by_epoch', 'evaluator')
_DEFAULT_LOOPS = dict(val_cfg='ValLoop', test_cfg='TestLoop')
#: What a constructor of optimizers reads, not the wrapper.
_OF_CONSTRUCTOR = ('constructor', 'paramwise_cfg', 'optimizer')
#: What a registry reads before it builds a schedule.
_OF_SCHEDULE = ('optimizer', 'convert_to_iter_based')
#: Lengths and intervals, by the loop's names.
_COUNTS = ('max_iters', 'max_epochs', 'val_interval')
#: As close as a slip of the finger.
_CLOSE = 0.9


def loop_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the loops, and numbers that are none.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    for name in ('train_cfg', 'val_cfg', 'test_cfg'):
        loop = config.get(name)
        if not isinstance(loop, dict):
            continue
        named = dict(loop)
        named.setdefault('type', _default_loop(name, loop))
        if named['type'] is not None:
            yield from component_problems(named, name, LOOPS, also=_OF_RUNNER)
        for key in _COUNTS:
            count = loop.get(key, 1)
            # mmengine takes 4e4.
            if not isinstance(count, Real) or count < 1 or count % 1:
                yield Problem(
                    f'{name}.{key}',
                    f'must be a positive whole number, got {count!r}',
                )


def _default_loop(name: str, loop: Dict[str, Any]) -> Any:
    """The Runner's own choice; None where it refuses to choose."""
    if name == 'train_cfg':
        kinds = {True: 'EpochBasedTrainLoop', False: 'IterBasedTrainLoop'}
        return kinds.get(loop.get('by_epoch'))
    return _DEFAULT_LOOPS[name]


def optimizer_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the optimizer, its wrapper and the schedules.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    wrapper = config.get('optim_wrapper')
    if isinstance(wrapper, dict) and wrapper.get('optimizer') is not None:
        named = dict(wrapper)
        named.setdefault('type', 'OptimWrapper')
        yield from component_problems(
            named, 'optim_wrapper', OPTIM_WRAPPERS, also=_OF_CONSTRUCTOR
        )
        yield from component_problems(
            wrapper['optimizer'], 'optim_wrapper.optimizer', OPTIMIZERS
        )
    schedules = config.get('param_scheduler')
    if isinstance(schedules, dict):
        schedules = [schedules] if 'type' in schedules else []
    for index, schedule in enumerate(schedules or ()):
        yield from component_problems(
            schedule,
            f'param_scheduler[{index}]',
            PARAM_SCHEDULERS,
            also=_OF_SCHEDULE,
        )


def key_problems(config: Config) -> Iterator[Problem]:
    """Keys of the config that a slip of the finger keeps from being read.

    Any other unknown name is a variable of the config, as of its image size.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each; none stops a training.
    """
    known = {*inspect.signature(Runner.__init__).parameters, 'custom_imports'}
    known -= {'self', 'cfg'}
    for key in config:
        close = difflib.get_close_matches(str(key), known, 1, _CLOSE)
        if key not in known and close:
            yield Problem(
                key,
                f'is no key of the Runner; did you mean {close[0]!r}?',
                stops=False,
            )
