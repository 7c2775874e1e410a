"""Margins of the overhaul of feature distillation (OFD)."""

import math

import torch
from torch import Tensor


def negative_margin(weight: Tensor, bias: Tensor) -> Tensor:
    """The mean of a norm's negative outputs, channel by channel.

    `A Comprehensive Overhaul of Feature Distillation
    <https://arxiv.org/abs/1904.01866>`_: what a batch norm gives is taken as
    a Gaussian with mean b and standard deviation |w|, of which the margin
    is E[x | x < 0]; -3 |w| where less than a thousandth is negative, as
    in the authors' code.

    Args:
        weight (Tensor): (C, ), of the norm.
        bias (Tensor): (C, ).

    Returns:
        Tensor: (C, ), float64, without a gradient.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes differ.
    """
    for name, tensor in (('weight', weight), ('bias', bias)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f'{name} must be a tensor, got {type(tensor)}')
    if weight.dim() != 1 or weight.shape != bias.shape:
        raise ValueError(
            'weight and bias must be of one shape (C, ), got '
            f'{tuple(weight.shape)} and {tuple(bias.shape)}'
        )
    deviation, mean = weight.detach().double().abs(), bias.detach().double()
    # A channel of weight 0 is its bias alone.
    score = mean / deviation.clamp(min=torch.finfo(torch.float64).tiny)
    negative = torch.special.ndtr(-score)
    density = torch.exp(-score.square() / 2) / math.sqrt(2 * math.pi)
    margin = mean - deviation * density / negative
    return torch.where(negative > 0.001, margin, -3 * deviation)
