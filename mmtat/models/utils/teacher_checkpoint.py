"""Loading a teacher's weights, and refusing a file that is not the teacher's.

A teacher with the wrong weights trains a student on noise without a sign of
it, so what the recorded layers depend on must be in the file, whole.
"""

import logging
import os
from collections import Counter
from typing import Dict, FrozenSet, List, Optional, Union

from mmengine.logging import print_log
from torch import Tensor, nn

from .checkpoint_reading import read_state_dict
from .state_loading import StateLoad, load_state

CheckpointSource = Union[str, os.PathLike, Dict[str, str]]


def load_teacher(
    model: nn.Module,
    source: CheckpointSource,
    required: Optional[FrozenSet[str]] = None,
) -> None:
    """Load a teacher's weights and check those that matter.

    Args:
        model (nn.Module): The teacher.
        source (str | dict): A path or URL, or ``dict(checkpoint=...,
            prefix='architecture.')`` for a file whose names all begin so.
        required (frozenset[str], optional): Names that must be in the file
            with their shapes; None requires all. The others only warn.

    Raises:
        ValueError: The file is missing, is no checkpoint, or lacks required
            weights; the message says how many matched, names five that did
            not, and the prefix that would fix it.
    """
    path, prefix = _split_source(source)
    # Its weights are copied into the model, and the mapping goes.
    state_dict = read_state_dict(path, 'teacher_ckpt', is_mapped=True)
    if prefix:
        state_dict = {
            name[len(prefix) :]: tensor
            for name, tensor in state_dict.items()
            if name.startswith(prefix)
        }
    load = load_state(model, state_dict)
    known = {
        name
        for name in model.state_dict()
        if not name.endswith('num_batches_tracked')
    }
    required = known if required is None else required & known
    bad = set(load.missing + load.mismatched)
    lacking = sorted(bad & required)
    if lacking:
        raise ValueError(
            _lacking_message(path, lacking, len(required), state_dict, load)
        )
    behind = bad - required
    if behind:
        print_log(
            f'teacher_ckpt {path}: {len(behind)} weights behind the recorded '
            f'layers are missing or misfit, as {sorted(behind)[0]}; they '
            'are never run',
            'current',
            logging.WARNING,
        )
    print_log(
        f'Teacher loaded from {path}: all {len(required)} weights that the '
        'recorded layers depend on',
        'current',
    )


def _split_source(source: CheckpointSource) -> tuple:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), ''
    if isinstance(source, dict) and set(source) <= {'checkpoint', 'prefix'}:
        prefix = source.get('prefix') or ''
        if prefix and not prefix.endswith('.'):
            prefix += '.'
        if isinstance(source.get('checkpoint'), str):
            return source['checkpoint'], prefix
    raise TypeError(
        'teacher_ckpt must be a path, a URL, or dict(checkpoint=..., '
        f'prefix=...), got {source!r}'
    )


def _lacking_message(
    path: str,
    lacking: List[str],
    required: int,
    state_dict: Dict[str, Tensor],
    load: StateLoad,
) -> str:
    shown = [
        f'{name} (another shape: {tuple(state_dict[name].shape)})'
        if name in load.mismatched and name in state_dict
        else name
        for name in lacking[:5]
    ]
    more = ', ...' if len(lacking) > 5 else ''
    return (
        f'teacher_ckpt {path!r} is not this teacher: '
        f'{required - len(lacking)} of the {required} weights that the '
        f'recorded layers depend on matched. Not matched: '
        f'{", ".join(shown)}{more}. {_prefix_hint(path, lacking, state_dict)}'
    )


def _prefix_hint(
    path: str, lacking: List[str], state_dict: Dict[str, Tensor]
) -> str:
    prefixes = Counter(
        key[: -len(name)]
        for name in lacking
        for key in state_dict
        if key.endswith('.' + name)
    )
    if prefixes:
        prefix = prefixes.most_common(1)[0][0]
        return (
            f'The names in the file begin with {prefix!r}: '
            f'teacher_ckpt=dict(checkpoint={path!r}, prefix={prefix!r}) '
            'would fix it'
        )
    stripped = next(
        (
            name[: -len(key)]
            for name in lacking
            for key in state_dict
            if name.endswith('.' + key)
        ),
        None,
    )
    if stripped:
        return (
            f'The names in the file lack the prefix {stripped!r}: it holds '
            'a part of the model only; a checkpoint of the whole teacher is '
            'needed'
        )
    example = next(iter(state_dict))
    return (
        f'The file has {len(state_dict)} others, as {example!r}: it belongs '
        "to another model; check teacher against the file's own config"
    )
