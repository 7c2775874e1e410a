"""Finds the first layer whose output, or gradient, is not finite."""

import functools
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .finiteness import broken


@dataclass(frozen=True)
class BrokenLayer:
    """A layer that gives numbers which are not finite.

    Attributes:
        name (str): Of the module.
        kind (str): Its class.
        values (str): How many of how many.
        is_given_any (bool): Whether its inputs, or weights, hold some; of
            an output. Defaults to False.
    """

    name: str
    kind: str
    values: str
    is_given_any: bool = False


class LayerWatch:
    """Looks at all that the modules of some models return, and its gradient.

    Args:
        modules (dict[str, nn.Module]): By their names.
    """

    def __init__(self, modules: Dict[str, nn.Module]) -> None:
        #: In the order in which they were met.
        self.outputs: List[BrokenLayer] = []
        self.gradients: List[BrokenLayer] = []
        self._handles = [
            module.register_forward_hook(
                functools.partial(self._look, name), with_kwargs=True
            )
            for name, module in modules.items()
        ]

    @property
    def first_output(self) -> Optional[BrokenLayer]:
        """The layer that returned such numbers first."""
        return self.outputs[0] if self.outputs else None

    @property
    def first_gradient(self) -> Optional[BrokenLayer]:
        """The layer whose output was first given such a gradient."""
        return self.gradients[0] if self.gradients else None

    def remove(self) -> None:
        """Look no longer."""
        for handle in self._handles:
            handle.remove()

    def _look(
        self,
        name: str,
        module: nn.Module,
        args: Tuple,
        kwargs: Dict[str, Any],
        output: Any,
    ) -> None:
        kind = type(module).__name__
        found = _broken(output)
        if found:
            own = [*module.parameters(recurse=False)]
            given = bool(_broken((args, kwargs, own)))
            self.outputs.append(BrokenLayer(name, kind, found, given))
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(
                    functools.partial(self._look_back, name, kind)
                )

    def _look_back(self, name: str, kind: str, gradient: Tensor) -> None:
        found = _broken(gradient)
        if found:
            self.gradients.append(BrokenLayer(name, kind, found))


def _broken(value: Any) -> str:
    """How many values of how many in the first such tensor; '' for none."""
    named = {str(i): tensor for i, tensor in enumerate(_tensors(value))}
    return next(iter(broken(named).values()), '')


def _tensors(value: Any) -> List[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
