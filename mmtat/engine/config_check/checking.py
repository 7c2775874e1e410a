"""All checks of a config, and what a training does with what they find."""

import logging
import os
from typing import Iterator, List

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from ..class_check import class_number_problems
from .algorithm import algorithm_problems, part_problems
from .data import loader_problems, metric_problems
from .distiller import distiller_problems, weight_problems
from .hooks import hook_problems, interval_problems, schedule_problems
from .mappings import mapping_problems, use_problems
from .problem import Problem, gathered
from .training import key_problems, loop_problems, optimizer_problems

_LOADERS = ('train_dataloader', 'val_dataloader')


def config_problems(config: Config, builds: bool = True) -> List[Problem]:
    """All that is wrong with a config, but for the files it names.

    Nothing is downloaded, no file of weights and no data is read. Each check
    stands alone: one that fails hides no other.

    Args:
        config (Config): Of a training; stays as it is.
        builds (bool): Whether the models are built, with random weights, and
            run on tensors without values, which shows layers and shapes.
            False takes milliseconds. Defaults to True.

    Returns:
        list[Problem]: In the order of the config's parts; empty where all is
        well.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    looks = [algorithm_problems, part_problems, distiller_problems]
    looks += [weight_problems, mapping_problems, use_problems]
    looks += [hook_problems, schedule_problems, interval_problems]
    looks += [loader_problems, metric_problems, loop_problems]
    looks += [optimizer_problems, key_problems]
    found = gathered([*looks, _class_problems], 'config', config)
    if builds:
        # Whoever does not build need not wait for what it imports.
        from .building import built_problems

        found += gathered([built_problems], 'model', config, found)
    return list(dict.fromkeys(found))


def check_config(config: Config) -> None:
    """Refuse a config before anything is built, with all its problems.

    What runs, and is for nothing, is a warning.

    Args:
        config (Config): Of a training; stays as it is.

    Raises:
        ValueError: A line for each problem.
    """
    found = config_problems(config, builds=False)
    if any(problem.stops for problem in found):
        found = config_problems(config)
        raise ValueError(report_of(found))
    for problem in found if _is_first() else ():
        print_log(str(problem), 'current', logging.WARNING)


def raise_problems(config: Config, error: Exception) -> None:
    """Raise all problems of a config that no Runner could be built from.

    Args:
        config (Config): It.
        error (Exception): What the Runner raised, the first that it met.

    Raises:
        ValueError: A line for each problem, if there are any that stop a
            training: else the reason lies elsewhere.
    """
    found = config_problems(config)
    if any(problem.stops for problem in found):
        raise ValueError(report_of(found)) from error


def report_of(found: List[Problem]) -> str:
    """Problems as one message.

    Args:
        found (list[Problem]): At least one.

    Returns:
        str: A line for each, those that stop a training first; and how many
        there are, where there are several.
    """
    lines = [str(own) for own in sorted(found, key=lambda own: not own.stops)]
    if len(lines) > 1:
        lines.append(f'({len(lines)} problems in the config)')
    return '\n'.join(lines)


def _is_first() -> bool:
    """Whether to speak; the processes do not know each other yet."""
    ranks = (os.environ.get(name) for name in ('RANK', 'SLURM_PROCID'))
    return next((rank for rank in ranks if rank), '0') == '0'


def _class_problems(config: Config) -> Iterator[Problem]:
    for place, message in class_number_problems(config, _LOADERS):
        yield Problem(place, message)
