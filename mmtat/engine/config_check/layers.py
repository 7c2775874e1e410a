"""Layers that a distiller names, in the models and in their dry runs."""

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Tuple

from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmrazor.models.task_modules import RecorderManager
from torch import Size

from mmtat.models.distillers import FeatureDistiller, TaTDistiller
from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller
from mmtat.models.distillers.layer_pairs import feature_shape, map_shape
from mmtat.models.distillers.logits import LogitsDistillation
from mmtat.models.distillers.pair_config import parse_pairs, training_size
from mmtat.models.utils import DryRun, check_sources, dry_run

from .distiller import PLACE, class_of, dicts_in
from .pairs import feature_problems, tat_problems
from .problem import Problem, guarded, one_line

_LOGITS = f'{PLACE}.logits'
#: By what a recorder of a layer or of a weight is known.
_OF_MODEL = ('ModuleOutputs', 'ModuleInputs', 'Parameter')


@dataclass(frozen=True)
class Source:
    """A layer or a weight that a distiller records.

    Attributes:
        place (str): Where the config names it.
        role (str): 'student' or 'teacher'.
        kind (str): Type of its recorder.
        name (str): Its own.
    """

    place: str
    role: str
    kind: str
    name: str


def layer_problems(
    distiller: Dict[str, Any], models: Dict[str, BaseModel]
) -> Iterator[Problem]:
    """Layers that are not there, or give what cannot be distilled.

    Args:
        distiller (dict): Its config.
        models (dict[str, BaseModel]): By 'student' and 'teacher'; one that
            could not be built is not among them.

    Yields:
        Problem: For each.
    """
    sources, pairs = list(_recorded(distiller)), []
    kind = class_of(distiller)
    if kind is not None and issubclass(kind, LayerPairDistiller):
        try:
            pairs = parse_pairs(
                distiller.get('layers', ()), kind.may_have_no_layers
            )
        except ValueError as error:
            yield Problem(f'{PLACE}.layers', str(error))
        for index, pair in enumerate(pairs):
            sources += _of_pair(distiller['layers'][index], index, pair)
    logits, wrong = _logits(distiller, kind, models)
    yield from wrong
    sources += logits
    there = []
    for source in sources:
        if source.role in models:
            wrong = list(_missing(source, models[source.role]))
            there += [] if wrong else [source]
            yield from wrong
    runs = _runs(distiller, models, there)
    shapes = {}
    for source in there:
        if source.kind == 'ModuleOutputs':
            yield from _shape_problems(source, runs, kind, shapes)
    yield from _pair_problems(distiller, kind, len(pairs), shapes, models)
    if {s.place for s in logits} <= {s.place for s in there} and logits:
        yield from guarded(_class_problems, _LOGITS, distiller, logits, runs)


def _recorded(distiller: Dict[str, Any]) -> Iterator[Source]:
    for role in ('student', 'teacher'):
        for place, own in dicts_in(distiller, f'{role}_recorders'):
            kind, name = own.get('type'), own.get('source')
            if kind in _OF_MODEL and isinstance(name, str):
                yield Source(f'{place}.source', role, kind, name)


def _of_pair(given: Any, index: int, pair: Dict[str, str]) -> List[Source]:
    place = f'{PLACE}.layers[{index}]'
    return [
        Source(
            # One name may stand for both.
            f'{place}.{role}' if not isinstance(given, str) else place,
            role,
            'ModuleOutputs',
            name,
        )
        for role, name in pair.items()
    ]


def _logits(
    distiller: Dict[str, Any], kind: Any, models: Dict[str, BaseModel]
) -> Tuple[List[Source], List[Problem]]:
    """The layers that give logits, by name or found."""
    given = distiller.get('logits')
    if given is None or kind is None:
        return [], []
    if not issubclass(kind, LayerPairDistiller):
        return [], []
    sources, problems = [], []
    for role, model in models.items():
        name = given.get(role)
        if name is None:
            try:
                name = _found_logits(model, role)
            except ValueError as error:
                message = str(error).removeprefix('logits: ')
                problems.append(Problem(_LOGITS, message))
                continue
        place = f'{_LOGITS}.{role}'
        sources.append(Source(place, role, 'ModuleOutputs', name))
    return sources, problems


def _found_logits(model: BaseModel, role: str) -> str:
    logits = LogitsDistillation()
    logits.add_recorder(_manager({}), model, role)
    return logits.sources[role]


def _missing(source: Source, model: BaseModel) -> Iterator[Problem]:
    manager = _manager({source.place: source})
    try:
        check_sources(manager, model, source.role)
    except ValueError as error:
        yield Problem(source.place, str(error))


def _manager(sources: Dict[str, Source]) -> RecorderManager:
    with DefaultScope.overwrite_default_scope('mmrazor'):
        return RecorderManager(
            {
                name: dict(type=source.kind, source=source.name)
                for name, source in sources.items()
            }
        )


def _name(source: Source) -> str:
    return f'{source.role} {source.place}'


def _runs(
    distiller: Dict[str, Any],
    models: Dict[str, BaseModel],
    sources: List[Source],
) -> Dict[str, DryRun]:
    size = training_size(distiller.get('input_size'), models.values())[0]
    runs = {}
    for role, model in models.items():
        own = {_name(s): s for s in sources if s.role == role}
        runs[role] = dry_run(model, _manager(own), size, role == 'teacher')
    return runs


def _shape_problems(
    source: Source,
    runs: Dict[str, DryRun],
    kind: Any,
    shapes: Dict[str, Size],
) -> Iterator[Problem]:
    """What a layer gives; noted where it can be distilled."""
    name, role = _name(source), source.role
    is_pair = source.place.startswith(f'{PLACE}.layers[')
    try:
        if is_pair and issubclass(kind, TaTDistiller):
            shapes[name] = map_shape(runs[role], name, role, source.name)
        elif is_pair:
            shapes[name] = feature_shape(runs[role], name, role, source.name)
        elif runs[role].error:
            yield Problem(source.place, runs[role].error)
    except ValueError as error:
        yield Problem(source.place, str(error))


def _pair_problems(
    distiller: Dict[str, Any],
    kind: Any,
    count: int,
    shapes: Dict[str, Size],
    models: Dict[str, BaseModel],
) -> Iterator[Problem]:
    is_known = training_size(distiller.get('input_size'), models.values())[1]
    for index in range(count):
        place = f'{PLACE}.layers[{index}]'
        pair = {
            role: shape
            for role in ('student', 'teacher')
            for name, shape in shapes.items()
            if name.startswith(f'{role} {place}')
        }
        if len(pair) < 2:
            continue
        if issubclass(kind, TaTDistiller):
            yield from tat_problems(distiller, place, is_known, **pair)
        elif issubclass(kind, FeatureDistiller):
            yield from feature_problems(distiller, index, count, **pair)


def _class_problems(
    distiller: Dict[str, Any],
    sources: List[Source],
    runs: Dict[str, DryRun],
) -> Iterator[Problem]:
    if len(sources) < 2:
        return
    for source in sources:
        run = runs[source.role]
        run.records['logits'] = run.records.get(_name(source), [])
    try:
        logits = LogitsDistillation(**distiller['logits'])
        logits.sources = {source.role: source.name for source in sources}
        logits.check(**runs)
    except (TypeError, ValueError) as error:
        message = one_line(error).removeprefix('logits: ')
        yield Problem(_LOGITS, message)
