"""The TaT loss as a registered module."""

from torch import Tensor

from mmtat.ops import check_backend, target_aware_loss
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class TaTLoss(WeightedLoss):
    """Distil a target to all positions of the student, by attention.

    `Knowledge Distillation via the Target-aware Transformer
    <https://arxiv.org/abs/2205.10793>`_, Eq. 3-5 (numbering inferred). It
    has no parameters: query, key and value come embedded.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        backend (str): What computes it: 'plain', 'sdpa', 'fused', or 'auto'
            for the fastest by shape, dtype and device; see
            :func:`mmtat.ops.target_aware_loss`. Defaults to 'auto'.

    Raises:
        ValueError: ``loss_weight`` is negative or no number, or there is no
            such backend.

    Examples:
        >>> loss = TaTLoss(loss_weight=0.1)
        >>> query, key, value, target = torch.rand(4, 2, 8, 5, 5)
        >>> loss(query, key, value, target).shape
        torch.Size([])
    """

    def __init__(
        self, loss_weight: float = 1.0, backend: str = 'auto'
    ) -> None:
        super().__init__(loss_weight)
        check_backend(backend)
        self.backend = backend

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, target: Tensor
    ) -> Tensor:
        """Weighted mean squared error of the attended value.

        Args:
            query (Tensor): (N, C, Hq, Wq), any floating dtype.
            key (Tensor): (N, C, Hk, Wk).
            value (Tensor): (N, Cv, Hk, Wk).
            target (Tensor): (N, Cv, Hq, Wq).

        Returns:
            Tensor: Scalar, float32 (float64 for float64 arguments).

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes do not fit, or the backend cannot serve them;
                the message names the argument.
        """
        return self.loss_weight * target_aware_loss(
            query, key, value, target, self.backend
        )

    def extra_repr(self) -> str:
        """Weight and backend, for printing."""
        return f'{super().extra_repr()}, backend={self.backend!r}'
