"""The Wasserstein distance of features as a registered module."""

from torch import Tensor

from mmtat.ops import check_positive, gaussian_wasserstein_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class WKDLoss(WeightedLoss):
    """The student's positions are distributed as the teacher's (WKD-F).

    `Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge
    Distillation <https://arxiv.org/abs/2412.08139>`_, the distance of
    features by Gaussians with diagonal covariances; see
    :func:`mmtat.ops.gaussian_wasserstein_loss`. It has no parameters: embed
    the student to the teacher's channels by a connector.

    Args:
        mean_weight (float): Weight of the means beside the deviations.
            Defaults to 2.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: ``mean_weight`` is not positive, or ``loss_weight``
            negative.

    Examples:
        >>> loss = WKDLoss()
        >>> student, teacher = torch.rand(2, 4, 8, 5, 5)
        >>> loss(student, teacher).shape
        torch.Size([])
    """

    def __init__(
        self, mean_weight: float = 2.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        check_positive('mean_weight', mean_weight)
        self.mean_weight = mean_weight

    def forward(self, s_feature: Tensor, t_feature: Tensor) -> Tensor:
        """Weighted squared distance of the distributions.

        Args:
            s_feature (Tensor): (N, C, H, W), embedded.
            t_feature (Tensor): (N, C, H', W').

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit; the message names the argument.
        """
        return self.loss_weight * gaussian_wasserstein_loss(
            s_feature, t_feature, self.mean_weight
        )
