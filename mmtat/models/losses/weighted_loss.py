"""What the losses share: their weight."""

from typing import Any

from torch import nn


class WeightedLoss(nn.Module):
    """A loss with a factor.

    Args:
        loss_weight (float): Factor of the loss.

    Raises:
        ValueError: ``loss_weight`` is negative or no number.
    """

    def __init__(self, loss_weight: float) -> None:
        super().__init__()
        check_weight(loss_weight)
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        """The weight, for printing."""
        return f'loss_weight={self.loss_weight}'


def check_weight(loss_weight: Any) -> None:
    """Raise ValueError unless ``loss_weight`` is a number of at least 0.

    Args:
        loss_weight (Any): What came.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(loss_weight, (int, float)) or not loss_weight >= 0:
        raise ValueError(
            f'loss_weight must be a number of at least 0, got {loss_weight!r}'
        )
