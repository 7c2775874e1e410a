"""Cutting a map into patch groups, and pooling it to anchor points."""

from typing import Tuple

import torch.nn.functional as F
from torch import Tensor


def group_patches(
    feature: Tensor, patches: Tuple[int, int], groups: int
) -> Tensor:
    """Cut a map into patches and stack the patches of a group.

    The map is cut into n x m patches of (H//n) x (W//m), numbered in raster
    order; rows and columns left over at the bottom and right are dropped.
    Consecutive patches form a group and are stacked along the channels:
    channel ``patch_in_group * C + c`` (patch-group distillation of the
    paper; equal to the released code where that cuts exactly n x m).

    Args:
        feature (Tensor): (B, C, H, W), any dtype.
        patches (tuple[int, int]): (n, m), patches along height and width.
        groups (int): g, the number of groups; divides n*m.

    Returns:
        Tensor: (B*g, p*C, H//n, W//m) with p = n*m/g, the dtype of feature.

    Raises:
        ValueError: Patches outside the map, or groups that do not divide
            the patches.
    """
    batch, channels, height, width = _map_shape(feature)
    n, m = patches
    check_patches(patches, groups)
    h, w = patch_size(patches, height, width)
    feature = feature[:, :, : n * h, : m * w]
    # (B, C, n*h, m*w) -> (B, C, n, h, m, w)
    feature = feature.reshape(batch, channels, n, h, m, w)
    size = n * m // groups
    if feature.stride(1) != 1:
        # (B, C, n, h, m, w) -> (B, n, m, C, h, w)
        feature = feature.permute(0, 2, 4, 1, 3, 5)
        # (B, n, m, C, h, w) -> (B*g, p*C, h, w)
        return feature.reshape(batch * groups, size * channels, h, w)
    # (B, C, n, h, m, w) -> (B, n, m, h, w, C)
    feature = feature.permute(0, 2, 4, 3, 5, 1)
    # (B, n, m, h, w, C) -> (B, g, p, h, w, C)
    feature = _split_groups(feature, size)
    # (B, g, p, h, w, C) -> (B*g, h, w, p*C)
    feature = feature.movedim(-4, -2).reshape(
        batch * groups, h, w, size * channels
    )
    # (B*g, h, w, p*C) -> (B*g, p*C, h, w)
    return feature.permute(0, 3, 1, 2)


def _split_groups(feature: Tensor, size: int) -> Tensor:
    """(B, n, m, ...) -> (B, ..., p, ...); no copy where rows are groups."""
    n, m = feature.shape[1:3]
    if m % size == 0:
        # (B, n, m, ...) -> (B, n, m/p, p, ...)
        return feature.unflatten(2, (m // size, size))
    # (B, n, m, ...) -> (B, g, p, ...)
    return feature.flatten(1, 2).unflatten(1, (n * m // size, size))


def patch_size(
    patches: Tuple[int, int], height: int, width: int
) -> Tuple[int, int]:
    """Height and width of the patches of a map.

    Args:
        patches (tuple[int, int]): (n, m), patches along height and width.
        height (int): H of the map.
        width (int): W of the map.

    Returns:
        tuple[int, int]: (H//n, W//m).

    Raises:
        ValueError: More patches than the map has rows or columns.
    """
    n, m = patches
    if n > height or m > width:
        raise ValueError(
            f'patches must fit the map: got patches=({n}, {m}) for a map of '
            f'{height}x{width}'
        )
    return height // n, width // m


def check_patches(patches: Tuple[int, int], groups: int) -> None:
    """Raise ValueError unless the groups divide the patches evenly.

    Args:
        patches (tuple[int, int]): (n, m), both positive.
        groups (int): A positive divisor of n*m.

    Raises:
        ValueError: Anything else; the message names the argument.
    """
    check_pair('patches', patches)
    count = patches[0] * patches[1]
    if not _is_positive(groups) or count % groups:
        divisors = [g for g in range(1, count + 1) if count % g == 0]
        shown = ', '.join(map(str, divisors))
        raise ValueError(
            f'groups must divide the {count} patches of patches='
            f'{tuple(patches)}: got groups={groups}, possible are {shown}'
        )


def pool_anchors(feature: Tensor, anchors: Tuple[int, int]) -> Tensor:
    """Average-pool a map to anchor points.

    Kernel and stride are (H//h, W//w), as in the released code; a map that
    would leave more than h x w anchors is refused.

    Args:
        feature (Tensor): (B, C, H, W), a floating dtype.
        anchors (tuple[int, int]): (h, w), size of the pooled map.

    Returns:
        Tensor: (B, C, h, w), the dtype of feature.

    Raises:
        ValueError: The map cannot be pooled to this size.
    """
    _, _, height, width = _map_shape(feature)
    check_pair('anchors', anchors)
    kernel = []
    for size, anchor in ((height, anchors[0]), (width, anchors[1])):
        if anchor > size or size // (size // anchor) != anchor:
            raise ValueError(
                f'anchors={tuple(anchors)} cannot be pooled from a map of '
                f'{height}x{width}: a side of {size} gives '
                f'{_possible_anchors(size, anchor)} anchors, not {anchor}'
            )
        kernel.append(size // anchor)
    return F.avg_pool2d(feature, kernel)


def check_pair(name: str, pair: Tuple[int, int]) -> None:
    """Raise ValueError unless ``pair`` is two positive integers.

    Args:
        name (str): The argument's name, for the message.
        pair (tuple[int, int]): What came.

    Raises:
        ValueError: Anything else.
    """
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not is_pair or not all(_is_positive(number) for number in pair):
        raise ValueError(
            f'{name} must be two positive integers (height, width), got '
            f'{pair!r}'
        )


def _is_positive(number) -> bool:
    return (
        isinstance(number, int) and not isinstance(number, bool) and number > 0
    )


def _possible_anchors(size: int, wanted: int) -> str:
    """The anchor counts nearest to the wanted one that a side can give."""
    possible = sorted({size // kernel for kernel in range(1, size + 1)})
    below = [count for count in possible if count < wanted][-1:]
    above = [count for count in possible if count > wanted][:1]
    return ' or '.join(str(count) for count in below + above)


def _map_shape(feature: Tensor) -> Tuple[int, int, int, int]:
    if not isinstance(feature, Tensor):
        raise TypeError(f'feature must be a tensor, got {type(feature)}')
    if feature.dim() != 4:
        raise ValueError(
            'feature must be a map of shape (B, C, H, W), got '
            f'{tuple(feature.shape)}'
        )
    return tuple(feature.shape)
