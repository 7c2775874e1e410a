"""The components of a distiller: types, keys and weights."""

import inspect
from typing import Any, Dict, Iterator, List, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import MODELS, TASK_UTILS

from mmtat.models.connectors import EmbeddingConnector
from mmtat.models.distillers import TaTDistiller
from mmtat.models.distillers.layer_config import BRANCHES, layer_config
from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller
from mmtat.models.distillers.logits import LogitsDistillation
from mmtat.models.losses.weighted_loss import check_weight

from .components import component_problems, find_class, unknown_keys
from .problem import Problem
from .signatures import arguments_of, what_is_known

#: Where types without a scope are looked up.
SCOPE = 'mmrazor'
PLACE = 'model.distiller'
_EMBEDDED = ('query', 'key', 'value')
#: Of TaT's layers, each checked by itself.
_SETTINGS = (
    'formulation',
    *_EMBEDDED,
    'branches',
    'resize',
    'stream',
    'backend',
)


def distiller_of(config: Config) -> Optional[Dict[str, Any]]:
    """A config's distiller.

    Args:
        config (Config): Of a training.

    Returns:
        dict | None: None where it has none, or one that is built.
    """
    distiller = config.model.get('distiller')
    return distiller if isinstance(distiller, dict) else None


def class_of(distiller: Dict[str, Any]) -> Optional[type]:
    """The class of a distiller.

    Args:
        distiller (dict): Its config.

    Returns:
        type | None: None where there is none of that name.
    """
    scope = distiller.get('_scope_', SCOPE)
    try:
        found = find_class(MODELS, distiller.get('type'), scope)
    except ValueError:
        return None
    return found if isinstance(found, type) else None


def dicts_in(config: Dict[str, Any], key: str) -> Iterator[Tuple[str, Dict]]:
    """The named parts of a part of a distiller.

    Args:
        config (dict): Of the distiller.
        key (str): Of the part, such as 'distill_losses'.

    Yields:
        tuple[str, dict]: Place and config of each that is a dict.
    """
    parts = config.get(key)
    for name, part in parts.items() if isinstance(parts, dict) else ():
        # Connectors may be chains.
        chain = part if isinstance(part, (list, tuple)) else None
        for index, own in enumerate([part] if chain is None else chain):
            if isinstance(own, dict):
                suffix = '' if chain is None else f'[{index}]'
                yield f'{PLACE}.{key}.{name}{suffix}', own


def distiller_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the distiller, and of all that it is made of.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    distiller = distiller_of(config)
    if distiller is None:
        return
    yield from component_problems(distiller, PLACE, MODELS, SCOPE)
    for key in ('distill_losses', 'connectors', 'losses'):
        for place, own in dicts_in(distiller, key):
            yield from component_problems(own, place, MODELS, SCOPE)
    for role in ('student', 'teacher'):
        for place, own in dicts_in(distiller, f'{role}_recorders'):
            yield from component_problems(
                own, place, TASK_UTILS, SCOPE, suffix='Recorder'
            )
        key = f'{role}_connector'
        yield from component_problems(
            distiller.get(key), f'{PLACE}.{key}', MODELS, SCOPE
        )
    for place, own in dicts_in(distiller, 'distill_deliveries'):
        yield from component_problems(
            own, place, TASK_UTILS, SCOPE, suffix='Delivery'
        )
    kind = class_of(distiller)
    if kind is not None and issubclass(kind, LayerPairDistiller):
        yield from _logits_problems(distiller.get('logits'))
    if kind is not None and issubclass(kind, TaTDistiller):
        yield from _tat_problems(distiller)


def weight_problems(config: Config) -> Iterator[Problem]:
    """Weights that are no weight, or 0.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    found = list(_weights(distiller_of(config) or {}))
    zeros = [place for place, weight in found if weight == 0]
    for place, weight in found:
        try:
            check_weight(weight)
        except ValueError as error:
            yield Problem(place, str(error))
        if place in zeros:
            yield Problem(
                place,
                'is 0, so that this loss does nothing; give it a weight, or '
                'take it out',
                stops=False,
            )


def _logits_problems(logits: Any) -> Iterator[Problem]:
    if not isinstance(logits, dict):
        return
    place = f'{PLACE}.logits'
    own = set(inspect.signature(LogitsDistillation).parameters) - {'kwargs'}
    default = inspect.signature(LogitsDistillation).parameters['type'].default
    yield from component_problems(
        dict(dict(type=default), **logits), place, MODELS, SCOPE, also=own
    )


def _tat_problems(distiller: Dict[str, Any]) -> Iterator[Problem]:
    found = list(_tat_keys(distiller))
    yield from found
    kinds = inspect.signature(TaTDistiller).parameters
    given = {key: distiller[key] for key in _SETTINGS if key in distiller}
    defaults = {key: kinds[key].default for key in _SETTINGS}
    defaults.update(branches=dict(whole={}), resize=True)
    for key, value in given.items():
        place = f'{PLACE}.{key}'
        is_said = any(f'{own.place}.'.startswith(f'{place}.') for own in found)
        if is_said or (value is None and kinds[key].default is None):
            continue
        try:
            layer_config(**dict(defaults, **{key: value}))
        except (TypeError, ValueError) as error:
            yield Problem(place, str(error))


def _tat_keys(distiller: Dict[str, Any]) -> Iterator[Problem]:
    embedding = arguments_of(EmbeddingConnector)
    embedding = embedding - {'in_channels', 'out_channels'}
    for name in _EMBEDDED:
        own = distiller.get(name)
        if isinstance(own, dict):
            yield from unknown_keys(own, f'{PLACE}.{name}', name, embedding)
    branches = distiller.get('branches')
    for name, own in branches.items() if isinstance(branches, dict) else ():
        place = f'{PLACE}.branches.{name}'
        if name not in BRANCHES:
            yield Problem(
                place,
                f'there is no branch {name!r}{what_is_known(name, BRANCHES)}',
            )
        elif isinstance(own, dict):
            known = arguments_of(BRANCHES[name][0]) or set()
            yield from unknown_keys(
                own, place, f'branches.{name}', {*known, 'loss_weight'}
            )


def _weights(distiller: Dict[str, Any]) -> Iterator[Tuple[str, Any]]:
    """Places and values of all weights."""
    groups: List[str] = ['losses', 'distill_losses', 'branches']
    parts = [(PLACE, distiller)]
    parts += [item for key in groups for item in dicts_in(distiller, key)]
    if isinstance(distiller.get('logits'), dict):
        parts.append((f'{PLACE}.logits', distiller['logits']))
    for place, part in parts:
        if 'loss_weight' in part:
            yield f'{place}.loss_weight', part['loss_weight']
