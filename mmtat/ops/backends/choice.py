"""Which backend to take, from measurements kept beside this file."""

import functools
import json
import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import torch
from torch import Tensor

from .backend import Backend
from .fused import FUSED
from .plain import PLAIN
from .sdpa import SDPA

#: Name to backend, the simplest first.
BACKENDS: Dict[str, Backend] = {
    backend.name: backend for backend in (PLAIN, SDPA, FUSED)
}
#: Written by ``python tools/benchmark.py loss --write-measurements``.
MEASUREMENTS = Path(__file__).with_name('measurements.json')
#: Bytes of a map (N, Hq*Wq, Hk*Wk) beyond which ``auto`` lets no backend
#: keep it: it would keep three.
MAX_MAP_BYTES = 2**26
#: Where nothing was measured: widths that flash attention serves in half
#: precision, and tokens over width from which products of blocks win.
_FLASH_WIDTH = 256
_TOKENS_OVER_WIDTH = 2


class Shape(NamedTuple):
    """What the time of the loss depends on.

    Attributes:
        device (str): Type of the device.
        dtype (str): Name of the query's dtype.
        heads (int): N.
        tokens (float): Geometric mean of Hq*Wq and Hk*Wk.
        width (float): Geometric mean of C and Cv.
    """

    device: str
    dtype: str
    heads: int
    tokens: float
    width: float

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor) -> 'Shape':
        """The shape of an attention over maps.

        Args:
            query (Tensor): (N, C, Hq, Wq).
            key (Tensor): (N, C, Hk, Wk).
            value (Tensor): (N, Cv, Hk, Wk).

        Returns:
            Shape: What the choice depends on.
        """
        return cls(
            query.device.type,
            str(query.dtype).removeprefix('torch.'),
            len(query),
            math.sqrt(query[0, 0].numel() * key[0, 0].numel()),
            math.sqrt(query.shape[1] * value.shape[1]),
        )


def check_backend(name: str) -> None:
    """Raise ValueError unless ``name`` is that of a backend, or 'auto'.

    Args:
        name (str): What came.

    Raises:
        ValueError: Anything else; the message names those there are.
    """
    if name not in ('auto', *BACKENDS):
        raise ValueError(
            f'backend must be one of {_quoted(["auto", *BACKENDS])}, got '
            f'{name!r}'
        )


# Tracing would follow the reading of the file.
@torch.compiler.disable
def choose_backend(query: Tensor, key: Tensor, value: Tensor) -> str:
    """Name the backend that ``auto`` stands for.

    Of the backends that do not refuse, it is the fastest at the measured
    shape that is nearest (in logarithms of heads, tokens and width) on this
    type of device and in this dtype; where nothing was measured, the rule
    is: plain products up to tokens of twice the width, then sdpa for
    bfloat16 of width 256 or less, else fused. Beyond
    :data:`MAX_MAP_BYTES`, plain is not taken.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).

    Returns:
        str: A key of :data:`BACKENDS`.
    """
    shape = Shape.of(query, key, value)
    for name in _ranking(shape, MEASUREMENTS):
        if BACKENDS[name].refusal(query, key, value) is None:
            return name
    return PLAIN.name


def serving_backend(
    name: str, query: Tensor, key: Tensor, value: Tensor
) -> Backend:
    """The backend of a name, or the one chosen for 'auto'.

    Args:
        name (str): A key of :data:`BACKENDS`, or 'auto'.
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).

    Returns:
        Backend: One that serves these maps.

    Raises:
        ValueError: There is no such backend, or it refuses; the message says
            why, and which can serve.
    """
    check_backend(name)
    if name == 'auto':
        return BACKENDS[choose_backend(query, key, value)]
    reason = BACKENDS[name].refusal(query, key, value)
    if reason is not None:
        others = [
            other.name
            for other in BACKENDS.values()
            if other.refusal(query, key, value) is None
        ]
        raise ValueError(
            f'backend={name!r} cannot serve a query '
            f'{tuple(query.shape)}, a key {tuple(key.shape)} and a value '
            f'{tuple(value.shape)} of {query.dtype} on '
            f'{query.device}: {reason}; possible are {_quoted(others)}'
        )
    return BACKENDS[name]


def _quoted(names: List[str]) -> str:
    return ', '.join(map(repr, names))


@functools.lru_cache(maxsize=1024)
def _ranking(shape: Shape, path: Path) -> List[str]:
    """Names of backends, the best first; plain is not among them if large."""
    seconds = _nearest(shape, _read(path))
    names = _ruled(shape)
    if seconds:
        # What was not measured comes last, in the order of the rules.
        names.sort(key=lambda name: seconds.get(name, math.inf))
    size = shape.heads * shape.tokens**2
    size *= 8 if shape.dtype == 'float64' else 4
    if size > MAX_MAP_BYTES:
        names.remove(PLAIN.name)
    return names


def _ruled(shape: Shape) -> List[str]:
    """The order by the rules alone."""
    if shape.tokens <= _TOKENS_OVER_WIDTH * shape.width:
        return [PLAIN.name, FUSED.name, SDPA.name]
    if shape.dtype == 'bfloat16' and shape.width <= _FLASH_WIDTH:
        return [SDPA.name, FUSED.name, PLAIN.name]
    return [FUSED.name, SDPA.name, PLAIN.name]


def _nearest(
    shape: Shape, measured: Dict[Shape, Dict[str, float]]
) -> Optional[Dict[str, float]]:
    """Seconds by backend at the nearest shape of this device and dtype."""
    dtype = 'float32' if shape.dtype == 'float64' else shape.dtype
    candidates = [s for s in measured if s[:2] == (shape.device, dtype)]
    if not candidates:
        return None
    nearest = min(candidates, key=lambda other: _distance(shape, other))
    return measured[nearest]


def _distance(one: Shape, other: Shape) -> float:
    return sum(
        math.log(number / other_number) ** 2
        for number, other_number in zip(one[2:], other[2:])
    )


@functools.lru_cache(maxsize=8)
def _read(path: Path) -> Dict[Shape, Dict[str, float]]:
    """Seconds by backend, by shape, of all that was measured."""
    measured: Dict[Shape, Dict[str, float]] = {}
    for run in json.loads(path.read_text(encoding='utf-8')):
        for row in run['rows']:
            shape = Shape(*(row[name] for name in Shape._fields))
            measured.setdefault(shape, {})[row['backend']] = row['seconds']
    return measured
