"""Variational information distillation as a registered module."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtat.ops import (
    check_positive,
    match_features,
    variational_information_loss,
)
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class VIDLoss(WeightedLoss):
    """Predict the teacher's feature from the student's, and how surely (VID).

    `Variational Information Distillation for Knowledge Transfer
    <https://arxiv.org/abs/1904.05835>`_; see
    :func:`mmtat.ops.variational_information_loss`. The mean is three 1x1
    convolutions of the student's feature, and the variance of a channel is
    ``softplus(alpha_c) + eps``; both are **trained** with the student.

    Args:
        student_channels (int): Channels of ``s_feature``.
        teacher_channels (int): Channels of ``t_feature``.
        mid_channels (int, optional): Between the convolutions; by default
            the teacher's.
        init_variance (float): At the beginning. Defaults to 5.0.
        eps (float): Least variance. Defaults to 1e-5.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: A number that is not positive, an ``init_variance`` that
            is not above ``eps``, or a negative ``loss_weight``.

    Examples:
        >>> loss = VIDLoss(student_channels=8, teacher_channels=16)
        >>> loss(torch.rand(4, 8, 5, 5), torch.rand(4, 16, 5, 5)).shape
        torch.Size([])
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        mid_channels: Optional[int] = None,
        init_variance: float = 5.0,
        eps: float = 1e-5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        mid = teacher_channels if mid_channels is None else mid_channels
        check_positive('student_channels', student_channels, whole=True)
        check_positive('teacher_channels', teacher_channels, whole=True)
        check_positive('mid_channels', mid, whole=True)
        check_positive('eps', eps)
        check_positive('init_variance', init_variance)
        if init_variance <= eps:
            raise ValueError(
                f'init_variance must be above eps={eps}, got {init_variance}'
            )
        self.eps = eps
        self.mean = nn.Sequential(
            nn.Conv2d(student_channels, mid, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(mid, mid, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(mid, teacher_channels, 1, bias=False),
        )
        # The inverse of softplus, in a form that large variances survive.
        above = init_variance - eps
        alpha = above + math.log(-math.expm1(-above))
        self.alpha = nn.Parameter(torch.full((teacher_channels,), alpha))

    @property
    def variance(self) -> Tensor:
        """Variance of each channel: (C,), at least ``eps``."""
        return F.softplus(self.alpha) + self.eps

    def forward(self, s_feature: Tensor, t_feature: Tensor) -> Tensor:
        """Weighted negative log-likelihood of the teacher's feature.

        Args:
            s_feature (Tensor): (N, Cs) or (N, Cs, H, W).
            t_feature (Tensor): (N, Ct) or (N, Ct, H, W).

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments); may be
            negative.

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit; the message names the argument.
        """
        match_features(s_feature, t_feature, same=('size',))
        channels = self.mean[0].in_channels
        if s_feature.shape[1] != channels:
            raise ValueError(
                f's_feature must have student_channels={channels} channels, '
                f'got {tuple(s_feature.shape)}'
            )
        is_map = s_feature.dim() == 4
        mean = s_feature.to(self.alpha.dtype)
        # (N, Cs) -> (N, Cs, 1, 1) -> (N, Ct, 1, 1) -> (N, Ct)
        mean = self.mean(mean if is_map else mean[..., None, None])
        return self.loss_weight * variational_information_loss(
            mean if is_map else mean.flatten(1), t_feature, self.variance
        )
