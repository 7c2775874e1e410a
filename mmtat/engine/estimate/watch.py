"""Telling what of a training step is for what, without changing the step."""

import contextlib
from typing import Any, Callable, Iterator, List
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..inspected import is_distillation
from . import parts
from .live_storage import LiveStorage


def follow_weights(
    live: LiveStorage, model: BaseModel, config: Config
) -> List[Tensor]:
    """Count what is there before the first step.

    Args:
        live (LiveStorage): Counts it.
        model (BaseModel): On fake tensors.
        config (Config): Its config.

    Returns:
        list[Tensor]: What must stay: the copy of an ``EMAHook``.
    """
    if is_distillation(config):
        live.follow(_weights(model.teacher), parts.TEACHER)
        live.follow(_weights(model.distiller), parts.DISTILLER)
    student = getattr(model, 'architecture', model)
    live.follow(_weights(student), parts.STUDENT)
    hooks = config.get('custom_hooks') or []
    names = [str(hook.get('type')).rpartition('.')[2] for hook in hooks]
    if 'EMAHook' not in names:
        return []
    with live.during(parts.AVERAGE):
        return [torch.empty_like(tensor) for tensor in _weights(model)]


@contextlib.contextmanager
def watched(
    live: LiveStorage, model: BaseModel, wrapper: OptimWrapper
) -> Iterator[None]:
    """Let what is allocated in a step belong to its parts, within.

    Args:
        live (LiveStorage): Counts it.
        model (BaseModel): A distillation, or a student alone.
        wrapper (OptimWrapper): Of the step.
    """
    student = getattr(model, 'architecture', model)
    with contextlib.ExitStack() as stack:

        def part_of(
            owner: Any,
            name: str,
            part: str,
            after: Callable[[], Any] = lambda: None,
        ) -> None:
            function = getattr(owner, name)

            def call(*args: Any, **kwargs: Any) -> Any:
                with live.during(part):
                    result = function(*args, **kwargs)
                after()
                return result

            stack.enter_context(mock.patch.object(owner, name, call))

        part_of(model.data_preprocessor, 'forward', parts.BATCH)
        part_of(student, 'forward', parts.FORWARD)
        if student is not model:
            part_of(
                model._teacher,
                'record',
                parts.TEACHER_FORWARD,
                lambda: _sort_teachers(live, model),
            )
            distiller = model.distiller
            part_of(distiller, 'compute_distill_losses', parts.LOSS)
        part_of(wrapper, 'backward', parts.BACKWARD)
        part_of(
            wrapper,
            'step',
            parts.UPDATE,
            lambda: live.follow(
                tree_leaves([*wrapper.optimizer.state.values()]),
                parts.OPTIMIZER,
            ),
        )
        for parameter in model.parameters():
            if parameter.requires_grad:
                handle = parameter.register_post_accumulate_grad_hook(
                    lambda own: live.follow([own.grad], parts.GRADIENTS)
                )
                stack.callback(handle.remove)
        yield


def _sort_teachers(live: LiveStorage, model: BaseModel) -> None:
    """What is left of the teacher's forward: its records, and weights."""
    recorders = model.distiller.teacher_recorders.recorders.values()
    records = [recorder.data_buffer for recorder in recorders]
    live.follow(tree_leaves(records), parts.RECORDS)
    # Copies of weights that it keeps in half precision.
    live.move(parts.TEACHER_FORWARD, parts.TEACHER)


def tensors_in(values: Any) -> List[Tensor]:
    """Tensors in any nest of lists, dicts and data samples.

    Args:
        values (Any): The nest.

    Returns:
        list[Tensor]: They.
    """
    if isinstance(values, BaseDataElement):
        values = dict(values.all_items())
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in tensors_in(value)]
    return [values] if isinstance(values, Tensor) else []


def _weights(module: nn.Module) -> List[Tensor]:
    return [*module.parameters(), *module.buffers()]
