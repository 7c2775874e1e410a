"""Refusing records of a student that no loss could teach it by."""

from typing import Any, Optional

import torch
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from .dry_run import module_recorders


class _GradMode:
    """Notes whether a record was made where no graph is built."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.is_off = False

    def note(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if self.recorder.recording:
            self.is_off = not torch.is_grad_enabled()


def watch_graph(manager: RecorderManager, student: nn.Module) -> None:
    """Hook what :func:`check_graph` needs to know; again costs a look-up.

    Args:
        manager (RecorderManager): The student's recorders.
        student (nn.Module): It.
    """
    for recorder in module_recorders(manager).values():
        module = student.get_submodule(recorder.source)
        if _watch_of(module, recorder) is None:
            module.register_forward_hook(_GradMode(recorder).note)


def check_graph(manager: RecorderManager, student: nn.Module) -> None:
    """Raise for a record that has lost the graph of the step.

    A reentrant activation checkpoint runs its part without one, and builds
    it in the backward, when the losses have been computed.

    Args:
        manager (RecorderManager): The student's, after its forward.
        student (nn.Module): It.

    Raises:
        ValueError: Names the layer. None is raised for what is not trained.
    """
    if not torch.is_grad_enabled():
        return
    for recorder in module_recorders(manager).values():
        watch = _watch_of(student.get_submodule(recorder.source), recorder)
        # What a checkpointed part ends with gets its graph with the part.
        has_graph = any(
            isinstance(value, Tensor) and value.requires_grad
            for value in tree_flatten(recorder.data_buffer)[0]
        )
        if watch.is_off and not has_graph and _is_trained(student, recorder):
            raise ValueError(
                f'the student layer {recorder.source!r} was recorded without '
                'a graph, so that no loss on it would reach the student: it '
                'ran in an activation checkpoint of the reentrant kind '
                "(activation_checkpointing of the Runner, or a backbone's "
                'with_cp=True) or under torch.no_grad(); checkpoint parts '
                'that have no recorded layer inside, or with '
                'use_reentrant=False'
            )


def _watch_of(module: nn.Module, recorder: Any) -> Optional[_GradMode]:
    for hook in module._forward_hooks.values():
        owner = getattr(hook, '__self__', None)
        if isinstance(owner, _GradMode) and owner.recorder is recorder:
            return owner
    return None


def _is_trained(student: nn.Module, recorder: Any) -> bool:
    """Whether the layer, or what is around it, has trained parameters."""
    name = recorder.source
    while name:
        parameters = list(student.get_submodule(name).parameters())
        if parameters:
            return any(p.requires_grad for p in parameters)
        name = name.rpartition('.')[0]
    return any(p.requires_grad for p in student.parameters())
