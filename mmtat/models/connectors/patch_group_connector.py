"""Patch-group connector."""

from typing import Dict, Optional, Tuple

from mmrazor.models.architectures.connectors.base_connector import (
    BaseConnector,
)
from torch import Tensor

from mmtat.ops import check_patches, group_patches
from mmtat.registry import MODELS


@MODELS.register_module()
class PatchGroupConnector(BaseConnector):
    """Cut a map into patches and stack the patches of each group.

    Attention inside a group costs the square of a patch, not of the map:
    patch-group distillation of the paper.

    Args:
        patches (tuple[int, int]): (n, m), patches along height and width.
        groups (int): g, a divisor of n*m. Defaults to 1.
        init_cfg (dict, optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Numbers that are not positive, or groups that do not
            divide the patches.
    """

    def __init__(
        self,
        patches: Tuple[int, int],
        groups: int = 1,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        check_patches(patches, groups)
        self.patches = tuple(patches)
        self.groups = groups

    def forward_train(self, feature: Tensor) -> Tensor:
        """Group the patches of a map.

        Args:
            feature (Tensor): (B, C, H, W).

        Returns:
            Tensor: (B*g, p*C, H//n, W//m) with p = n*m/g.

        Raises:
            ValueError: More patches than the map has rows or columns.
        """
        return group_patches(feature, self.patches, self.groups)
