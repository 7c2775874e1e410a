"""Checkpoints that hold nothing but tensors and Python's own values.

Such a file is taken by plain ``torch.load`` in a process that never heard
of mmtat or mmengine.
"""

import logging
from collections import Counter, OrderedDict
from typing import Any, Dict

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log

_PLAIN = (
    *(str, bytes, bool, int, float, complex, type(None)),
    *(torch.Size, torch.dtype, torch.device),
)
_NO_PLAIN_FORM = object()


def to_plain(value: Any, name: str = 'checkpoint') -> Any:
    """Replace what a plain ``torch.load`` refuses.

    What is plain already comes back as it is, not as a copy: mmengine
    compares a data set's metadata by its pickle, in which identity counts.

    Args:
        value (Any): A part of a checkpoint.
        name (str): Where it stands, for the warning. Defaults to
            'checkpoint'.

    Returns:
        Any: The same with numpy's arrays as lists, its scalars as Python's,
        paths as strings, and histories as dicts. What has no plain form,
        such as a scheduler's function, is left out with a warning; what
        reads the file then keeps its own.
    """
    if type(value) in _PLAIN or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, HistoryBuffer):
        return _history_to_plain(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.tolist()
    if isinstance(value, dict):
        return _dict_to_plain(value, name)
    if isinstance(value, (list, tuple, set)):
        return _sequence_to_plain(value, name)
    for kind in (bool, int, float, complex, str, bytes):
        if isinstance(value, kind):
            return kind(value)
    if hasattr(value, '__fspath__'):
        return value.__fspath__()
    print_log(
        f'{name} is a {type(value).__name__}, which no plain file can hold; '
        'it is not saved',
        'current',
        logging.WARNING,
    )
    return _NO_PLAIN_FORM


def _sequence_to_plain(value: Any, name: str) -> Any:
    items = [to_plain(v, f'{name}[{i}]') for i, v in enumerate(value)]
    items = [None if item is _NO_PLAIN_FORM else item for item in items]
    kind = type(value) if type(value) in (list, tuple, set) else list
    same = all(new is old for new, old in zip(items, value))
    return value if same and kind is type(value) else kind(items)


def _dict_to_plain(value: Dict, name: str) -> Dict:
    items = [
        (to_plain(key, name), to_plain(item, f'{name}.{key}'))
        for key, item in value.items()
    ]
    same = all(
        key is old_key and item is old_item
        for (key, item), (old_key, old_item) in zip(items, value.items())
    )
    if same and type(value) in (dict, OrderedDict, Counter):
        return value
    items = [item for item in items if item[1] is not _NO_PLAIN_FORM]
    plain = (
        OrderedDict(items) if isinstance(value, OrderedDict) else dict(items)
    )
    if hasattr(value, '_metadata'):
        plain._metadata = value._metadata
    return plain


def _history_to_plain(history: HistoryBuffer) -> Dict[str, Any]:
    logs, counts = history.data
    return dict(
        log_history=torch.as_tensor(logs),
        count_history=torch.as_tensor(counts),
        max_length=history.max_length,
    )


def restore_histories(message_hub: Dict[str, Any]) -> None:
    """Rebuild mmengine's histories in a plain message hub, in place.

    Args:
        message_hub (dict): The entry of a checkpoint.
    """
    scalars = message_hub.get('log_scalars', {})
    for name, value in scalars.items():
        if isinstance(value, dict) and 'log_history' in value:
            scalars[name] = HistoryBuffer(
                value['log_history'].cpu().numpy(),
                value['count_history'].cpu().numpy(),
                value['max_length'],
            )
