"""Loading weights, and nothing that runs."""

import functools
import pickle
import types
from typing import Any, Callable, List

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .workaround import Workaround

_HISTORY_METHODS = ('mean', 'max', 'min', 'current')


def _history_method(owner: Any, name: str) -> Callable:
    """Answer ``getattr`` for the statistics of HistoryBuffer, nothing else.

    The real ``getattr`` on the list of safe globals would let a crafted file
    reach any attribute of anything that is on it.
    """
    if owner is HistoryBuffer and name in _HISTORY_METHODS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'the file asks for the attribute {name!r} of {owner!r}; only the '
        f'statistics {_HISTORY_METHODS} of HistoryBuffer are allowed'
    )


def _bytes_of(text: str, encoding: str) -> bytes:
    """Answer ``_codecs.encode`` as pickle calls it for bytes, else not."""
    if encoding == 'latin1':
        return text.encode('latin1')
    raise pickle.UnpicklingError(
        f'the file asks for the encoding {encoding!r}; pickles use latin1'
    )


def _renamed(function: Callable, qualified_name: str) -> Callable:
    """A stand-in of ``function`` that the unpickler knows by another name.

    (object, name) pairs would say the same, but torch 2.4 has none.
    """

    @functools.wraps(function)
    def stand_in(*args, **kwargs):
        return function(*args, **kwargs)

    stand_in.__module__, stand_in.__name__ = qualified_name.rsplit('.', 1)
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


def safe_globals() -> List[Any]:
    """What mmengine's own checkpoints hold beside tensors, and no more."""
    try:
        from numpy._core import multiarray
    except ImportError:
        from numpy.core import multiarray
    reconstruct, scalar = multiarray._reconstruct, multiarray.scalar
    allowed = [
        HistoryBuffer,
        _renamed(_history_method, 'builtins.getattr'),
        # The data of arrays; newer torch than 2.4 allows the real one itself.
        _renamed(_bytes_of, '_codecs.encode'),
        np.ndarray,
        np.dtype,
        type(np.dtype('float64')),
        # Of mIoU, the best score of a run of mmsegmentation.
        type(np.dtype('float32')),
        type(np.dtype('int64')),
    ]
    for core in ('numpy.core', 'numpy._core'):
        allowed.append(
            _renamed(reconstruct, f'{core}.multiarray._reconstruct')
        )
        allowed.append(_renamed(scalar, f'{core}.multiarray.scalar'))
    return allowed


class _WeightsOnlyTorch(types.ModuleType):
    """``torch`` as mmengine's checkpoint module sees it: ``load`` is safe."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(*args, **kwargs) -> Any:
        kwargs['weights_only'] = True
        return torch.load(*args, **kwargs)


def _weights_only_needed() -> bool:
    from mmengine.runner import checkpoint

    return checkpoint.torch is torch


def _apply_weights_only() -> None:
    from mmengine.runner import checkpoint

    torch.serialization.add_safe_globals(safe_globals())
    checkpoint.torch = _WeightsOnlyTorch('torch')
    checkpoint.load_url = functools.partial(
        torch.hub.load_state_dict_from_url, weights_only=True
    )


WORKAROUND = Workaround(
    'weights-only',
    'mmengine loads files from the network (and, before torch 2.6, all '
    'files) by plain pickle, and its own files not at all on torch >= 2.6',
    'mmengine passes weights_only=True everywhere and saves no pickled '
    'methods',
    _weights_only_needed,
    _apply_weights_only,
)
