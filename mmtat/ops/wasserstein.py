"""Wasserstein distance between the distributions of two features (WKD-F)."""

from typing import Tuple

import torch
from torch import Tensor

from .features import check_positive, match_features


def gaussian_wasserstein_loss(
    s_feature: Tensor, t_feature: Tensor, mean_weight: float = 2.0
) -> Tensor:
    """Compare the Gaussians that the positions of two maps form.

    WKD-F of `Wasserstein Distance Rivals Kullback-Leibler Divergence for
    Knowledge Distillation <https://arxiv.org/abs/2412.08139>`_: the positions
    of an image's map are samples of a Gaussian with mean mu and, as in the
    diagonal form, standard deviations sigma; the squared 2-Wasserstein
    distance of two such Gaussians is ``||mu_T - mu_S||^2 + ||sigma_T -
    sigma_S||^2``, whose first term is weighted by ``mean_weight``. Here it is
    divided by the number of channels, so that its scale does not depend on
    the width, and averaged over the images. Half precision is computed in
    float32.

    Args:
        s_feature (Tensor): (N, C, H, W), any floating dtype, embedded to the
            teacher's channels.
        t_feature (Tensor): (N, C, H', W'); gets no gradient.
        mean_weight (float): Of the means beside the deviations. Defaults to
            2.0.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: A feature is not a tensor.
        ValueError: Shapes do not fit, or ``mean_weight`` is not positive;
            the message names the argument.
    """
    check_positive('mean_weight', mean_weight)
    s_feature, t_feature = match_features(
        s_feature, t_feature, (4,), ('channels',)
    )
    with torch.autocast(s_feature.device.type, enabled=False):
        s_mean, s_deviation = _moments(s_feature)
        t_mean, t_deviation = _moments(t_feature)
        means = (s_mean - t_mean).square().mean()
        deviations = (s_deviation - t_deviation).square().mean()
    return mean_weight * means + deviations


def _moments(feature: Tensor) -> Tuple[Tensor, Tensor]:
    # (N, C, H, W) -> (N, C, H*W)
    flat = feature.flatten(2)
    mean = flat.mean(2)
    variance = (flat - mean[..., None]).square().mean(2)
    # The root has no gradient at 0, where a dead channel is.
    return mean, (variance + torch.finfo(variance.dtype).eps).sqrt()
