"""Batches in tensors and plain values, and back."""

from typing import Any, Dict, Iterator, List

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..plain import to_plain

_KIND = '__kind__'


def plain_batch(value: Any) -> Any:
    """A batch in tensors and plain values, on the CPU.

    Args:
        value (Any): Of a data loader: dicts, lists and tuples of tensors,
            arrays, data elements and plain values.

    Returns:
        Any: What :func:`batch_of` makes the batch of.
    """
    if isinstance(value, Tensor):
        # A copy: a slice would be saved with all it was cut from.
        return value.detach().cpu().clone()
    if isinstance(value, BaseDataElement):
        kind = type(value)
        return {
            _KIND: 'element',
            'type': f'{kind.__module__}.{kind.__qualname__}',
            'metainfo': plain_batch(dict(value.metainfo_items())),
            'data': plain_batch(dict(value.items())),
        }
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
        return {
            _KIND: 'array',
            'dtype': str(value.dtype),
            'values': torch.from_numpy(
                # torch knows few integers without a sign.
                value.astype(np.int64)
                if value.dtype.kind == 'u'
                else value.copy()
            ),
        }
    if isinstance(value, dict):
        return {key: plain_batch(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, tuple) else list
        return kind(plain_batch(item) for item in value)
    # Within a list, what has no plain form becomes None.
    return to_plain([value], 'batch')[0]


def batch_of(plain: Any) -> Any:
    """The batch that :func:`plain_batch` was given.

    Args:
        plain (Any): Of a file.

    Returns:
        Any: A batch, as a model's ``train_step`` takes it.

    Raises:
        ValueError: It holds a data element of an unknown class.
    """
    if isinstance(plain, dict) and plain.get(_KIND) == 'array':
        return plain['values'].numpy().astype(plain['dtype'])
    if isinstance(plain, dict) and plain.get(_KIND) == 'element':
        element = _class_named(plain['type'])()
        element.set_metainfo(batch_of(plain['metainfo']))
        for name, value in plain['data'].items():
            setattr(element, name, batch_of(value))
        return element
    if isinstance(plain, dict):
        return {key: batch_of(value) for key, value in plain.items()}
    if isinstance(plain, (list, tuple)):
        return type(plain)(batch_of(item) for item in plain)
    return plain


def file_names(batch: Any) -> List[str]:
    """The images of a batch.

    Args:
        batch (Any): Of a data loader.

    Returns:
        list[str]: ``img_path`` of its samples, where they have one.
    """
    return [str(path) for path in _paths(batch)]


def batch_tensors(batch: Any, name: str = '') -> Dict[str, Tensor]:
    """The tensors that a batch gives the model, beside its labels.

    Args:
        batch (Any): Of a data loader.
        name (str): Where it stands. Defaults to '', the whole.

    Returns:
        dict[str, Tensor]: By where they stand.
    """
    if isinstance(batch, Tensor):
        return {name or 'batch': batch}
    if isinstance(batch, dict):
        items = batch.items()
    elif isinstance(batch, (list, tuple)):
        items = enumerate(batch)
    else:
        return {}
    return {
        key: tensor
        for own, value in items
        for key, tensor in batch_tensors(
            value, f'{name}[{own}]' if name else str(own)
        ).items()
    }


def _paths(batch: Any) -> Iterator[Any]:
    if isinstance(batch, BaseDataElement):
        if batch.get('img_path') is not None:
            yield batch.get('img_path')
    elif isinstance(batch, dict):
        for key, value in batch.items():
            if key != 'img_path':
                yield from _paths(value)
            elif isinstance(value, (list, tuple)):
                yield from value
            else:
                yield value
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from _paths(value)


def _class_named(name: str) -> type:
    """Among those that are known: a file cannot have others imported."""
    waiting = [BaseDataElement]
    while waiting:
        kind = waiting.pop()
        if f'{kind.__module__}.{kind.__qualname__}' == name:
            return kind
        waiting += kind.__subclasses__()
    raise ValueError(
        f'the dump holds a {name!r}, which is no data element that the '
        "config's packages define"
    )
