"""The loss of correlation congruence as a registered module."""

from torch import Tensor

from mmtat.ops import check_positive, correlation_congruence_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class CCLoss(WeightedLoss):
    """The student's samples correlate as the teacher's do (CC).

    `Correlation Congruence for Knowledge Distillation
    <https://arxiv.org/abs/1904.01802>`_, with the Gaussian kernel as its
    Taylor series; see :func:`mmtat.ops.correlation_congruence_loss`. It has
    no parameters, and the features may differ in channels and size. The
    samples compared are those of one process.

    Args:
        gamma (float): Of the kernel. Defaults to 0.4, the paper's.
        order (int): Of the Taylor series. Defaults to 2, the paper's.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: A number that is not positive, or a negative
            ``loss_weight``.

    Examples:
        >>> loss = CCLoss()
        >>> loss(torch.rand(4, 8), torch.rand(4, 16)).shape
        torch.Size([])
    """

    def __init__(
        self, gamma: float = 0.4, order: int = 2, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        check_positive('gamma', gamma)
        check_positive('order', order, whole=True)
        self.gamma = gamma
        self.order = order

    def forward(self, s_feature: Tensor, t_feature: Tensor) -> Tensor:
        """Weighted squared error of the correlations.

        Args:
            s_feature (Tensor): (N, Cs) or (N, Cs, Hs, Ws).
            t_feature (Tensor): (N, Ct) or (N, Ct, Ht, Wt).

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit; the message names the argument.
        """
        return self.loss_weight * correlation_congruence_loss(
            s_feature, t_feature, self.gamma, self.order
        )
