"""The similarity-preserving loss as a registered module."""

from torch import Tensor

from mmtat.ops import similarity_preserving_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class SPLoss(WeightedLoss):
    """Samples that the teacher finds similar are so to the student (SP).

    `Similarity-Preserving Knowledge Distillation
    <https://arxiv.org/abs/1907.09682>`_; see
    :func:`mmtat.ops.similarity_preserving_loss`. It has no parameters, and
    the features may differ in channels and size. The samples compared are
    those of one process.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: ``loss_weight`` is negative or no number.

    Examples:
        >>> loss = SPLoss()
        >>> loss(torch.rand(4, 8, 5, 5), torch.rand(4, 16, 3, 3)).shape
        torch.Size([])
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)

    def forward(self, s_feature: Tensor, t_feature: Tensor) -> Tensor:
        """Weighted squared error of the normalised similarities.

        Args:
            s_feature (Tensor): (N, Cs) or (N, Cs, Hs, Ws).
            t_feature (Tensor): (N, Ct) or (N, Ct, Ht, Wt).

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit; the message names the argument.
        """
        return self.loss_weight * similarity_preserving_loss(
            s_feature, t_feature
        )
