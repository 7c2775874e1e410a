"""Adaptive average pooling in operators that every ONNX runtime has."""

from typing import Any, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def adaptive_average(
    feature: Tensor, output_size: Union[int, Sequence[int]]
) -> Tensor:
    """``F.adaptive_avg_pool2d`` as two products of matrices.

    ONNX has no such operator where a bin is no whole number of positions,
    as in the pyramid of PSPNet. Sizes stay variables in a trace.

    Args:
        feature (Tensor): (N, C, H, W).
        output_size (int | Sequence[int]): Bins, high and wide; None in it
            keeps that side.

    Returns:
        Tensor: (N, C, h, w).
    """
    if isinstance(output_size, int):
        output_size = (output_size, output_size)
    high, wide = output_size
    if high is not None:
        # (h, H) @ (N, C, H, W) -> (N, C, h, W)
        feature = _averages(high, feature.shape[2], feature) @ feature
    if wide is not None:
        # (N, C, h, W) @ (W, w) -> (N, C, h, w)
        feature = feature @ _averages(wide, feature.shape[3], feature).T
    return feature


class ExportablePooling(TorchFunctionMode):
    """Within, adaptive average pooling is :func:`adaptive_average`."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Stand in for the one function."""
        kwargs = kwargs or {}
        if func is F.adaptive_avg_pool2d:
            return _pooled(*args, **kwargs)
        return func(*args, **kwargs)


def _averages(bins: int, length: int, like: Tensor) -> Tensor:
    """(bins, length): each row averages the positions of one bin."""
    place = torch.arange(length, device=like.device)
    index = torch.arange(bins, device=like.device)[:, None]
    begin = index * length // bins
    end = ((index + 1) * length + bins - 1) // bins
    inside = ((place >= begin) & (place < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def _pooled(input: Tensor, output_size: Any) -> Tensor:
    if output_size in (1, (1, 1), [1, 1]):
        # The mean of everything has an operator.
        return F.adaptive_avg_pool2d(input, output_size)
    return adaptive_average(input, output_size)
