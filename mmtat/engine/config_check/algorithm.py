"""The algorithm of a config, and the parts of student and teacher."""

from dataclasses import fields
from typing import Any, Dict, Iterator

from mmengine.config import Config
from mmengine.registry import MODELS

from mmtat.models.algorithms import FrozenTeacherDistill
from mmtat.models.utils import TeacherOptions

from .components import component_problems, find_class, unknown_keys
from .problem import Problem

#: Parts of a model that are components by themselves, and never another's.
_PARTS = (
    'backbone',
    'neck',
    'decode_head',
    'auxiliary_head',
    'head',
    'data_preprocessor',
)
_NEEDED = ('architecture', 'teacher', 'distiller')
_CHECKPOINT = ('checkpoint', 'prefix')


def is_own(config: Config) -> bool:
    """Whether a config's model is meant to be mmtat's algorithm.

    Args:
        config (Config): Of a training.

    Returns:
        bool: Also for one that lacks its teacher.
    """
    kind = config.model.get('type')
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.rpartition('.')[2] == FrozenTeacherDistill.__name__


def algorithm_problems(config: Config) -> Iterator[Problem]:
    """Type and keys of the model, and what it needs.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    model = config.model
    yield from component_problems(model, 'model', MODELS)
    if not is_own(config):
        return
    for name in _NEEDED:
        if model.get(name) is None:
            yield Problem(f'model.{name}', 'is missing')
    options = model.get('teacher_options')
    if isinstance(options, dict):
        yield from unknown_keys(
            options,
            'model.teacher_options',
            'teacher_options',
            [field.name for field in fields(TeacherOptions)],
        )
    checkpoint = model.get('teacher_ckpt')
    if isinstance(checkpoint, dict):
        place = 'model.teacher_ckpt'
        yield from unknown_keys(checkpoint, place, place, _CHECKPOINT)


def part_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the parts of each model that is written out.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    if not is_own(config):
        yield from _parts_of(config.model, 'model')
        return
    for role in ('architecture', 'teacher'):
        model = config.model.get(role)
        # Of a named config these are what it overrides.
        if isinstance(model, dict) and 'cfg_path' not in model:
            place = f'model.{role}'
            scope = _scope_of(model)
            yield from component_problems(model, place, MODELS, scope)
            yield from _parts_of(model, place)


def _parts_of(model: Dict[str, Any], place: str) -> Iterator[Problem]:
    try:
        find_class(MODELS, model.get('type'), _scope_of(model))
    except ValueError:
        # Said already; its parts may be of any kind.
        return
    for name in _PARTS:
        part = model.get(name)
        several = isinstance(part, (list, tuple))
        for index, own in enumerate(part if several else [part]):
            # Without a type it is of the model's own making.
            if isinstance(own, dict) and own.get('type') is not None:
                where = f'{place}.{name}' + (f'[{index}]' if several else '')
                yield from component_problems(
                    own, where, MODELS, _scope_of(model)
                )


def _scope_of(model: Dict[str, Any]) -> Any:
    """As a model's config carries its scope to the types inside it."""
    scope = str(model.get('type', '')).rpartition('.')[0]
    own = scope if scope and '.' not in scope and scope != 'mmtat' else None
    return model.get('_scope_', own)
