"""What a backend of the target-aware loss is."""

from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor


class Backend(NamedTuple):
    """One way to attend and take the mean squared error.

    Attributes:
        name (str): By which it is asked for.
        loss (Callable): Maps query (N, C, Hq, Wq), key (N, C, Hk, Wk),
            value (N, Cv, Hk, Wk) and target (N, Cv, Hq, Wq), which fit, to
            the scalar loss.
        refusal (Callable): Takes the same, without the target, and says why
            the backend cannot serve them; None where it can.
    """

    name: str
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    refusal: Callable[[Tensor, Tensor, Tensor], Optional[str]]


def common_dtype(*maps: Tensor) -> torch.dtype:
    """The dtype to compute in: that of the widest map, at least float32.

    Args:
        maps (Tensor): Any shapes and floating dtypes.

    Returns:
        torch.dtype: torch.float32 or torch.float64.
    """
    dtype = torch.float32
    for feature in maps:
        dtype = torch.promote_types(dtype, feature.dtype)
    return dtype


def refusal_of_transforms() -> Optional[str]:
    """Why what has its gradients fixed cannot serve, if it cannot now.

    Returns:
        str | None: A reason inside torch.func's grad, vmap or jvp.
    """
    is_transformed = getattr(
        torch._C, '_are_functorch_transforms_active', lambda: False
    )
    if is_transformed():
        return 'its gradients cannot be transformed by torch.func'
    return None
