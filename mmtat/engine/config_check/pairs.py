"""Whether branches, connectors and losses fit a pair of layers."""

import inspect
from typing import Any, Dict, Iterator

from torch import Size

from mmtat.models.distillers import TaTDistiller
from mmtat.models.distillers.channels import build_with_channels
from mmtat.models.distillers.layer_config import BRANCHES
from mmtat.models.distillers.tat_layer import TaTLayer

from .distiller import PLACE
from .problem import Problem, one_line

_EMBEDDED = ('query', 'key', 'value')


def tat_problems(
    distiller: Dict[str, Any],
    place: str,
    size_is_known: bool,
    student: Size,
    teacher: Size,
) -> Iterator[Problem]:
    """Embeddings and branches of TaT that do not fit two maps.

    Args:
        distiller (dict): Its config.
        place (str): Of the pair.
        size_is_known (bool): Whether the maps are of the training's size.
        student (Size): (1, Cs, Hs, Ws).
        teacher (Size): (1, Ct, Ht, Wt).

    Yields:
        Problem: For each embedding and each branch.
    """
    formulation = distiller.get('formulation', 'released')
    resize = distiller.get('resize')
    settings = dict(
        formulation=formulation,
        resize=formulation == 'released' if resize is None else resize,
        backend=distiller.get('backend', 'auto'),
    )
    defaults = inspect.signature(TaTDistiller).parameters
    defaults = {name: defaults[name].default for name in _EMBEDDED}
    given = {name: distiller.get(name, defaults[name]) for name in _EMBEDDED}
    maps = f'{tuple(student[1:])} and {tuple(teacher[1:])} of {place}'
    fits = True
    for name in given:
        own = dict(defaults, **{name: given[name]})
        try:
            TaTLayer(student[1], teacher[1], branches={}, **own, **settings)
        except (TypeError, ValueError) as error:
            fits = False
            yield Problem(f'{PLACE}.{name}', one_line(error))
    for branch, arguments in (distiller.get('branches') or {}).items():
        if branch not in BRANCHES or not fits:
            continue
        try:
            layer = TaTLayer(
                student[1],
                teacher[1],
                branches={branch: arguments},
                **given,
                **settings,
            )
            if size_is_known:
                layer.check_sizes(student, teacher)
        except Exception as error:
            message = f'{one_line(error)} (maps {maps})'
            yield Problem(f'{PLACE}.branches.{branch}', message)


def feature_problems(
    distiller: Dict[str, Any],
    index: int,
    count: int,
    student: Size,
    teacher: Size,
) -> Iterator[Problem]:
    """Connectors and losses of features that cannot be built.

    Args:
        distiller (dict): Its config.
        index (int): Of the pair.
        count (int): How many pairs there are.
        student (Size): (1, Cs, ...).
        teacher (Size): (1, Ct, ...).

    Yields:
        Problem: For each.
    """
    channels = dict(student=student[1], teacher=teacher[1])
    parts = {
        f'{role}_connector': (distiller.get(f'{role}_connector'), own)
        for role, own in channels.items()
    }
    if distiller.get('student_connector') is not None:
        channels = dict(channels, student=channels['teacher'])
    for name, loss in (distiller.get('losses') or {}).items():
        parts[f'losses.{name}'] = loss, channels['student']
    where = f' (layers[{index}])' if count > 1 else ''
    for name, (config, own) in parts.items():
        if not isinstance(config, dict):
            continue
        try:
            build_with_channels(config, name, own, **channels)
        except Exception as error:
            message = one_line(error).removeprefix(f'{name}: ')
            yield Problem(f'{PLACE}.{name}', f'{message}{where}')
