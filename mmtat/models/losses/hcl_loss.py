"""The hierarchical context loss as a registered module."""

from typing import Sequence, Union

from torch import Tensor

from mmtat.ops import check_levels, hierarchical_context_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss

Maps = Union[Tensor, Sequence[Tensor]]


@MODELS.register_module()
class HCLLoss(WeightedLoss):
    """Compare maps at several scales; several pairs of maps add up (HCL).

    `Distilling Knowledge via Knowledge Review
    <https://arxiv.org/abs/2104.09044>`_; see
    :func:`mmtat.ops.hierarchical_context_loss`. It has no parameters: the
    student's maps come fused by :class:`ABFConnector`.

    Args:
        levels (Sequence[int]): Sides of the pooled maps. Defaults to
            (4, 2, 1), the authors'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: Levels that are not positive, or a negative
            ``loss_weight``.

    Examples:
        >>> loss = HCLLoss()
        >>> student, teacher = torch.rand(2, 4, 8, 5, 5)
        >>> loss([student], [teacher]).shape
        torch.Size([])
    """

    def __init__(
        self, levels: Sequence[int] = (4, 2, 1), loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.levels = check_levels(levels)

    def forward(self, s_feature: Maps, t_feature: Maps) -> Tensor:
        """Weighted sum of the losses of all pairs.

        Args:
            s_feature (Tensor | Sequence[Tensor]): Of shape (N, C, H, W), or
                several; the pairs may differ in shape.
            t_feature (Tensor | Sequence[Tensor]): As many, of their shapes.

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: A map is not a tensor.
            ValueError: Numbers or shapes do not fit; the message names the
                argument.
        """
        student, teacher = (
            maps if isinstance(maps, (list, tuple)) else [maps]
            for maps in (s_feature, t_feature)
        )
        if len(student) != len(teacher) or not student:
            raise ValueError(
                's_feature must have as many maps as t_feature, at least '
                f'one: expected {len(teacher)}, got {len(student)}'
            )
        losses = [
            hierarchical_context_loss(s_map, t_map, self.levels)
            for s_map, t_map in zip(student, teacher)
        ]
        return self.loss_weight * sum(losses)
