"""Multiply-adds of a training step: student, teacher and distillation."""

import contextlib
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Sequence
from unittest import mock

import torch
from mmengine.model import BaseModel
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..inspected import is_distillation
from .step import FakeStep

aten = torch.ops.aten
#: Norms behind a global pooling need more than one value in training.
_BATCH = 2


@dataclass
class Operations:
    """Multiply-adds for one image; FLOPs are twice as many.

    Of matrix products, convolutions and attention; norms, activations,
    softmax and pooling are not counted.

    Attributes:
        student_forward (float): Of the student's forward with its heads.
        student_step (float): With its backward.
        teacher_whole (float): Of the teacher's prediction.
        teacher_run (float): Up to the last recorded layer, as it is run.
        distillation (float): Of the distillation losses, their embeddings
            and connectors, with all their gradients.
    """

    student_forward: float = 0.0
    student_step: float = 0.0
    teacher_whole: float = 0.0
    teacher_run: float = 0.0
    distillation: float = 0.0


class _NoModules(contextlib.nullcontext):
    """Lets a counter count for the whole step alone.

    The backward of a distillation amid the student's forward breaks torch's
    bookkeeping of the modules it is in, which is an error in torch 2.4.
    """

    parents = frozenset({'Global'})


def operations(step: FakeStep) -> Operations:
    """Count the multiply-adds of a step, for one image.

    Args:
        step (FakeStep): The step.

    Returns:
        Operations: They.

    Raises:
        ValueError: The model cannot be run on fake tensors.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    counter.mod_tracker = _NoModules()
    model, found = step.model, Counter()

    @contextlib.contextmanager
    def counted(name: str) -> Iterator[None]:
        before = counter.get_total_flops()
        yield
        found[name] += counter.get_total_flops() - before

    with step.entered(_BATCH, counter) as data:
        with step.precision():
            data = model.data_preprocessor(data, True)
            if is_distillation(step.config):
                with torch.no_grad(), counted('teacher_whole'):
                    inputs = data.get('teacher_inputs', data['inputs'])
                    model.teacher(inputs, mode='tensor')
            with _separated(model, counted):
                losses = model._run_forward(data, mode='loss')
        own = {k: v for k, v in losses.items() if not k.startswith('distill.')}
        with counted('student_backward'):
            model.parse_losses(own)[0].backward()
    model.zero_grad()
    # An addition and a multiplication are one of them.
    per_image = {name: n / 2 / _BATCH for name, n in found.items()}
    backward = per_image.pop('student_backward', 0.0)
    forward = per_image.get('student_forward', 0.0)
    return Operations(student_step=forward + backward, **per_image)


@contextlib.contextmanager
def _separated(model: BaseModel, counted: Callable) -> Iterator[None]:
    """Count each part of the loss for itself, within.

    The distillation's backward is run where its losses are computed, and
    ends at the recorded maps.
    """
    student = getattr(model, 'architecture', model)

    def under(name: str, function: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            with counted(name):
                return function(*args, **kwargs)

        return call

    def distil() -> Dict[str, Tensor]:
        _cut_off(model.distiller.student_recorders)
        losses = compute()
        with torch.autocast('cpu', enabled=False):
            total = model.parse_losses(losses)[0] if losses else None
            if total is not None and total.requires_grad:
                total.backward()
        return tree_map(lambda loss: loss.detach(), losses)

    forward = under('student_forward', student.forward)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(student, 'forward', forward))
        if student is not model:
            teacher, distiller = model._teacher, model.distiller
            compute = distiller.compute_distill_losses
            for owner, name, new in (
                (teacher, 'record', under('teacher_run', teacher.record)),
                (
                    distiller,
                    'compute_distill_losses',
                    under('distillation', distil),
                ),
            ):
                stack.enter_context(mock.patch.object(owner, name, new))
        yield


def _cut_off(manager: RecorderManager) -> None:
    """Make leaves of the recorded maps."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value
        return value.detach().requires_grad_()

    for recorder in manager.recorders.values():
        recorder.data_buffer[:] = tree_map(leaf, recorder.data_buffer)


def _formulas() -> Dict[Any, Callable]:
    """Where torch's counter leaves something out, or takes it for more."""
    found = {
        aten.baddbmm_: _product,
        aten.addmm_: _product,
        # torch's own knows no groups in the gradient of the weight.
        aten.convolution_backward: _convolution_backward,
    }
    for name, formula in (
        ('_scaled_dot_product_flash_attention_for_cpu', _attention),
        (
            '_scaled_dot_product_flash_attention_for_cpu_backward',
            _attention_backward,
        ),
    ):
        if hasattr(aten, name):
            found[getattr(aten, name)] = formula
    return found


# Each takes the shapes of the operation's tensors, and its other arguments.
def _product(
    total: Sequence[int], left: Sequence[int], right: Sequence[int], **_: Any
) -> int:
    # (..., n, k) x (..., k, m)
    return 2 * math.prod(left) * right[-1]


def _convolution_backward(
    outer: Sequence[int],
    inputs: Sequence[int],
    weight: Sequence[int],
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
    **_: Any,
) -> int:
    # As many for each of the two as for the forward.
    forward = math.prod(inputs if transposed else outer)
    forward *= math.prod(weight[1:])
    return 2 * forward * sum(output_mask[:2])


def _attention(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: Any,
    **__: Any,
) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    outer: Sequence[int],
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: Any,
    **__: Any,
) -> int:
    # The logits again, and four products more, where the forward has two.
    return sdpa_flop_count(query, key, value) * 5 // 2
