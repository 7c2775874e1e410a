"""Answers for code that asks fake tensors for their values."""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
_MASKS = (torch.bool, torch.uint8)


class Answers(TorchDispatchMode):
    """Lets a step run on fake tensors past every question for a value.

    A truth is True, a number is 1, and a mask takes everything: so losses of
    several branches are weighted equally, as in a real step, no pixel is
    ignored, and what is selected is as large as it can be. Entered last, so
    that other modes see what it makes in their place, such as the positions
    of a mask.

    Args:
        known (dict[int, list], optional): Elements whose values are known,
            by the identity of the storage that stands for theirs.
    """

    def __init__(self, known: Optional[Dict[int, List[Any]]] = None) -> None:
        super().__init__()
        self._known = known or {}

    def __torch_dispatch__(
        self,
        func: Callable,
        types: Sequence[type],
        args: Tuple = (),
        kwargs: Optional[Dict[str, Any]] = None,
    ) -> Any:
        if func is aten._local_scalar_dense.default:
            return self._value(args[0])
        if func is aten.equal.default:
            return True
        if func is aten.nonzero.default:
            return _positions(args[0], args[0].dim())
        if func is aten.masked_select.default:
            return args[0].new_empty(args[0].numel())
        if func is aten.index.Tensor:
            args = (args[0], _without_masks(args[1]))
        return func(*args, **(kwargs or {}))

    def _value(self, scalar: Tensor) -> Any:
        known = self._known.get(scalar.untyped_storage()._cdata)
        if known is not None:
            return known[scalar.storage_offset()]
        if scalar.dtype == torch.bool:
            return True
        return 1.0 if scalar.is_floating_point() else 1


def _positions(mask: Tensor, *width: int) -> Tensor:
    return mask.new_empty((mask.numel(), *width), dtype=torch.int64)


def _without_masks(
    indices: Sequence[Optional[Tensor]],
) -> List[Optional[Tensor]]:
    """Indices as positions, of all that a mask could name."""
    found: List[Optional[Tensor]] = []
    for index in indices:
        if index is not None and index.dtype in _MASKS:
            found += [_positions(index) for _ in range(index.dim())]
        else:
            found.append(index)
    return found
