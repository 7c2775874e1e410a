"""The benchmark of the step: what distillation adds to its floor."""

from dataclasses import replace
from typing import Dict, List, Optional

import torch
from mmengine.optim import build_optim_wrapper

from ..report import quiet
from .child import call_in_child
from .measure import measure
from .memory import MIB
from .network_candidates import (
    LayerLoss,
    NetworkCandidate,
    Prediction,
    TeacherForward,
    TrainStep,
)
from .networks import Workload, check_layer, random_batch
from .result import Result, Row
from .settings import Settings
from .teachers import FAST
from .weights import trained_bytes, weight_bytes
from .workloads import table_name

TEACHER, STUDENT, LOSS = 'teacher to the layer', 'student alone', 'TaT alone'
FLOOR = 'floor: teacher + student'
WITH_LOSS = 'floor + TaT alone'
TAT, STOCK = 'mmtat, TaT', 'mmrazor, L2'
#: Side of images for what does not depend on it.
_SMALL = 64


def step_candidates(workload: Workload) -> List[NetworkCandidate]:
    """What is measured of a training step.

    Args:
        workload (Workload): The config, layer and size.

    Returns:
        list[NetworkCandidate]: The parts first.
    """
    return [
        TeacherForward(TEACHER, workload),
        TrainStep(STUDENT, workload, 'student'),
        LayerLoss(LOSS, workload),
        TrainStep(TAT, workload, 'tat'),
        TrainStep(f'{TAT}, fast teacher', workload, 'tat', dict(FAST)),
        TrainStep('mmtat, L2', workload, 'l2'),
        TrainStep('mmtat, L2, fast teacher', workload, 'l2', dict(FAST)),
        TrainStep(STOCK, workload, 'stock'),
    ]


def run_step(
    workload: Workload,
    name: str,
    settings: Settings,
) -> Result:
    """Measure training steps, and the parts of their floor, in turns.

    Args:
        workload (Workload): The config, layer and size.
        name (str): Of the preset, for the table's name.
        settings (Settings): How.

    Returns:
        Result: The table.

    Raises:
        ValueError: There is no such config or layer.
    """
    check_layer(workload, 'student')
    teacher_bytes = weight_bytes(check_layer(workload, 'teacher'))
    facts = dict(workload.__dict__, teacher_bytes=teacher_bytes)
    settings.say('memory: embeddings')
    facts['embedding_bytes'] = call_in_child(_embedding_bytes, workload)
    candidates = step_candidates(workload)
    rows = measure(candidates, settings)
    by_name = {row.name: row for row in rows}
    floors = [
        added(FLOOR, by_name[TEACHER], by_name[STUDENT]),
        added(WITH_LOSS, *(by_name[n] for n in (TEACHER, STUDENT, LOSS))),
    ]
    rows[3:3] = floors
    for row in rows:
        row.floor = FLOOR
    result = Result(
        name=table_name('step', name, settings.device, workload.layer),
        title=f'Training step, {name}, {workload.layer}',
        batch=settings.batch,
        rows=rows,
        reference=STOCK,
        facts=facts,
        notes=[
            f'{settings.batch} images of {workload.size} x {workload.size}, '
            f'`{workload.layer}` in both, random weights. The memory of a '
            "step includes its models and the optimizer's state; that of "
            'the teacher and of the loss alone does not.'
        ],
    )
    weights = facts['teacher_bytes'] + facts['embedding_bytes']
    bound = memory_bound(by_name, weights, settings.batch)
    if bound is not None and by_name[TAT].memory is not None:
        peak = by_name[TAT].memory.at(settings.batch)
        facts['memory_bound'] = bound
        result.notes.append(
            "The larger of the teacher's forward and the student's step, the "
            "teacher's weights, the embeddings with gradient and optimizer "
            f'state, and what TaT needs alone are {bound / MIB:.0f} MiB; the '
            f'step with TaT takes {peak / MIB:.0f}.'
        )
    return result


def growth_steps(workload: Workload) -> List[NetworkCandidate]:
    """The few whose growth is drawn.

    Args:
        workload (Workload): The config, layer and size.

    Returns:
        list[NetworkCandidate]: The student's own step, mmtat's, and stock
        mmrazor's.
    """
    return [
        TrainStep(STUDENT, workload, 'student'),
        TrainStep(TAT, workload, 'tat'),
        TrainStep(STOCK, workload, 'stock'),
    ]


def run_validation(
    workload: Workload,
    name: str,
    settings: Settings,
) -> Result:
    """Measure a validation step with and without a teacher around.

    Args:
        workload (Workload): The config, layer and size.
        name (str): Of the preset, for the table's name.
        settings (Settings): How.

    Returns:
        Result: The table.

    Raises:
        ValueError: There is no such config.
    """
    workload.read()
    floor = 'floor: student alone'
    rows = measure(
        [
            Prediction(floor, workload, 'student'),
            Prediction(TAT, workload, 'tat'),
            Prediction(STOCK, workload, 'stock'),
        ],
        settings,
        with_memory=False,
    )
    for row in rows:
        row.floor = floor
    return Result(
        name=table_name('validation', name, settings.device),
        title=f'Validation step, {name}',
        batch=settings.batch,
        rows=rows,
        notes=[
            f'{settings.batch} images of {workload.size} x {workload.size}. '
            "mmrazor's own validation loop runs the teacher as well, which "
            'is not counted here.'
        ],
    )


def added(name: str, *rows: Row) -> Row:
    """A row that is the sum of others, round by round.

    Args:
        name (str): Of the new row.
        *rows (Row): Taken in the same rounds.

    Returns:
        Row: Without times where one of them has none.
    """
    return Row(name, [sum(own) for own in zip(*(r.seconds for r in rows))])


def memory_bound(
    rows: Dict[str, Row], weights: int, batch: int
) -> Optional[float]:
    """What a step may need at most, of its parts.

    Args:
        rows (dict[str, Row]): By name, see :func:`step_candidates`.
        weights (int): Bytes of what distillation adds to the student's.
        batch (int): Images.

    Returns:
        float | None: Bytes: the larger of the teacher's forward and the
        student's step, the weights, and the loss's own, in which the
        gradient of the student's map stands for the recorded map; None
        where a part was not measured.
    """
    parts = [rows[name].memory for name in (TEACHER, STUDENT, LOSS)]
    if None in parts:
        return None
    teacher, student, loss = (part.at(batch) for part in parts)
    return max(teacher, student) + weights + loss


def _embedding_bytes(workload: Workload) -> int:
    """Of the distiller's weights, gradients and optimizer state."""
    step = TrainStep(TAT, replace(workload, size=_SMALL), 'tat')
    with quiet():
        config = step.workload.read()
        # Cutting a map needs no weight, and this one is small.
        config.model.distiller.branches = dict(whole=dict())
        device = torch.device('cpu')
        model = step.model(config, device)
        optimizer = build_optim_wrapper(model, config.optim_wrapper)
        model.train_step(random_batch(config, 2, device), optimizer)
    gradients = weight_bytes(model.distiller)
    return trained_bytes(model.distiller, optimizer) + gradients
