"""The regions of one map a few at a time, and their gradients put back.

A block of patch groups fits a CPU's caches where a map does not. Maps are
(H, W, C) here: the channels of a position lie together.
"""

import math
from typing import Optional, Tuple, Union

import torch
from torch import Tensor

from .regions import patch_size, pool_anchors

#: Scale and shift of each channel, (C,) both.
Affine = Tuple[Tensor, Tensor]
Factor = Union[Tensor, float]

#: Blocks of patches that a map is cut into, at most. More stay in nearer
#: caches, but their products are small.
_BLOCKS = 8


class WholeMap:
    """The map as it is, in one block."""

    #: How many blocks a map has.
    blocks = 1

    def view(self, feature: Tensor, block: int) -> Tensor:
        """The positions of a block.

        Args:
            feature (Tensor): (H, W, C).
            block (int): From 0 to ``blocks`` - 1.

        Returns:
            Tensor: (a, b, h, w, s, q, C), a view of n = a*b regions with
            p = s*q patches each.
        """
        # (H, W, C) -> (1, 1, H, W, 1, 1, C)
        return feature[None, None, :, :, None, None]

    def elements(self, feature: Tensor) -> int:
        """How many numbers all blocks have together.

        Args:
            feature (Tensor): (H, W, C).

        Returns:
            int: Without what the regions leave out.
        """
        return self.blocks * self.view(feature, 0).numel()

    def cut(
        self, feature: Tensor, block: int, affine: Optional[Affine] = None
    ) -> Tensor:
        """Copy a block.

        Args:
            feature (Tensor): (H, W, C).
            block (int): From 0 to ``blocks`` - 1.
            affine (tuple[Tensor, Tensor], optional): Applied to it.

        Returns:
            Tensor: (n, p*C, h, w), channels-last.
        """
        regions = self.view(feature, block)
        # Else the copy would have the order of the view in memory.
        copied = torch.empty(regions.shape, dtype=feature.dtype)
        if affine is None:
            copied.copy_(regions)
        else:
            scale, shift = affine
            torch.addcmul(shift, regions, scale, out=copied)
        # (a, b, h, w, s, q, C) -> (n, h, w, p*C) -> (n, p*C, h, w)
        return copied.flatten(4).flatten(0, 1).permute(0, 3, 1, 2)

    def add(
        self, gradient: Tensor, total: Tensor, block: int, factor: Factor
    ) -> None:
        """Add the gradient of a block to that of the map.

        Args:
            gradient (Tensor): (n, p*C, h, w), by what :meth:`cut` gave.
            total (Tensor): (H, W, C), changed.
            block (int): From 0 to ``blocks`` - 1.
            factor (Tensor | float): Scalar, times the gradient.
        """
        regions = self.view(total, block)
        # (n, p*C, h, w) -> (n, h, w, p*C) -> (a, b, h, w, s, q, C)
        gradient = gradient.permute(0, 2, 3, 1).reshape(regions.shape)
        _add(regions, gradient, factor)


class PatchGroups(WholeMap):
    """The groups of :func:`group_patches`, some rows of patches at a time.

    Args:
        patches (tuple[int, int]): (n, m), patches along height and width.
        groups (int): g, a divisor of n*m.

    Raises:
        ValueError: A group is neither a part of a row nor whole rows.
    """

    def __init__(self, patches: Tuple[int, int], groups: int) -> None:
        if not self.serves(patches, groups):
            raise ValueError(
                f'patches={patches} in groups={groups}: a group must be part '
                'of a row of patches, or whole rows'
            )
        self.patches = patches
        rows, columns = patches
        self.size = rows * columns // groups
        whole = rows // max(1, self.size // columns)
        self.blocks = max(b for b in range(1, _BLOCKS + 1) if not whole % b)
        #: Rows of patches in a block.
        self.rows = rows // self.blocks

    @staticmethod
    def serves(patches: Tuple[int, int], groups: int) -> bool:
        """Whether every group is part of a row of patches, or whole rows.

        Args:
            patches (tuple[int, int]): (n, m).
            groups (int): g, a divisor of n*m.

        Returns:
            bool: Whether a :class:`PatchGroups` can cut them.
        """
        rows, columns = patches
        size = rows * columns // groups
        return not columns % size or not size % columns

    def view(self, feature: Tensor, block: int) -> Tensor:
        """See :meth:`WholeMap.view`."""
        _, m = self.patches
        h, w = patch_size(self.patches, *feature.shape[:2])
        first = block * self.rows * h
        feature = feature[first : first + self.rows * h, : m * w]
        # (r*h, m*w, C) -> (r, h, m, w, C)
        feature = feature.unflatten(0, (self.rows, h)).unflatten(2, (m, w))
        # Rows of a group, and patches of a row in it.
        rows, patches = max(1, self.size // m), min(self.size, m)
        # (r, h, m, w, C) -> (a, s, h, b, q, w, C)
        feature = feature.unflatten(0, (-1, rows)).unflatten(3, (-1, patches))
        # (a, s, h, b, q, w, C) -> (a, b, h, w, s, q, C)
        return feature.permute(0, 3, 2, 5, 1, 4, 6)


class AnchorPoints(WholeMap):
    """The map pooled to anchor points, in one block.

    Args:
        anchors (tuple[int, int]): (h, w), size of the pooled map.
    """

    def __init__(self, anchors: Tuple[int, int]) -> None:
        self.anchors = anchors

    def elements(self, feature: Tensor) -> int:
        """See :meth:`WholeMap.elements`."""
        return math.prod(self.anchors) * feature.shape[2]

    def cut(
        self, feature: Tensor, block: int, affine: Optional[Affine] = None
    ) -> Tensor:
        """See :meth:`WholeMap.cut`; the mean of an affine is its affine."""
        # (H, W, C) -> (1, C, H, W) -> (1, C, h, w)
        pooled = pool_anchors(feature[None].permute(0, 3, 1, 2), self.anchors)
        # (1, C, h, w) -> (h, w, C)
        pooled = pooled[0].permute(1, 2, 0)
        return super().cut(pooled, block, affine)

    def add(
        self, gradient: Tensor, total: Tensor, block: int, factor: Factor
    ) -> None:
        """See :meth:`WholeMap.add`."""
        h, w = self.anchors
        kernel = total.shape[0] // h, total.shape[1] // w
        # (H, W, C) -> (h, k, w, k, C)
        pooled = total[: h * kernel[0], : w * kernel[1]]
        pooled = pooled.unflatten(0, (h, kernel[0])).unflatten(
            2, (w, kernel[1])
        )
        # (1, C, h, w) -> (h, 1, w, 1, C)
        gradient = gradient[0].permute(1, 2, 0)[:, None, :, None]
        _add(pooled, gradient, factor / math.prod(kernel))


def _add(total: Tensor, gradient: Tensor, factor: Factor) -> None:
    if isinstance(factor, Tensor):
        total.addcmul_(gradient, factor)
    else:
        total.add_(gradient, alpha=factor)
