"""The benchmark of the loss: rows, floors and growth of one preset."""

from typing import List, Sequence

import torch

from mmtat.ops.backends import BACKENDS

from .arithmetic import Arithmetic, flops_of
from .candidate import Candidate
from .loss_candidates import (
    Attention,
    Layer,
    LossCandidate,
    Operator,
    Released,
)
from .measure import measure
from .memory import MIB
from .presets import Preset, random_maps
from .result import Result
from .settings import Settings
from .workloads import table_name

DTYPES = dict(
    float32=torch.float32, bfloat16=torch.bfloat16, float16=torch.float16
)
RELEASED, EAGER = 'released, plain', 'eager'


def candidates_of(
    preset: Preset, dtypes: Sequence[str] = ('float32',)
) -> List[LossCandidate]:
    """What is measured for a preset.

    Args:
        preset (Preset): The shapes.
        dtypes (Sequence[str]): Of mmtat's rows; the reference is always in
            float32.

    Returns:
        list[LossCandidate]: The floors first, then the reference.

    Raises:
        ValueError: An unknown dtype.
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(
                f'dtype must be one of {", ".join(DTYPES)}, got {dtype!r}'
            )
    exact = _is_exact(preset)
    kind = Attention if exact else Arithmetic
    found: List[LossCandidate] = [
        kind(_floor(preset, dtype), preset, DTYPES[dtype]) for dtype in dtypes
    ]
    if exact:
        found.append(Operator(EAGER, preset))
    else:
        found.append(Released(RELEASED, preset))
    for dtype in dtypes:
        ending = '' if dtype == 'float32' else f', {dtype}'
        if exact:
            found += _operators(preset, dtype, ending)
        found += _layers(preset, dtype, ending)
    return found


def run_loss(
    preset: Preset,
    settings: Settings,
    dtypes: Sequence[str] = ('float32',),
) -> Result:
    """Measure the loss of a preset, forward and backward.

    Args:
        preset (Preset): The shapes.
        settings (Settings): How.
        dtypes (Sequence[str]): Of mmtat's rows. Defaults to float32 alone.

    Returns:
        Result: The table.

    Raises:
        ValueError: An unknown dtype.
    """
    batch = settings.batch
    candidates = candidates_of(preset, dtypes)
    rows = measure(candidates, settings)
    random_maps.cache_clear()
    for row, candidate in zip(rows, candidates):
        name = str(candidate.dtype).removeprefix('torch.')
        row.floor = _floor(preset, name)
    reference = EAGER if _is_exact(preset) else RELEASED
    gflop = flops_of(preset) * batch / 1e9
    return Result(
        name=table_name('loss', preset.name, settings.device),
        title=f'Loss, {preset.name}, forward and backward',
        batch=batch,
        rows=rows,
        reference=reference,
        notes=[
            f'{batch} images of {preset.channels} x {preset.size[0]} x '
            f'{preset.size[1]}; one map is {preset.map_bytes / MIB:.1f} MiB, '
            f'convolutions and products are {gflop:.1f} GFLOP. Memory is what '
            "comes on top of the two maps, with the student map's gradient."
        ],
        facts=dict(
            preset=preset.name,
            map_bytes=preset.map_bytes,
            gflop=gflop,
            dtypes=list(dtypes),
        ),
    )


def growth_candidates(preset: Preset) -> List[Candidate]:
    """The few whose growth is drawn.

    Args:
        preset (Preset): The shapes.

    Returns:
        list[Candidate]: The reference, then mmtat's by each norm.
    """
    if _is_exact(preset):
        return [
            Operator(EAGER, preset),
            Operator('mmtat, auto', preset, backend='auto'),
        ]
    return [
        Released(RELEASED, preset),
        *(
            Layer(f'mmtat, norm per {norm}', preset, norm=norm)
            for norm in preset.norms
        ),
    ]


def _is_exact(preset: Preset) -> bool:
    """Whether the attention is all that counts."""
    is_whole = not (preset.patches or preset.anchors)
    return is_whole and preset.kernel_size == 1


def _floor(preset: Preset, dtype: str) -> str:
    kind = 'attention (sdpa)' if _is_exact(preset) else 'arithmetic'
    ending = '' if dtype == 'float32' else f', {dtype}'
    return f'floor: {kind}{ending}'


def _operators(preset: Preset, dtype: str, ending: str) -> List[LossCandidate]:
    return [
        Operator(f'{name}{ending}', preset, DTYPES[dtype], backend=name)
        for name in ('auto', *BACKENDS)
    ]


def _layers(preset: Preset, dtype: str, ending: str) -> List[LossCandidate]:
    backends = ('auto',) if _is_exact(preset) else ('auto', *BACKENDS)
    return [
        Layer(
            f'layer, norm per {norm}, {name}{ending}',
            preset,
            DTYPES[dtype],
            norm=norm,
            backend=name,
        )
        for norm in preset.norms
        for name in backends
    ]
