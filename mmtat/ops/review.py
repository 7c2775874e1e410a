"""Knowledge review: fusing maps by attention, and the loss of contexts."""

from typing import Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .features import check_feature, check_positive, match_features


def fuse_by_attention(
    feature: Tensor, residual: Tensor, attention: Tensor
) -> Tensor:
    """Weigh a map and that of the deeper level, position by position.

    The fusion of the attention based fusion module (ABF) of `Distilling
    Knowledge via Knowledge Review <https://arxiv.org/abs/2104.09044>`_:
    ``a_1 * feature + a_2 * residual``.

    Args:
        feature (Tensor): (N, C, H, W), any floating dtype.
        residual (Tensor): (N, C, H, W).
        attention (Tensor): (N, 2, H, W), a weight of each for all channels.

    Returns:
        Tensor: (N, C, H, W), in the common dtype.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit; the message names the argument.
    """
    check_feature('feature', feature, (4,))
    batch, _, height, width = feature.shape
    expected = dict(
        residual=tuple(feature.shape), attention=(batch, 2, height, width)
    )
    for name, tensor in (('residual', residual), ('attention', attention)):
        check_feature(name, tensor, (4,))
        if tuple(tensor.shape) != expected[name]:
            raise ValueError(
                f'{name} must be of shape {expected[name]} for a feature of '
                f'{tuple(feature.shape)}, got {tuple(tensor.shape)}'
            )
    # (N, 2, H, W) -> (N, 1, H, W), (N, 1, H, W)
    own, deeper = attention.split(1, dim=1)
    return own * feature + deeper * residual


def hierarchical_context_loss(
    s_feature: Tensor, t_feature: Tensor, levels: Sequence[int] = (4, 2, 1)
) -> Tensor:
    """Mean squared error of two maps and of their poolings (HCL).

    The hierarchical context loss of `Distilling Knowledge via Knowledge Review
    <https://arxiv.org/abs/2104.09044>`_: the maps as they are, and
    average-pooled to l x l for each level; each pooled level has half the
    weight of the one before (1, 1/2, 1/4, 1/8), and the sum is divided by that
    of the weights, as in the authors' code. Levels that are not smaller than
    the shorter side are left out. Half precision is computed in float32.

    Args:
        s_feature (Tensor): (N, C, H, W), any floating dtype.
        t_feature (Tensor): (N, C, H, W); gets no gradient.
        levels (Sequence[int]): Sides of the pooled maps. Defaults to
            (4, 2, 1), the authors'.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: A feature is not a tensor.
        ValueError: Shapes do not fit, or levels that are not positive; the
            message names the argument.
    """
    check_levels(levels)
    s_feature, t_feature = match_features(
        s_feature, t_feature, (4,), ('channels', 'size')
    )
    with torch.autocast(s_feature.device.type, enabled=False):
        loss = F.mse_loss(s_feature, t_feature)
        weight = total = 1.0
        for level in levels:
            if level >= min(s_feature.shape[2:]):
                continue
            weight /= 2
            total += weight
            # (N, C, H, W) -> (N, C, level, level)
            pooled = (
                F.adaptive_avg_pool2d(feature, level)
                for feature in (s_feature, t_feature)
            )
            loss = loss + weight * F.mse_loss(*pooled)
    return loss / total


def check_levels(levels: Sequence[int]) -> Tuple[int, ...]:
    """Raise ValueError unless ``levels`` are positive integers.

    Args:
        levels (Sequence[int]): May be empty.

    Returns:
        tuple[int]: The same.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(levels, (list, tuple)):
        raise ValueError(
            f'levels must be a list of positive integers, got {levels!r}'
        )
    for level in levels:
        check_positive('each of levels', level, whole=True)
    return tuple(levels)
