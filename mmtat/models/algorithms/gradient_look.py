"""What task and distillation give a student where they meet, in one step."""

import functools
import weakref
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

import torch
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.utils._pytree import tree_map

#: A backward that ``torch.compile`` made.
_COMPILED = 'CompiledFunctionBackward'


@dataclass
class _Meeting:
    """A recorded tensor.

    Attributes:
        aliases (list[Tensor]): The same values, as the distiller gets them.
        given (list[Tensor | None]): The gradient of each alias.
        passed (list[Tensor]): What the distillation of layers behind this
            one sends back through the student.
        products (Tensor | None): (3, ), see :meth:`GradientLook.norms`.
        is_exact (bool): Whether ``passed`` is whole.
    """

    aliases: List[Tensor] = field(default_factory=list)
    given: List[Optional[Tensor]] = field(default_factory=list)
    passed: List[Tensor] = field(default_factory=list)
    products: Optional[Tensor] = None
    is_exact: bool = True


class GradientLook:
    """Watches one step of a student, at the layers that are recorded.

    The distiller gets an alias of each recorded tensor. The gradient of the
    alias is the distillation's, that of the tensor itself is the sum of the
    distillation's and the task's. The step stays what it is, bit by bit,
    and no value is read, for which a GPU would have to wait.

    Where a recorded layer lies behind another, what its distillation sends
    back to the other is of the distillation, too: it is sent there once
    more, alone, through the part of the student between the two.

    A layer inside a part that ``torch.compile`` made one cannot be seen.
    """

    def __init__(self) -> None:
        self._scales: List[Tensor] = []
        self._edges: List[GradientEdge] = []
        self._meetings: List[_Meeting] = []
        self._handles: List[Any] = []
        self._is_passing = False
        self._is_blind = False

    @torch.compiler.disable
    def watch(
        self, manager: RecorderManager, overwritten: FrozenSet[str]
    ) -> None:
        """Watch what was recorded; of several forwards the last counts.

        Args:
            manager (RecorderManager): The student's recorders, after its
                forward; their records become aliases.
            overwritten (frozenset[str]): Recorders whose records are copies
                already, as the student changed the tensors in place.
        """
        self.close()
        for name, recorder in manager.recorders.items():
            meet = functools.partial(self._meet, is_copy=name in overwritten)
            recorder.data_buffer[:] = tree_map(meet, recorder.data_buffer)

    @torch.compiler.disable
    def watch_scale(self, losses: Dict[str, Any]) -> None:
        """Watch by what the losses are scaled before the backward.

        AMP scales them, and accumulation divides them.

        Args:
            losses (dict[str, Tensor]): Of the step.
        """
        for name, loss in losses.items():
            is_tensor = isinstance(loss, Tensor) and loss.requires_grad
            if 'loss' in name and is_tensor:
                loss.register_hook(self._scales.append)
                return

    def norms(self) -> Optional[Tensor]:
        """Norms and the cosine of both gradients, after the backward.

        Returns:
            Tensor | None: (3, ), float32 or float64: the norm of the
            distillation's gradient and of the task's, over all recorded
            tensors, of the losses before any scaling, and the cosine
            between both in [-1, 1]. None where nothing was distilled, or
            a layer could not be seen.
        """
        products = [
            meeting.products
            for meeting in self._meetings
            if meeting.products is not None and meeting.is_exact
        ]
        if self._is_blind or not products or not self._scales:
            return None
        distillation, task, both = torch.stack(products).sum(0)
        # A loss that is no scalar is averaged: its gradient sums up to it.
        scale = self._scales[-1].sum().abs()
        distillation, task = distillation.sqrt(), task.sqrt()
        cosine = both / (distillation * task)
        return torch.stack([distillation / scale, task / scale, cosine])

    def close(self) -> None:
        """Watch no longer, and drop the graph of the step."""
        for handle in self._handles:
            handle.remove()
        for parts in (
            self._handles,
            self._edges,
            self._meetings,
            self._scales,
        ):
            parts.clear()
        self._is_blind = False

    def _meet(self, value: Any, is_copy: bool) -> Any:
        if not isinstance(value, Tensor) or value.grad_fn is None:
            return value
        if not _is_seen(value, is_copy):
            self._is_blind = True
            return value
        alias = value if is_copy else value.view_as(value)
        edge = GradientEdge(*alias.grad_fn.next_functions[0])
        # What holds the graph may not be held by it: it would never go.
        own = weakref.WeakMethod
        if edge not in self._edges:
            number = len(self._edges)
            self._edges.append(edge)
            self._meetings.append(_Meeting())
            arrive = functools.partial(
                _call, own(self._arrive), number, edge.output_nr
            )
            self._handles.append(edge.node.register_prehook(arrive))
        number = self._edges.index(edge)
        meeting = self._meetings[number]
        give = functools.partial(
            _call, own(self._give), number, len(meeting.aliases)
        )
        self._handles.append(alias.register_hook(give))
        meeting.aliases.append(alias)
        meeting.given.append(None)
        return alias

    def _give(self, number: int, position: int, gradient: Tensor) -> None:
        """An alias got its gradient."""
        if not self._is_passing:
            self._meetings[number].given[position] = gradient

    def _arrive(
        self, number: int, output: int, gradients: Tuple[Optional[Tensor], ...]
    ) -> None:
        """A recorded tensor got its gradient."""
        meeting = self._meetings[number]
        total = gradients[output]
        if self._is_passing or total is None or meeting.products is not None:
            return
        pairs = zip(meeting.aliases, meeting.given)
        given = {a: g for a, g in pairs if g is not None}
        # Of half precision, sums of squares would overflow.
        total = total.to(torch.promote_types(total.dtype, torch.float32))
        own = torch.zeros_like(total)
        for gradient in (*given.values(), *meeting.passed):
            own = own + gradient
        task = total - own
        meeting.products = torch.stack(
            [own.square().sum(), task.square().sum(), (own * task).sum()]
        )
        self._pass_on(given)
        meeting.aliases.clear()
        meeting.given.clear()
        meeting.passed.clear()

    def _pass_on(self, given: Dict[Tensor, Tensor]) -> None:
        """Send a layer's distillation to the layers before it."""
        waiting = [n for n, m in enumerate(self._meetings) if _waits(m)]
        if not waiting or not given:
            return
        self._is_passing = True
        try:
            passed = torch.autograd.grad(
                list(given),
                [self._edges[number] for number in waiting],
                list(given.values()),
                retain_graph=True,
                allow_unused=True,
            )
        except RuntimeError:
            # A reentrant checkpoint between them, or a compiled part that
            # frees what it keeps: the layers before cannot be told apart.
            for number in waiting:
                self._meetings[number].is_exact = False
            return
        finally:
            self._is_passing = False
        for number, gradient in zip(waiting, passed):
            if gradient is not None:
                self._meetings[number].passed.append(gradient)


def _is_seen(record: Tensor, is_copy: bool) -> bool:
    """Whether a record, or what it is the copy of, gets a gradient of all.

    What a compiled part does with its own result stays inside of it.
    """
    node = record.grad_fn
    if is_copy:
        # Of one tensor; the copying itself may be compiled.
        return len(node.next_functions) == 1 and node.name() in (
            'CloneBackward0',
            _COMPILED,
        )
    return node.name() != _COMPILED


def _waits(meeting: _Meeting) -> bool:
    return meeting.products is None


def _call(reference: weakref.WeakMethod, *arguments: Any) -> None:
    method = reference()
    if method is not None:
        method(*arguments)
