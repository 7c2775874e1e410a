"""Loading a teacher's weights, and refusing a file that is not the teacher's.

A teacher with the wrong weights trains a student on noise without a sign of
it, so what the recorded layers depend on must be in the file, whole.
"""

import logging
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Optional, Union

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

CheckpointSource = Union[str, Dict[str, str]]


@dataclass
class _Load:
    """Names in the model's state dict that a file did not fill, or misfit."""

    missing: List[str]
    unexpected: List[str]
    mismatched: List[str]


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
    state_dict = read_state_dict(path, 'teacher_ckpt')
    if prefix:
        state_dict = {
            name[len(prefix) :]: tensor
            for name, tensor in state_dict.items()
            if name.startswith(prefix)
        }
    load = _load_into(model, state_dict)
    known = set(model.state_dict())
    required = known if required is None else required & known
    bad = set(load.missing + load.mismatched)
    lacking = sorted(n for n in bad & required if not _is_counter(n))
    if lacking:
        raise ValueError(
            _lacking_message(path, lacking, len(required), state_dict, load)
        )
    behind = [name for name in bad - required if not _is_counter(name)]
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


def read_state_dict(path: str, name: str) -> Dict[str, Tensor]:
    """The weights in a checkpoint file, without a leading 'module.'.

    Args:
        path (str): Path or URL of a checkpoint.
        name (str): Name of the argument, for messages.

    Returns:
        dict[str, Tensor]: The file's ``state_dict`` or ``model`` entry, or
        the file itself where it is a bare state dict.

    Raises:
        ValueError: The file is missing, out of reach, truncated, or no
            checkpoint.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu', 'silent')
    except FileNotFoundError as error:
        raise ValueError(
            f'{name}: no file {path!r}; give the path or the URL of a '
            'checkpoint'
        ) from error
    except OSError as error:
        raise ValueError(
            f'{name}: {path!r} cannot be fetched or opened: '
            f'{_first_line(error)}. Without a network, give the path of a '
            'file'
        ) from error
    except Exception as error:
        raise ValueError(
            f'{name}: {path!r} cannot be read as a checkpoint of weights '
            f'(truncated, or another kind of file): {_first_line(error)}'
        ) from error
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, dict) and key in checkpoint:
            checkpoint = checkpoint[key]
    if not _is_state_dict(checkpoint):
        raise ValueError(
            f'{name}: {path!r} holds no weights; expected a dict of tensors, '
            "or one under 'state_dict'"
        )
    if all(key.startswith('module.') for key in checkpoint):
        return {key[len('module.') :]: t for key, t in checkpoint.items()}
    return checkpoint


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _first_line(error: Exception) -> str:
    refused = re.search(r'(?:GLOBAL|class) ([\w.]+)', str(error))
    if refused:
        return f'it holds {refused[1]}, which is no weight and may run code'
    return (str(error) or type(error).__name__).strip().split('\n')[0]


def _split_source(source: CheckpointSource) -> tuple:
    if isinstance(source, str):
        return source, ''
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


def _load_into(model: nn.Module, state_dict: Dict[str, Tensor]) -> _Load:
    """Load what fits, with each module's own conversion of old files."""
    missing, unexpected, errors = [], [], []
    metadata = getattr(state_dict, '_metadata', None) or {}

    def load(module: nn.Module, local: Dict[str, Tensor], prefix: str) -> None:
        module._load_from_state_dict(
            local,
            prefix,
            metadata.get(prefix[:-1], {}),
            True,
            missing,
            unexpected,
            errors,
        )
        for name, child in module.named_children():
            begin = f'{prefix}{name}.'
            part = {k: v for k, v in local.items() if k.startswith(begin)}
            load(child, part, begin)

    load(model, dict(state_dict), '')
    mismatched = re.findall(r'size mismatch for (\S+):', '\n'.join(errors))
    return _Load(missing, unexpected, mismatched)


def _is_counter(name: str) -> bool:
    # Older files lack it, and a model in eval mode never reads it.
    return name.endswith('num_batches_tracked')


def _lacking_message(
    path: str,
    lacking: List[str],
    required: int,
    state_dict: Dict[str, Tensor],
    load: _Load,
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
