"""The loss of inter-channel correlations as a registered module."""

from typing import Tuple

from torch import Tensor

from mmtat.ops import check_pair, inter_channel_correlation_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class ICKDLoss(WeightedLoss):
    """The student's channels correlate as the teacher's do (ICKD).

    `Exploring Inter-Channel Correlation for Diversity-preserved Knowledge
    Distillation <https://arxiv.org/abs/2202.03680>`_; see
    :func:`mmtat.ops.inter_channel_correlation_loss`. It has no parameters:
    embed the student to the teacher's channels by a connector, such as
    ``dict(type='mmtat.EmbeddingConnector', in_channels=..., out_channels=...,
    norm='batch')``.

    Args:
        patches (tuple[int, int]): (n, m), the patches of a map that are
            compared one by one. Defaults to (1, 1), the whole map.
        normalize (bool): Whether the rows of correlations have unit length,
            and the divisor is C in the place of C^2. Defaults to False, as
            the paper has it.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        TypeError: ``normalize`` is no bool.
        ValueError: Patches that are not positive, or a negative
            ``loss_weight``.

    Examples:
        >>> loss = ICKDLoss(normalize=True)
        >>> student, teacher = torch.rand(2, 4, 8, 5, 5)
        >>> loss(student, teacher).shape
        torch.Size([])
    """

    def __init__(
        self,
        patches: Tuple[int, int] = (1, 1),
        normalize: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        check_pair('patches', patches)
        if not isinstance(normalize, bool):
            raise TypeError(f'normalize must be a bool, got {normalize!r}')
        self.patches = tuple(patches)
        self.normalize = normalize

    def forward(self, s_feature: Tensor, t_feature: Tensor) -> Tensor:
        """Weighted squared error of the correlations.

        Args:
            s_feature (Tensor): (N, C, H, W), embedded.
            t_feature (Tensor): (N, C, H, W).

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit; the message names the argument.
        """
        return self.loss_weight * inter_channel_correlation_loss(
            s_feature, t_feature, self.patches, self.normalize
        )
