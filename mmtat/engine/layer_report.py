"""The layers of a config's models that can be recorded, as a table."""

import contextlib
import copy
import difflib
import fnmatch
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller

from mmtat.models.utils import (
    RecordableLayer,
    build_model,
    check_type,
    recordable_layers,
    resolve_model_config,
    without_pretrained,
)
from mmtat.ops import check_pair

from .input_size import training_size
from .inspected import built, is_distillation
from .layer_marks import recorded_as
from .report import mebibytes, note, print_table

COLUMNS = ('layer', 'type', 'shape', 'stride', 'MiB', 'recorded as')


@dataclass
class Inspected:
    """What a config builds.

    Attributes:
        models (dict[str, BaseModel]): By 'student' and 'teacher', the first
            alone where nothing is distilled.
        distiller (BaseDistiller | None): That records them.
        error (str | None): Why the distiller could not be built.
    """

    models: Dict[str, BaseModel]
    distiller: Optional[BaseDistiller] = None
    error: Optional[str] = None


def report_layers(
    config: Config,
    pattern: Optional[str] = None,
    role: Optional[str] = None,
    size: Optional[Sequence[int]] = None,
) -> None:
    """Print a table of the recordable layers of each model.

    Args:
        config (Config): Of a distillation, or of a model alone, which is
            taken as the student.
        pattern (str, optional): Of the names that are shown: a glob of a
            whole name, or else a regular expression for a part of it.
        role (str, optional): 'student' or 'teacher'; by default both.
        size (Sequence[int], optional): Height and width of the image in
            pixels; by default those that the config trains on.

    Raises:
        ValueError: The config has no teacher, the pattern matches nothing,
            or a model does not run on images of this size.
    """
    if size is not None:
        check_pair('--size', tuple(size))
    inspected = _inspect(config)
    if role not in (None, *inspected.models):
        raise ValueError(
            f'--role {role}: the config is no distillation, its model alone '
            'is shown as the student'
        )
    is_known = True
    if size is None:
        size, is_known = training_size(config, inspected.models.values())
    tables = {
        name: recordable_layers(model, tuple(size))
        for name, model in inspected.models.items()
        if role in (None, name)
    }
    names = [layer.name for table in tables.values() for layer in table]
    shown = matching(names, pattern)
    batch = (config.get('train_dataloader') or {}).get('batch_size') or 1
    for name, layers in tables.items():
        kind = type(inspected.models[name]).__name__
        assumed = '' if is_known else ' (assumed: set it by --size)'
        marks = recorded_as(inspected.distiller, name)
        rows = [_row(x, batch, marks) for x in layers if x.name in shown]
        if not rows:
            note(f'{name} {kind}: no layer matches {pattern!r}')
            continue
        print_table(
            COLUMNS,
            rows,
            f'{name} {kind}, input {size[0]}x{size[1]}{assumed}, memory of a '
            f'batch of {batch}',
        )
        _note_what_is_missing(inspected.models[name], layers, marks)
    if inspected.error is not None:
        note(f'This config does not distil as it is: {inspected.error}')


def matching(names: Sequence[str], pattern: Optional[str]) -> List[str]:
    """The names that a pattern chooses.

    Args:
        names (Sequence[str]): Of layers.
        pattern (str, optional): See :func:`report_layers`; None for all.

    Returns:
        list[str]: Some of them, at least one.

    Raises:
        ValueError: It matches none; names close matches.
    """
    if pattern is None:
        return list(names)
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if found:
        return found
    try:
        found = [name for name in names if re.search(pattern, name)]
        problem = 'matches no layer'
    except re.error as error:
        problem = f'is a glob of no layer, and no regular expression ({error})'
    if found:
        return found
    plain = re.sub(r'[*?^$\\]', '', pattern)
    # A pattern may be of a part of a name.
    parts = dict.fromkeys(part for name in names for part in name.split('.'))
    close = difflib.get_close_matches(plain, names, n=3, cutoff=0.5)
    close += difflib.get_close_matches(plain, parts, n=3, cutoff=0.5)
    tops = dict.fromkeys(name.split('.')[0] for name in names)
    hint = 'close matches: ' if close else 'layers begin with: '
    raise ValueError(
        f'--pattern {pattern!r} {problem}; {hint}'
        f'{", ".join(dict.fromkeys(close or tops))}'
    )


def _inspect(config: Config) -> Inspected:
    if not is_distillation(config):
        try:
            return Inspected(dict(student=built(_with_scope(config))))
        except TypeError as error:
            # Of mmsegmentation, for a part of a config that others complete.
            raise ValueError(
                f'config: no model comes of it: {error}'
            ) from error
    try:
        model = built(config)
    except (TypeError, ValueError) as error:
        # The table shows what to write in the place of a wrong layer.
        return Inspected(_alone(config), None, str(error))
    models = dict(student=model.architecture, teacher=model.teacher)
    return Inspected(models, model.distiller)


def _with_scope(config: Config) -> Config:
    """A config that others build on may name no scope: one that has it."""
    if config.get('default_scope') is not None:
        return config
    config = copy.deepcopy(config)
    for scope in (None, 'mmseg', 'mmpretrain'):
        with contextlib.suppress(ValueError):
            check_type(config.model, 'model', scope)
            if scope is not None:
                config.model.setdefault('_scope_', scope)
            break
    return config


def _alone(config: Config) -> Dict[str, BaseModel]:
    """Student and teacher of a distillation that cannot be built."""
    models = {}
    for name, role in (('student', 'architecture'), ('teacher', 'teacher')):
        model, _ = resolve_model_config(config.model[role], role)
        models[name] = build_model(without_pretrained(model), role)
    return models


def _row(
    layer: RecordableLayer, batch: int, marks: Dict[str, str]
) -> Tuple[Any, ...]:
    calls = f' ({layer.calls} calls)' if layer.calls > 1 else ''
    return (
        layer.name,
        layer.kind + calls,
        _shape(layer),
        None if layer.stride is None else f'{layer.stride:.3g}',
        mebibytes(layer.bytes * batch),
        marks.get(layer.name),
    )


def _shape(layer: RecordableLayer) -> str:
    """Of the map, for one image; else of all that a layer returns."""
    if layer.map is not None:
        shape = ', '.join(map(str, layer.map))
        return f'{shape} as tokens' if layer.tokens else shape
    shapes = []
    for shape in layer.shapes:
        # Without the one image; windows and heads may stand in its place.
        sides = shape[1:] if shape[:1] == (1,) else shape
        shapes.append(', '.join(map(str, sides)) or 'scalar')
    return 'no map: ' + ' | '.join(shapes)


def _note_what_is_missing(
    model: BaseModel, layers: List[RecordableLayer], marks: Dict[str, str]
) -> None:
    names = {layer.name for layer in layers}
    heads = [
        name
        for name, _ in model.named_children()
        if name.endswith('head')
        and name not in names
        and any(inner.startswith(f'{name}.') for inner in names)
    ]
    if heads:
        note(
            f'{", ".join(heads)}: run by a method, so that no recorder sees '
            'it; name a layer inside'
        )
    for source in marks:
        if source not in names:
            note(f'recorded as well: {source} as {marks[source]}')
