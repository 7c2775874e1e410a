"""What a distiller's config declares, and what of it is used."""

import inspect
from typing import Any, Dict, Iterator, Optional, Set

from mmengine.config import Config
from mmengine.registry import MODELS
from mmrazor.models.distillers import ConfigurableDistiller

from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller

from .components import find_class
from .distiller import PLACE, SCOPE, class_of, distiller_of
from .loss_names import own_loss_names
from .problem import Problem
from .signatures import did_you_mean, unknown_argument, what_is_known

_ENTRIES = frozenset(
    inspect.signature(ConfigurableDistiller.get_record).parameters
) - {'self'}
_MAPPINGS = 'loss_forward_mappings'


def mapping_problems(config: Config) -> Iterator[Problem]:
    """Mappings that name what is not there.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each name.
    """
    distiller = distiller_of(config) or {}
    losses = _part(distiller, 'distill_losses')
    for name, mapping in _part(distiller, _MAPPINGS).items():
        place = f'{PLACE}.{_MAPPINGS}.{name}'
        if name not in losses:
            yield Problem(place, _unknown('loss', name, losses))
            continue
        if not isinstance(mapping, dict):
            yield Problem(place, f'must be a dict, got {mapping!r}')
            continue
        yield from _argument_problems(place, mapping, losses[name])
        for argument, entry in mapping.items():
            if isinstance(entry, dict):
                where = f'{place}.{argument}'
                yield from _entry_problems(where, entry, distiller)


def use_problems(config: Config) -> Iterator[Problem]:
    """Losses, connectors and recorders that nothing uses.

    Of distillers that use them by the mappings; nobody can tell of others.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    distiller = distiller_of(config)
    kind = None if distiller is None else class_of(distiller)
    if kind is None or not _goes_by_mappings(kind):
        return
    mappings = _part(distiller, _MAPPINGS)
    losses = _part(distiller, 'distill_losses')
    free = [name for name in mappings if name not in losses]
    for name in losses:
        place = f'{PLACE}.distill_losses.{name}'
        if name not in mappings:
            yield Problem(
                place,
                f'is never computed, as {_MAPPINGS} has no entry {name!r}'
                f'{did_you_mean(name, free)}',
            )
        if 'loss' not in name:
            yield Problem(
                place,
                "is only logged, as its name has no 'loss' in it; call it "
                f'{f"loss_{name}"!r}',
                stops=False,
            )
    used = _used(mappings)
    for key in ('student_recorders', 'teacher_recorders', 'connectors'):
        for name in _part(distiller, key):
            if name not in used[key]:
                yield Problem(
                    f'{PLACE}.{key}.{name}',
                    f'is never used: no entry of {_MAPPINGS} names it',
                    stops=False,
                )
    if own_loss_names(distiller) == []:
        yield Problem(
            PLACE,
            'distils nothing: it has no losses, and the teacher runs for '
            'nothing',
            stops=False,
        )


def _goes_by_mappings(kind: type) -> bool:
    known = (ConfigurableDistiller, LayerPairDistiller)
    compute = getattr(kind, 'compute_distill_losses', None)
    return any(compute is own.compute_distill_losses for own in known)


def _used(mappings: Dict[str, Any]) -> Dict[str, Set[str]]:
    used: Dict[str, Set[str]] = dict(
        student_recorders=set(), teacher_recorders=set(), connectors=set()
    )
    for mapping in mappings.values():
        entries = mapping.values() if isinstance(mapping, dict) else ()
        for entry in filter(lambda own: isinstance(own, dict), entries):
            role = 'student' if entry.get('from_student') else 'teacher'
            used[f'{role}_recorders'].add(entry.get('recorder'))
            used['connectors'].add(entry.get('connector'))
    return used


def _argument_problems(
    place: str, mapping: Dict[str, Any], loss: Any
) -> Iterator[Problem]:
    """Arguments of the loss that it has not, or that it lacks."""
    parameters = _forward_of(loss)
    if parameters is None:
        return
    kinds = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in mapping:
            if name not in parameters:
                what = f'the forward of {loss["type"]}'
                message = unknown_argument(name, what, parameters)
                yield Problem(f'{place}.{name}', message)
    for name, parameter in parameters.items():
        is_needed = parameter.default is parameter.empty and (
            parameter.kind == parameter.POSITIONAL_OR_KEYWORD
        )
        if is_needed and name not in mapping:
            yield Problem(
                place, f'lacks {name!r}, which {loss["type"]} compares'
            )


def _forward_of(loss: Any) -> Optional[Dict[str, inspect.Parameter]]:
    """Arguments of a loss's forward; None where there is no such loss."""
    try:
        scope = loss.get('_scope_', SCOPE)
        kind = find_class(MODELS, loss.get('type'), scope)
        parameters = dict(inspect.signature(kind.forward).parameters)
    except (AttributeError, TypeError, ValueError):
        return None
    parameters.pop('self', None)
    return parameters


def _entry_problems(
    place: str, entry: Dict[str, Any], distiller: Dict[str, Any]
) -> Iterator[Problem]:
    for key in entry:
        if key not in _ENTRIES:
            message = unknown_argument(key, 'a record', _ENTRIES)
            yield Problem(f'{place}.{key}', message)
    side = entry.get('from_student')
    if not isinstance(side, bool):
        yield Problem(
            f'{place}.from_student', f'must be True or False, got {side!r}'
        )
        return
    role = 'student' if side else 'teacher'
    recorders = dict(_part(distiller, f'{role}_recorders'))
    for index in range(len(distiller.get('layers') or ())):
        # These the distiller adds by itself.
        recorders[f'layer_{index}'] = None
    name = entry.get('recorder')
    if name not in {*recorders, *_added(distiller)}:
        yield Problem(
            f'{place}.recorder',
            _unknown(f'recorder of the {role}', name, recorders),
        )
    connector = entry.get('connector')
    connectors = _part(distiller, 'connectors')
    if connector is not None and connector not in connectors:
        yield Problem(
            f'{place}.connector', _unknown('connector', connector, connectors)
        )


def _added(distiller: Dict[str, Any]) -> Set[str]:
    return {'logits'} if distiller.get('logits') is not None else set()


def _part(distiller: Dict[str, Any], key: str) -> Dict[str, Any]:
    part = distiller.get(key)
    return part if isinstance(part, dict) else {}


def _unknown(what: str, name: Any, known: Dict[str, Any]) -> str:
    return f'there is no {what} {name!r}{what_is_known(name, known)}'
