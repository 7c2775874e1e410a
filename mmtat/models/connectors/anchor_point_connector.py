"""Anchor-point connector."""

from typing import Dict, Optional, Tuple

from mmrazor.models.architectures.connectors.base_connector import (
    BaseConnector,
)
from torch import Tensor

from mmtat.ops import check_pair, pool_anchors
from mmtat.registry import MODELS


@MODELS.register_module()
class AnchorPointConnector(BaseConnector):
    """Average-pool a map to anchor points: anchor-point distillation.

    Args:
        anchors (tuple[int, int]): (h, w), size of the pooled map.
        init_cfg (dict, optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Numbers that are not positive.
    """

    def __init__(
        self, anchors: Tuple[int, int], init_cfg: Optional[Dict] = None
    ) -> None:
        super().__init__(init_cfg)
        check_pair('anchors', anchors)
        self.anchors = tuple(anchors)

    def forward_train(self, feature: Tensor) -> Tensor:
        """Pool a map.

        Args:
            feature (Tensor): (B, C, H, W).

        Returns:
            Tensor: (B, C, h, w).

        Raises:
            ValueError: A map that does not pool to h x w; the message names
                the nearest sizes that it can give.
        """
        return pool_anchors(feature, self.anchors)
