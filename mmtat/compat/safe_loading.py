"""Loading weights, and nothing that runs."""

import functools
import pickle
import types
from typing import Any, Callable, List

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .pickle_globals import File
from .weights_only import argument_name, load_weights, reading_for
from .workaround import Workaround

_HISTORY_METHODS = ('mean', 'max', 'min', 'current')
#: Numbers that are allowed in arrays, as numpy's pickles spell them.
_NUMBERS = frozenset({'f4', 'f8', 'i8'})


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


def _number_type(kind: str, *align_and_copy: bool) -> np.dtype:
    """Answer ``numpy.dtype`` for plain numbers, else not.

    The real one gives a copy, which the state in the file may then turn into
    one whose bytes numpy takes for the addresses of objects. The one that
    numpy itself uses keeps its state.
    """
    if kind in _NUMBERS:
        return np.dtype(kind)
    raise pickle.UnpicklingError(
        f'the file asks for arrays of {kind!r}; only plain numbers are allowed'
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
        _renamed(_number_type, 'numpy.dtype'),
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
    def load(f: File, map_location: Any = None, **kwargs) -> Any:
        return load_weights(f, map_location)


def _load_from_http(
    filename: str, map_location: Any = None, model_dir: Any = None, **kwargs
) -> Any:
    """In place of mmengine's, which believes whatever it got."""
    from mmtat.downloads import fetch

    path = fetch(filename, argument_name(), folder=model_dir)
    return load_weights(str(path), map_location)


# mmengine's log names a loader by what follows.
_load_from_http.__name__ = 'load_from_http'


def _named(function: Callable, name_of: Callable) -> Callable:
    """Run a reader with the name of what it reads for."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        with reading_for(name_of(*args, **kwargs)):
            return function(*args, **kwargs)

    return run


def _purpose(runner: Any, filename: Any, *args, **kwargs) -> str:
    is_start = str(filename) == str(runner._load_from)
    return 'load_from' if is_start else 'checkpoint'


def _weights_only_needed() -> bool:
    from mmengine.runner import checkpoint

    return checkpoint.torch is torch


def _apply_weights_only() -> None:
    from mmengine.model.weight_init import PretrainedInit
    from mmengine.runner import Runner, checkpoint

    torch.serialization.add_safe_globals(safe_globals())
    checkpoint.torch = _WeightsOnlyTorch('torch')
    checkpoint.load_url = checkpoint.load_from_http = _load_from_http
    checkpoint.CheckpointLoader.register_scheme(
        ('http://', 'https://'), _load_from_http, force=True
    )
    PretrainedInit.__call__ = _named(
        PretrainedInit.__call__,
        lambda _, module: f'init_cfg of {type(module).__name__}',
    )
    Runner.resume = _named(Runner.resume, lambda *args, **kwargs: 'resume')
    Runner.load_checkpoint = _named(Runner.load_checkpoint, _purpose)


WORKAROUND = Workaround(
    'weights-only',
    'mmengine loads files from the network (and, before torch 2.6, all '
    'files) by plain pickle, its own files not at all on torch >= 2.6, and '
    'believes whatever the network gave it',
    'mmengine passes weights_only=True everywhere, saves no pickled methods, '
    'and checks what it fetches',
    _weights_only_needed,
    _apply_weights_only,
)
