"""Sees what is in a training step: its begin, losses, gradients, weights."""

from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from mmtat.models.distillers.idle import no_losses
from mmtat.models.utils import random_state

from .finiteness import agreed, broken, copied, put_back
from .verdict import DISTILLATION, Verdict, judge, loss_flags, terms_of

#: Elements above which a buffer is a store of a loss rather than a statistic,
#: and no copy of it is made in each step.
_LARGE = 2**20
#: Its module, its key there, and its whole name.
Buffer = Tuple[nn.Module, str, str]


class StepWatch:
    """Watches the steps of a model and its optimizers, by their hooks.

    Args:
        model (nn.Module): Without a wrapper.
        wrapper (BaseOptimWrapper): That updates it.
        withholds (bool): Whether a step whose numbers are not finite leaves
            weights and optimizer as they are. A GPU is then waited for
            before each step.
        may_drop (Callable[[], bool], optional): Whether a distillation that
            is not finite may be left out of the losses now. None where it
            never may.

    Attributes:
        random (dict[str, Any]): Random state with which the step began.
        terms (dict[str, Tensor]): Its losses.
        dropped (dict[str, Tensor]): Losses that were not finite, and left
            out.
        gradients (dict[str, Tensor]): That the optimizers were given, by
            the parameters' names.
        overflows (list[Tensor]): Whether fused optimizers saw an overflow.
        is_updated (bool): Whether the optimizers were called.
    """

    def __init__(
        self,
        model: nn.Module,
        wrapper: BaseOptimWrapper,
        withholds: bool,
        may_drop: Optional[Callable[[], bool]],
    ) -> None:
        self.model = model
        self.wrapper = wrapper
        self.wrappers = (
            list(wrapper.values())
            if isinstance(wrapper, OptimWrapperDict)
            else [wrapper]
        )
        self._withholds, self._may_drop = withholds, may_drop
        self._names = {p: name for name, p in model.named_parameters()}
        buffers = [
            (module, key, f'{name}.{key}'.lstrip('.'))
            for name, module in model.named_modules()
            for key, buffer in module._buffers.items()
            if buffer is not None
        ]
        self._buffers = [b for b in buffers if not _is_large(b)]
        # Others may hold infinities by right, as masks do.
        self._stores = [
            large
            for large in buffers
            if _is_large(large) and not broken(_named([large]))
        ]
        self.begin()
        self._handles = [
            model.data_preprocessor.register_forward_pre_hook(self._see_begin),
            model.register_forward_hook(self._see_losses, with_kwargs=True),
            *(
                own.optimizer.register_step_pre_hook(self._see_gradients)
                for own in self.wrappers
            ),
        ]

    def begin(self) -> None:
        """Keep what a step begins with, and forget the last."""
        #: Random state of this process.
        self.release()
        self.random = random_state()
        self.is_updated = False
        self._withheld: Optional[Verdict] = None
        self._old_buffers = copied(list(_named(self._buffers).values()))

    def release(self) -> None:
        """Keep no tensors over the next forward, which needs the memory."""
        self.terms: Dict[str, Tensor] = {}
        self.dropped: Dict[str, Tensor] = {}
        self.gradients: Dict[str, Tensor] = {}
        self.overflows: List[Tensor] = []
        self._old_weights: List[Tuple[nn.Parameter, Tensor]] = []

    def close(self) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()

    def verdict(self, outputs: Dict[str, Any]) -> Verdict:
        """Judge a step that was taken; all processes must call it.

        Args:
            outputs (dict[str, Tensor]): What ``train_step`` gave.

        Returns:
            Verdict: The same in each process.
        """
        if self._withheld is not None:
            return self._withheld
        if not self.is_updated and not self.is_scaled:
            # Amid an accumulation; a later batch shall not be blamed.
            self.gradients = self._accumulated()
        weights = self.weights() if self.is_updated else {}
        return judge(terms_of(outputs) or self.terms, self.gradients, weights)

    @property
    def is_scaled(self) -> bool:
        """Whether a loss scaler leaves out steps that overflow, rightly."""
        scalers = [getattr(own, 'loss_scaler', None) for own in self.wrappers]
        return any(s is not None and s.is_enabled() for s in scalers)

    @property
    def is_due(self) -> bool:
        """Whether the optimizer was to update in this iteration."""
        return all(own.should_update() for own in self.wrappers)

    def _accumulated(self) -> Dict[str, Tensor]:
        return {
            name: parameter.grad
            for parameter, name in self._names.items()
            if parameter.grad is not None
        }

    def weights(self) -> Dict[str, Tensor]:
        """Weights that are trained, and statistics of norms, by their names.

        Other buffers may hold infinities by right, as masks do.
        """
        named = {
            name: parameter.detach()
            for parameter, name in self._names.items()
            if parameter.requires_grad
        }
        norms = [b for b in self._buffers if isinstance(b[0], _NormBase)]
        return {**named, **_named(norms)}

    def stores(self) -> Dict[str, Tensor]:
        """Buffers that are too large to be put back, by their names."""
        return _named(self._stores)

    def roll_back(self) -> None:
        """Put weights and statistics back to where the step began."""
        put_back(list(_named(self._buffers).values()), self._old_buffers)
        if self._old_weights:
            put_back(*map(list, zip(*self._old_weights)))
        self.wrapper.zero_grad()

    def _see_begin(self, *unused: Any) -> None:
        # As late as can be: what hooks draw and run before is not the step.
        if self.model.training:
            self.begin()

    def _see_losses(
        self, module: nn.Module, args: Tuple, kwargs: Dict, losses: Any
    ) -> Optional[Dict[str, Any]]:
        is_step = module.training and torch.is_grad_enabled()
        if not is_step or not isinstance(losses, dict):
            return None
        self.terms = terms_of(losses)
        if self._may_drop is None:
            return None
        task, distillation = agreed(loss_flags(self.terms))
        if task or not distillation or not self._may_drop():
            return None
        self.dropped = {
            name: value
            for name, value in self.terms.items()
            if name.startswith(DISTILLATION)
        }
        losses = _without_distillation(module, losses)
        self.terms = terms_of(losses)
        return losses

    def _see_gradients(
        self, optimizer: Optimizer, args: Tuple, kwargs: Dict
    ) -> None:
        overflow = getattr(optimizer, 'found_inf', None)
        if overflow is not None:
            # A fused optimizer is given scaled gradients, and looks itself.
            self.overflows.append(overflow.detach().clone())
        parameters = [
            parameter
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        self._old_weights += zip(parameters, copied(parameters))
        self.is_updated = True
        if overflow is not None:
            return
        gradients = {
            self._names.get(parameter, '?'): parameter.grad
            for parameter in parameters
        }
        self.gradients.update(gradients)
        if not self._withholds:
            return
        found = judge(self.terms, gradients, {})
        if found:
            self._withheld = found
            # The optimizer passes over parameters that have none.
            for parameter in parameters:
                parameter.grad = None


def _named(buffers: List[Buffer]) -> Dict[str, Tensor]:
    return {name: module._buffers[key] for module, key, name in buffers}


def _is_large(buffer: Buffer) -> bool:
    module, key, _ = buffer
    return module._buffers[key].numel() > _LARGE


def _without_distillation(
    model: nn.Module, losses: Dict[str, Any]
) -> Dict[str, Any]:
    """Losses whose distillation is 0, with gradients for which DDP waits."""
    tensors = [v for v in losses.values() if isinstance(v, Tensor)]
    nothing = no_losses(model.distiller, tensors[0])
    zero = next(iter(nothing.values()), tensors[0].new_zeros(()))
    return {
        name: zero if name.startswith(DISTILLATION) else value
        for name, value in losses.items()
    }
