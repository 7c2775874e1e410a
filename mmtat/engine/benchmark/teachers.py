"""The benchmark of the teacher: each option beside the plain forward."""

from typing import Any, Dict, List

import torch

from .measure import measure
from .network_candidates import FrozenForward, NetworkCandidate, TeacherForward
from .networks import Workload, check_layer
from .result import Result
from .settings import Settings
from .workloads import table_name

FLOOR, STOCK = 'floor: float32, to the layer', 'mmrazor, whole loss'
_OFF: Dict[str, Any] = dict(
    dtype=None,
    channels_last=False,
    compile=False,
    fold_norms=False,
    stream=False,
)
#: What makes the teacher fast without a compiler.
FAST: Dict[str, Any] = dict(dtype='bfloat16', channels_last=True)


def teacher_candidates(
    workload: Workload, device: torch.device
) -> List[NetworkCandidate]:
    """What is measured of a teacher.

    Args:
        workload (Workload): Its config, layer and size.
        device (torch.device): Where.

    Returns:
        list[NetworkCandidate]: The floor first, then stock mmrazor.
    """
    singly = dict(
        channels_last=True,
        fold_norms=True,
        dtype='bfloat16',
        stream=True,
        compile=True,
    )
    half = []
    if device.type != 'cpu':
        # A CPU has no fast kernels for it: minutes for each forward.
        options = dict(_OFF, dtype='float16')
        half.append(FrozenForward('mmtat, float16', workload, options))
    return [
        TeacherForward(FLOOR, workload),
        TeacherForward(STOCK, workload, whole=True),
        FrozenForward('mmtat, options off', workload, dict(_OFF)),
        FrozenForward('mmtat, default', workload),
        *(
            FrozenForward(
                f'mmtat, {name}={value}', workload, dict(_OFF, **{name: value})
            )
            for name, value in singly.items()
        ),
        *half,
        FrozenForward(
            'mmtat, fast: bfloat16, channels_last', workload, dict(FAST)
        ),
        FrozenForward(
            'mmtat, fast and compile', workload, dict(FAST, compile=True)
        ),
    ]


def run_teacher(
    workload: Workload,
    name: str,
    settings: Settings,
) -> Result:
    """Measure the forward of a teacher, up to the recorded layer.

    Args:
        workload (Workload): Its config, layer and size.
        name (str): Of the preset, for the table's name.
        settings (Settings): How.

    Returns:
        Result: The table.

    Raises:
        ValueError: There is no such config or layer.
    """
    # What is not there is no row that cannot be had.
    check_layer(workload, 'teacher')
    candidates = teacher_candidates(workload, settings.device)
    rows = measure(candidates, settings)
    for row in rows:
        row.floor = FLOOR
    return Result(
        name=table_name('teacher', name, settings.device, workload.layer),
        title=f'Teacher to {workload.layer}, {name}',
        batch=settings.batch,
        rows=rows,
        reference=STOCK,
        notes=[
            f'{settings.batch} images of {workload.size} x {workload.size} '
            f'to `{workload.layer}`, random weights. Memory is what comes on '
            'top of the weights.'
        ],
        facts=dict(workload.__dict__),
    )
