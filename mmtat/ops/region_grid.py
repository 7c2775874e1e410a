"""Which places of a map the tokens of an attention stand for."""

from dataclasses import dataclass, replace
from typing import Optional, Tuple

from torch import Tensor

from .regions import check_patches, patch_size


@dataclass(frozen=True)
class RegionGrid:
    """The tokens of one branch, and their places in a map.

    Attributes:
        size (tuple[int, int]): Height and width of the map.
        patches (tuple[int, int]): (n, m), patches along height and width;
            (1, 1) for the whole map and for anchor points.
        per_group (int): p, consecutive patches that form a group; a token is
            one place in each of them.
        tokens (tuple[int, int]): (h, w), tokens of a patch.
        cell (tuple[int, int]): Positions of the map that a token pools,
            along height and width.
    """

    size: Tuple[int, int]
    patches: Tuple[int, int]
    per_group: int
    tokens: Tuple[int, int]
    cell: Tuple[int, int]

    @classmethod
    def whole(
        cls, size: Tuple[int, int], cell: Tuple[int, int] = (1, 1)
    ) -> 'RegionGrid':
        """Of the map as it is, or pooled in cells.

        Args:
            size (tuple[int, int]): Height and width of the map.
            cell (tuple[int, int]): Positions that are pooled; those at
                bottom and right may be fewer. Defaults to (1, 1).

        Returns:
            RegionGrid: One group of one patch.
        """
        tokens = tuple(-(-side // one) for side, one in zip(size, cell))
        return cls(tuple(size), (1, 1), 1, tokens, tuple(cell))

    @classmethod
    def patch_groups(
        cls, size: Tuple[int, int], patches: Tuple[int, int], groups: int
    ) -> 'RegionGrid':
        """Of :func:`group_patches`.

        Args:
            size (tuple[int, int]): Height and width of the map.
            patches (tuple[int, int]): (n, m).
            groups (int): g, a divisor of n*m.

        Returns:
            RegionGrid: g groups.

        Raises:
            ValueError: As of ``group_patches``.
        """
        check_patches(patches, groups)
        per_group = patches[0] * patches[1] // groups
        tokens = patch_size(patches, *size)
        return cls(tuple(size), tuple(patches), per_group, tokens, (1, 1))

    @classmethod
    def anchor_points(
        cls, size: Tuple[int, int], anchors: Tuple[int, int]
    ) -> 'RegionGrid':
        """Of :func:`pool_anchors`.

        Args:
            size (tuple[int, int]): Height and width of the map.
            anchors (tuple[int, int]): (h, w), size of the pooled map.

        Returns:
            RegionGrid: One group of one patch.
        """
        cell = tuple(side // one for side, one in zip(size, anchors))
        return cls(tuple(size), (1, 1), 1, tuple(anchors), cell)

    @property
    def groups(self) -> int:
        """How many groups attend, each within itself."""
        return self.patches[0] * self.patches[1] // self.per_group

    def pooled(self, most: int) -> 'RegionGrid':
        """The grid with neighbouring tokens taken together.

        Tokens of patches are only taken together where that leaves whole
        ones.

        Args:
            most (int): Tokens of a group, at most.

        Returns:
            RegionGrid: This one where it has no more, or cannot have fewer.
        """
        h, w = self.tokens
        for factor in range(1, max(h, w) + 1):
            fits = self.patches == (1, 1) or h % factor == w % factor == 0
            tokens = -(-h // factor), -(-w // factor)
            if fits and tokens[0] * tokens[1] <= most:
                cell = self.cell[0] * factor, self.cell[1] * factor
                return replace(self, tokens=tokens, cell=cell)
        return self

    def token(self, y: int, x: int) -> Optional[Tuple[int, int]]:
        """The group and the token of a position.

        Args:
            y (int): Row of the map.
            x (int): Column of the map.

        Returns:
            tuple[int, int] | None: Group, and token within it, row by row;
            None for what the regions leave over at the bottom and right.
        """
        y, x = y // self.cell[0], x // self.cell[1]
        (n, m), (h, w) = self.patches, self.tokens
        if y >= n * h or x >= m * w:
            return None
        patch = (y // h) * m + x // w
        return patch // self.per_group, (y % h) * w + x % w

    def spread(self, weights: Tensor, group: int) -> Tensor:
        """Put the tokens of a group back to their places.

        A token gets its weight in each patch of its group.

        Args:
            weights (Tensor): (h*w,), a floating dtype.
            group (int): Whose they are.

        Returns:
            Tensor: (n*h, m*w), in cells; NaN outside the group.
        """
        (n, m), (h, w) = self.patches, self.tokens
        placed = weights.new_full((n * m, h, w), float('nan'))
        first = group * self.per_group
        placed[first : first + self.per_group] = weights.reshape(h, w)
        # (n*m, h, w) -> (n, m, h, w) -> (n, h, m, w) -> (n*h, m*w)
        placed = placed.reshape(n, m, h, w).transpose(1, 2)
        return placed.reshape(n * h, m * w)

    def enlarge(self, picture: Tensor) -> Tensor:
        """From cells to positions of the map.

        Args:
            picture (Tensor): (n*h, m*w), of :meth:`spread`.

        Returns:
            Tensor: (H, W); NaN for what the regions leave over.
        """
        height, width = self.size
        large = picture.repeat_interleave(self.cell[0], 0)
        large = large.repeat_interleave(self.cell[1], 1)[:height, :width]
        full = picture.new_full((height, width), float('nan'))
        full[: large.shape[0], : large.shape[1]] = large
        return full


def ungroup_patches(
    feature: Tensor, patches: Tuple[int, int], groups: int
) -> Tensor:
    """Put a map together again that :func:`group_patches` has cut.

    Args:
        feature (Tensor): (B*g, p*C, h, w), any dtype.
        patches (tuple[int, int]): (n, m), patches along height and width.
        groups (int): g; p = n*m/g.

    Returns:
        Tensor: (B, C, n*h, m*w), without what was left over.

    Raises:
        ValueError: Groups that do not divide the patches.
    """
    check_patches(patches, groups)
    n, m = patches
    h, w = feature.shape[2:]
    batch = len(feature) // groups
    # (B*g, p*C, h, w) -> (B, n, m, C, h, w)
    feature = feature.reshape(batch, n, m, -1, h, w)
    # (B, n, m, C, h, w) -> (B, C, n, h, m, w)
    feature = feature.permute(0, 3, 1, 4, 2, 5)
    # (B, C, n, h, m, w) -> (B, C, n*h, m*w)
    return feature.reshape(batch, -1, n * h, m * w)
