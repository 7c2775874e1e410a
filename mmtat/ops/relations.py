"""Losses of relations: between samples (SP, CC) or channels (ICKD)."""

import math
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .features import check_positive, match_features
from .regions import check_pair, group_patches


def similarity_preserving_loss(s_feature: Tensor, t_feature: Tensor) -> Tensor:
    """Compare which samples of a batch are similar (SP).

    `Similarity-Preserving Knowledge Distillation
    <https://arxiv.org/abs/1907.09682>`_: with Q the features, flattened to (N,
    -1), G the rows of Q Q^T divided by their L2 norms, ``1 / N^2 * ||G_T -
    G_S||_F^2``. A batch of one has no relations and gives 0. Half precision is
    computed in float32.

    Args:
        s_feature (Tensor): (N, Cs) or (N, Cs, Hs, Ws), any floating dtype.
        t_feature (Tensor): (N, Ct) or (N, Ct, Ht, Wt); gets no gradient.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit; the message names the argument.
    """
    s_feature, t_feature = match_features(s_feature, t_feature)
    with torch.autocast(s_feature.device.type, enabled=False):
        return F.mse_loss(_similarities(s_feature), _similarities(t_feature))


def _similarities(feature: Tensor) -> Tensor:
    # (N, C, H, W) -> (N, C*H*W)
    flat = feature.flatten(1)
    # (N, C*H*W), (C*H*W, N) -> (N, N)
    return F.normalize(flat @ flat.T, dim=1)


def correlation_congruence_loss(
    s_feature: Tensor, t_feature: Tensor, gamma: float = 0.4, order: int = 2
) -> Tensor:
    """Compare the correlations of the samples of a batch (CC).

    `Correlation Congruence for Knowledge Distillation
    <https://arxiv.org/abs/1904.01802>`_: ``1 / N^2 * sum_ij (k(s_i, s_j) -
    k(t_i, t_j))^2`` with the Gaussian kernel exp(-gamma ||x - y||^2) of
    features of unit length, as its Taylor series in <x, y>:
    ``k(x, y) = exp(-2 gamma) sum_{p<=P} (2 gamma)^p / p! <x, y>^p``. A
    batch of one has no correlations and gives 0. Half precision is computed
    in float32.

    Args:
        s_feature (Tensor): (N, Cs) or (N, Cs, Hs, Ws), any floating dtype;
            maps are flattened.
        t_feature (Tensor): (N, Ct) or (N, Ct, Ht, Wt); gets no gradient.
        gamma (float): Of the kernel. Defaults to 0.4, the paper's.
        order (int): P, of the series. Defaults to 2, the paper's.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: A feature is not a tensor.
        ValueError: Shapes do not fit, or ``gamma`` or ``order`` is not
            positive; the message names the argument.
    """
    check_positive('gamma', gamma)
    check_positive('order', order, whole=True)
    s_feature, t_feature = match_features(s_feature, t_feature)
    with torch.autocast(s_feature.device.type, enabled=False):
        return F.mse_loss(
            _correlations(s_feature, gamma, order),
            _correlations(t_feature, gamma, order),
        )


def _correlations(feature: Tensor, gamma: float, order: int) -> Tensor:
    # (N, C, H, W) -> (N, C*H*W)
    flat = F.normalize(feature.flatten(1), dim=1)
    # (N, C*H*W), (C*H*W, N) -> (N, N)
    cosine = flat @ flat.T
    terms = (
        (2 * gamma) ** p / math.factorial(p) * cosine**p
        for p in range(order + 1)
    )
    return math.exp(-2 * gamma) * sum(terms)


def inter_channel_correlation_loss(
    s_feature: Tensor,
    t_feature: Tensor,
    patches: Tuple[int, int] = (1, 1),
    normalize: bool = False,
) -> Tensor:
    """Compare how the channels of a map correlate (ICKD).

    `Exploring Inter-Channel Correlation for Diversity-preserved Knowledge
    Distillation <https://arxiv.org/abs/2202.03680>`_: with F a map as (C, H*W)
    and G = F F^T, ``1 / C^2 * ||G_S - G_T||_F^2``, here the mean over the
    images. With more than one patch (the paper's grid, for segmentation) it is
    the mean over the n x m patches of a map as well. With ``normalize`` the
    rows of G have unit length and the divisor is C: a form whose scale depends
    neither on the size of the map nor on that of its values. Half precision is
    computed in float32.

    Args:
        s_feature (Tensor): (N, C, H, W), any floating dtype, embedded to the
            teacher's channels.
        t_feature (Tensor): (N, C, H, W), or of another size with
            ``normalize``; gets no gradient.
        patches (tuple[int, int]): (n, m), patches along height and width;
            rows and columns left over are dropped. Defaults to (1, 1).
        normalize (bool): Whether rows are normalised. Defaults to False.

    Returns:
        Tensor: Scalar, float32, or float64 for float64 arguments.

    Raises:
        TypeError: A feature is not a tensor.
        ValueError: Shapes do not fit, or patches outside the map; the
            message names the argument.
    """
    check_pair('patches', patches)
    same = ('channels',) if normalize else ('channels', 'size')
    s_feature, t_feature = match_features(s_feature, t_feature, (4,), same)
    with torch.autocast(s_feature.device.type, enabled=False):
        s_gram = _channel_gram(s_feature, patches, normalize)
        t_gram = _channel_gram(t_feature, patches, normalize)
        loss = F.mse_loss(s_gram, t_gram)
    return loss * s_feature.shape[1] if normalize else loss


def _channel_gram(
    feature: Tensor, patches: Tuple[int, int], normalize: bool
) -> Tensor:
    # (N, C, H, W) -> (N*n*m, C, H//n, W//m) -> (N*n*m, C, L)
    cut = group_patches(feature, patches, patches[0] * patches[1]).flatten(2)
    # (N*n*m, C, L), (N*n*m, L, C) -> (N*n*m, C, C)
    gram = cut @ cut.transpose(1, 2)
    return F.normalize(gram, dim=2) if normalize else gram
