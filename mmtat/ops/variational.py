"""The loss of variational information distillation."""

import torch
from torch import Tensor

from .features import match_features


def variational_information_loss(
    s_feature: Tensor, t_feature: Tensor, variance: Tensor
) -> Tensor:
    """Negative log-likelihood of the teacher under a Gaussian (VID).

    `Variational Information Distillation for Knowledge Transfer
    <https://arxiv.org/abs/1904.05835>`_: ``-log q(t|s) = sum_chw (log sigma_c
    + (t_chw - mu_chw(s))^2 / (2 sigma_c^2)) + constant``, here the mean over
    every element instead of the sum, and without the constant. It is negative
    where the prediction is sharp and right. Half precision is computed in
    float32.

    Args:
        s_feature (Tensor): (N, C) or (N, C, H, W), mu: the mean predicted
            from the student, any floating dtype.
        t_feature (Tensor): Of the same shape; gets no gradient.
        variance (Tensor): (C,), sigma_c^2, all positive.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit; the message names the argument.
    """
    s_feature, t_feature = match_features(
        s_feature, t_feature, same=('channels', 'size')
    )
    if not isinstance(variance, Tensor):
        raise TypeError(f'variance must be a tensor, got {type(variance)}')
    channels = t_feature.shape[1]
    if variance.shape != (channels,):
        raise ValueError(
            'variance must have one value for each of the '
            f'{channels} channels: expected ({channels},), got '
            f'{tuple(variance.shape)}'
        )
    with torch.autocast(s_feature.device.type, enabled=False):
        # (C,) -> (C, 1, 1) for maps
        trailing = [1] * (t_feature.dim() - 2)
        variance = variance.to(s_feature.dtype).view(-1, *trailing)
        squared = (t_feature - s_feature) ** 2 / variance
        return 0.5 * (squared + variance.log()).mean()
