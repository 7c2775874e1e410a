"""Patches, groups and anchors that fit a map."""

import math
from typing import Iterator, Tuple

Pair = Tuple[int, int]

#: Positions along a patch's sides, patches to a group, and positions along
#: the sides of the anchors, in the configs of Pascal VOC.
PATCH_SIDE, GROUP, ANCHORS = 8, 4, 32
#: Positions of a map to which attention is affordable without them.
MOST_WHOLE = 1024


def propose_patches(height: int, width: int) -> Tuple[Pair, int]:
    """Patches of about 8x8 positions, and groups of about 4 of them.

    Args:
        height (int): Of the map.
        width (int): Of the map.

    Returns:
        tuple[tuple[int, int], int]: Patches along height and width, and the
        number of groups, which divides that of the patches.
    """
    patches = (_pieces(height), _pieces(width))
    count = patches[0] * patches[1]
    sizes = [size for size in range(1, count + 1) if count % size == 0]
    size = min(sizes, key=lambda size: abs(math.log(size / GROUP)))
    return patches, count // size


def propose_anchors(height: int, width: int) -> Pair:
    """About 32x32 anchors, pooled by the same number along both sides.

    Args:
        height (int): Of the map.
        width (int): Of the map.

    Returns:
        tuple[int, int]: A size that the map pools to.
    """
    wanted = max(1.0, math.sqrt(height * width) / ANCHORS)

    def badness(anchors: Tuple[int, Pair]) -> float:
        kernel, (rows, columns) = anchors
        lost = 2 - rows * kernel / height - columns * kernel / width
        # Rounded, so that of two that are as good the larger one is first.
        return round(lost * 16 + abs(math.log(kernel / wanted)), 6)

    return min(_anchors(height, width), key=badness)[1]


def left_over(length: int, pieces: int) -> int:
    """Rows or columns of a map that an even cut leaves out.

    Args:
        length (int): Of the map's side.
        pieces (int): Into which it is cut.

    Returns:
        int: 0 where they divide it.
    """
    return length - length // pieces * pieces


def _pieces(length: int) -> int:
    """Into how many parts of about 8 a side is cut."""

    def badness(side: int) -> float:
        lost = (length % side) / length
        return lost * 8 + abs(math.log(side / PATCH_SIDE))

    sides = range(min(4, length), min(16, length) + 1)
    return length // min(sides, key=badness)


def _anchors(height: int, width: int) -> Iterator[Tuple[int, Pair]]:
    """Kernels with the anchors that they make, where pooling takes these."""
    for kernel in range(1, min(height, width) + 1):
        rows, columns = height // kernel, width // kernel
        if height // rows == kernel == width // columns:
            yield kernel, (rows, columns)
