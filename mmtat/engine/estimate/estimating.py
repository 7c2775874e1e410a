"""What a training step of a config costs, before it is run."""

import functools
from dataclasses import dataclass, replace
from typing import Dict, Sequence, Tuple

from mmengine.model import BaseModel
from torch import nn

from . import parts
from .capacity import gpu_budget, largest_batch
from .case import Case
from .live_storage import Peak
from .operations import Operations, operations
from .step import FakeStep

#: Bytes of a step's process on a CPU that are no tensors: the models' Python
#: objects, and what oneDNN makes for each shape. Measured by --check, as the
#: process's peak less that of the tensors, on one machine: 25 to 35 MiB for
#: TaT from DeepLabV3 R101 to R18, from ResNet-34 to ResNet-18 and for a toy,
#: whose tensors take 9 to 1424; 45 to 50 for SegFormer, ReviewKD and in
#: bfloat16, 80 for Swin.
RUNTIME_BYTES = 30 * 2**20
#: Norms behind a global pooling need more than one value in training.
_LEAST = 2
KINDS = ('cpu', 'cuda')


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        student (int): Of the student.
        distiller (int): Of embeddings, connectors and losses.
        teacher (int): Of the whole teacher.
        teacher_run (int): Of what runs up to the last recorded layer.
        recorded (tuple[str, ...]): Names of the teacher's recorded layers.
    """

    student: int
    distiller: int = 0
    teacher: int = 0
    teacher_run: int = 0
    recorded: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """What a training step costs.

    Attributes:
        case (Case): The step.
        kind (str): 'cpu' or 'cuda', what it is estimated for.
        is_mixed (bool): Whether it is a step of mixed precision.
        parameters (Parameters): How many there are.
        operations (Operations): Multiply-adds for one image.
        peak (Peak): Bytes at the step's batch.
        growth (float): Bytes for each further image.
        batches (dict[float, int]): The largest batch by a GPU's memory in
            GB; see :func:`largest_batch`.
        trained_bytes (int): Of all parameters that get a gradient.
    """

    case: Case
    kind: str
    is_mixed: bool
    parameters: Parameters
    operations: Operations
    peak: Peak
    growth: float
    batches: Dict[float, int]
    trained_bytes: int


def estimate(
    case: Case, kind: str = 'cpu', gpus: Sequence[float] = ()
) -> Estimate:
    """Estimate a training step, without running it.

    Args:
        case (Case): The step.
        kind (str): 'cpu' or 'cuda'. Defaults to 'cpu'.
        gpus (Sequence[float]): Memory of GPUs in GB, for whose ways the
            batches are looked for.

    Returns:
        Estimate: It.

    Raises:
        TypeError, ValueError: The model cannot be built, or not be run
            without values; or a GPU has no memory.
    """
    budgets = {gigabytes: gpu_budget(gigabytes) for gigabytes in gpus}
    step = FakeStep(case, kind)
    peak = _with_runtime(step.memory(case.batch), kind)
    double = _with_runtime(step.memory(2 * case.batch), kind)
    on_gpu = step.of_kind('cuda')

    @functools.lru_cache(maxsize=None)
    def peak_of(batch: int) -> int:
        return on_gpu.memory(batch).total

    return Estimate(
        case=case,
        kind=kind,
        is_mixed=step.is_mixed,
        parameters=_parameters(step.model),
        operations=operations(step),
        peak=peak,
        growth=(double.total - peak.total) / case.batch,
        batches={
            gigabytes: largest_batch(peak_of, budget, _LEAST, 2 * _LEAST)
            for gigabytes, budget in budgets.items()
        },
        trained_bytes=sum(
            p.numel() * p.element_size()
            for p in step.model.parameters()
            if p.requires_grad
        ),
    )


def _with_runtime(peak: Peak, kind: str) -> Peak:
    """A GPU's allocator has no process."""
    if kind != 'cpu':
        return peak
    own = {parts.RUNTIME: RUNTIME_BYTES}
    return replace(
        peak,
        total=peak.total + RUNTIME_BYTES,
        parts={**peak.parts, **own},
        largest={**peak.largest, **own},
    )


def _parameters(model: BaseModel) -> Parameters:
    if not hasattr(model, 'teacher'):
        return Parameters(_count(model))
    used = model._teacher.run.used
    recorders = model.distiller.teacher_recorders.recorders.values()
    return Parameters(
        student=_count(model.architecture),
        distiller=_count(model.distiller),
        teacher=_count(model.teacher),
        teacher_run=sum(
            parameter.numel()
            for name, parameter in model.teacher.named_parameters()
            if name in used
        ),
        recorded=tuple(dict.fromkeys(r.source for r in recorders)),
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
