"""Times of the loss's backends, by which ``backend='auto'`` chooses."""

import json
import statistics
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from mmtat.ops.backends import BACKENDS, MEASUREMENTS, Backend

from ..timing import Step, spread, time_in_turns
from .machine import machine
from .memory import OutOfMemory, out_of_memory_named

#: Heads, tokens and width of the published experiments: patch groups of one
#: image and of eight (VOC R18 and MobileNetV2, COCO-Stuff R18), ImageNet's
#: batches, anchors of 32x32 and 64x64, and one-to-all at 128x128.
SHAPES = (
    (64, 64, 1024),
    (1024, 16, 256),
    (512, 16, 512),
    (16, 49, 512),
    (256, 49, 512),
    (1, 1024, 256),
    (1, 4096, 256),
    (1, 16384, 256),
)
DTYPES = ('float32', 'bfloat16')
#: What takes little is measured more often: so many seconds of the slowest.
_SECONDS = 1.0
_MOST_ROUNDS = 100


def measure_backends(
    shapes: Sequence[Tuple[int, int, int]],
    device: torch.device,
    dtypes: Sequence[str] = DTYPES,
    repeats: int = 9,
    say: Callable[[str], Any] = lambda line: None,
) -> List[Dict[str, Any]]:
    """Time forward and backward of every backend, in turns.

    Query, key and value take a gradient, the target takes none.

    Args:
        shapes (Sequence[tuple[int, int, int]]): Heads, tokens and width, as
            :data:`SHAPES`.
        device (torch.device): Where.
        dtypes (Sequence[str]): Names of floating dtypes. Defaults to
            :data:`DTYPES`.
        repeats (int): Rounds, at least 1; more where they are short.
            Defaults to 9.
        say (Callable[[str], Any]): Gets a line for each shape that begins.

    Returns:
        list[dict]: Plain values, one for each shape, dtype and backend:
        those three and device, ``seconds`` (the median, None where there is
        none), ``quartiles``, and ``note``, which says why there is none.

    Raises:
        ValueError: A number or a dtype is none that can be measured.
    """
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, got {repeats}')
    dtypes = [_check_dtype(name) for name in dtypes]
    rows = []
    for dtype in dtypes:
        for shape in shapes:
            say(f'{dtype} {" x ".join(map(str, shape))}')
            rows += _measure_shape(shape, device, dtype, repeats)
    return rows


def write_measurements(
    rows: Sequence[Dict[str, Any]],
    device: torch.device,
    command: str,
    path: Path = MEASUREMENTS,
) -> None:
    """Keep what was measured, instead of what was kept of such a device.

    Args:
        rows (Sequence[dict]): Of :func:`measure_backends`.
        device (torch.device): That they are of.
        command (str): That measured them.
        path (Path): The file. Defaults to the one that 'auto' reads.

    Raises:
        ValueError: A row is of another type of device.
    """
    strangers = {row['device'] for row in rows} - {device.type}
    if strangers:
        raise ValueError(
            f'rows must be of the device {device.type!r}, got {strangers}'
        )
    runs = [
        run
        for run in json.loads(path.read_text(encoding='utf-8'))
        if run['device'] != device.type
    ]
    runs.append(
        dict(
            device=device.type,
            command=command,
            torch=torch.__version__,
            machine=machine(device),
            rows=[
                {name: row[name] for name in row if name != 'note'}
                for row in rows
                if row['seconds'] is not None
            ],
        )
    )
    # Written beside and put in place, so that no half of it is ever read.
    written = path.with_suffix('.tmp')
    written.write_text(_as_text(runs), encoding='utf-8')
    written.replace(path)


def _check_dtype(name: str) -> str:
    dtype = getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(
            f"dtypes must be names as 'float32' or 'bfloat16', got {name!r}"
        )
    return name


def _measure_shape(
    shape: Tuple[int, int, int],
    device: torch.device,
    dtype: str,
    repeats: int,
) -> List[Dict[str, Any]]:
    maps = _random_maps(shape, device, dtype)
    notes: Dict[str, str] = {}
    steps: Dict[str, Step] = {}
    for name, backend in BACKENDS.items():
        refusal = backend.refusal(*maps[:3])
        if refusal is not None:
            notes[name] = refusal
            continue
        step = _step_of(backend, maps)
        try:
            with out_of_memory_named():
                # The first runs load code and find kernels.
                for _ in range(1 if device.type == 'cpu' else 3):
                    step()
        except OutOfMemory as error:
            notes[name] = f'out of memory: {error}'
        else:
            steps[name] = step
    slowest = max(map(max, time_in_turns(steps, 1, device).values()))
    short = min(_MOST_ROUNDS, int(_SECONDS / slowest))
    times = time_in_turns(steps, max(repeats, short), device)
    heads, tokens, width = shape
    common = dict(
        device=device.type,
        dtype=dtype,
        heads=heads,
        tokens=tokens,
        width=width,
    )
    return [
        dict(common, backend=name, **_summary(times.get(name, [])))
        | dict(note=notes.get(name, ''))
        for name in BACKENDS
    ]


def _random_maps(
    shape: Tuple[int, int, int], device: torch.device, dtype: str
) -> List[Tensor]:
    """Query, key, value and target (heads, width, tokens, 1)."""
    heads, tokens, width = shape
    generator = torch.Generator(device).manual_seed(0)
    maps = []
    for needs_gradient in (True, True, True, False):
        feature = torch.randn(
            heads, width, tokens, 1, generator=generator, device=device
        )
        # Logits of about one, as of normalised embeddings.
        feature = (feature * width**-0.25).to(getattr(torch, dtype))
        maps.append(feature.requires_grad_(needs_gradient))
    return maps


def _step_of(backend: Backend, maps: List[Tensor]) -> Step:
    def step() -> None:
        torch.autograd.grad(backend.loss(*maps), maps[:3])

    return step


def _summary(times: Sequence[float]) -> Dict[str, Any]:
    if not times:
        return dict(seconds=None, quartiles=None)
    low, high = spread(times)
    return dict(
        seconds=float(f'{statistics.median(times):.4g}'),
        quartiles=[float(f'{value:.4g}') for value in (low, high)],
    )


def _as_text(runs: Sequence[Dict[str, Any]]) -> str:
    """JSON with a row on a line, whose changes can be read."""
    parts = []
    for run in runs:
        head = {key: value for key, value in run.items() if key != 'rows'}
        rows = ',\n'.join(f'   {json.dumps(row)}' for row in run['rows'])
        lines = json.dumps(head, indent=1)[:-2]
        parts.append(f'{lines},\n "rows": [\n{rows}\n ]}}')
    return '[' + ',\n'.join(parts) + ']\n'
