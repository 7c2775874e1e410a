"""What the losses share: their weight."""

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
        if not isinstance(loss_weight, (int, float)) or not loss_weight >= 0:
            raise ValueError(
                'loss_weight must be a number of at least 0, got '
                f'{loss_weight!r}'
            )
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        """The weight, for printing."""
        return f'loss_weight={self.loss_weight}'
