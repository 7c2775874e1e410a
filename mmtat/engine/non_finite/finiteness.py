"""Which numbers are not finite, found without waiting for a GPU."""

from collections import defaultdict
from typing import Any, Dict, Iterable, List, Mapping, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor


def suspicion(tensors: Iterable[Tensor]) -> Tensor:
    """Whether any of some tensors may hold a number that is not finite.

    One pass over them, and no value is read.

    Args:
        tensors (Iterable[Tensor]): Of any shapes, dtypes and devices.

    Returns:
        Tensor: (), bool. False is certain; True also where a sum of squares
        overflows, so that :func:`broken` must say.
    """
    norms = [
        torch.stack(torch._foreach_norm(group)).float()
        for group in by_kind(tensors)
    ]
    if not norms:
        return torch.zeros((), dtype=torch.bool)
    device = norms[0].device
    together = torch.cat([norm.to(device) for norm in norms])
    return ~together.isfinite().all()


def broken(named: Mapping[str, Tensor]) -> Dict[str, str]:
    """The tensors that hold numbers which are not finite; waits for them.

    Args:
        named (Mapping[str, Tensor]): Of any shapes and dtypes.

    Returns:
        dict[str, str]: By their names how many of how many values.
    """
    found = {}
    for name, tensor in named.items():
        tensor = _dense(tensor)
        if not tensor.is_floating_point() and not tensor.is_complex():
            continue
        count = int((~tensor.isfinite()).sum())
        if count:
            found[name] = f'{count} of {tensor.numel()} values'
    return found


def by_kind(tensors: Iterable[Tensor]) -> List[List[Tensor]]:
    """Group floating tensors that one operation can take together.

    Args:
        tensors (Iterable[Tensor]): Any; integers and empty ones are left
            out.

    Returns:
        list[list[Tensor]]: Each of one device and dtype.
    """
    groups: Dict[Any, List[Tensor]] = defaultdict(list)
    for tensor in tensors:
        tensor = _dense(tensor.detach())
        is_number = tensor.is_floating_point() or tensor.is_complex()
        if is_number and tensor.numel():
            groups[tensor.device, tensor.dtype].append(tensor)
    return list(groups.values())


def copied(tensors: Sequence[Tensor]) -> List[Tensor]:
    """Copies of some tensors, made without waiting.

    Args:
        tensors (Sequence[Tensor]): Of any shapes and dtypes.

    Returns:
        list[Tensor]: In the same order.
    """
    copies = [torch.empty_like(tensor) for tensor in tensors]
    put_back(copies, tensors)
    return copies


@torch.no_grad()
def put_back(tensors: Sequence[Tensor], copies: Sequence[Tensor]) -> None:
    """Copy into tensors, without waiting.

    Args:
        tensors (Sequence[Tensor]): Changed in place.
        copies (Sequence[Tensor]): Of the same shapes, dtypes and devices.
    """
    groups: Dict[Any, List[List[Tensor]]] = defaultdict(lambda: [[], []])
    for target, source in zip(tensors, copies):
        for part, tensor in zip(
            groups[target.device, target.dtype], (target, source)
        ):
            part.append(tensor.detach())
    for targets, sources in groups.values():
        torch._foreach_copy_(targets, sources)


def agreed(flags: Sequence[Tensor]) -> List[bool]:
    """Flags that hold if they do in any process; all of them must call it.

    Args:
        flags (Sequence[Tensor]): Each (), bool; as many in each process.

    Returns:
        list[bool]: The same in each process.
    """
    device = max((flag.device for flag in flags), key=_is_gpu)
    both = torch.stack([flag.to(device).float() for flag in flags])
    all_reduce(both, 'max')
    return both.bool().tolist()


def _dense(tensor: Tensor) -> Tensor:
    if tensor.layout is torch.strided:
        return tensor
    return tensor.coalesce().values()


def _is_gpu(device: torch.device) -> bool:
    return device.type != 'cpu'
