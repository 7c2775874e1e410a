"""Tokens of a transformer as the map that they are."""

import functools
from typing import Any, Iterator, Optional, Sequence, Tuple

import torch
from torch import Tensor

Size = Tuple[int, int]

#: Most tokens that may stand before those of the image.
MAX_LEADING = 8
#: Most that a known model has: one of the class and four registers.
_KNOWN_LEADING = 5


def tokens_to_map(
    tokens: Tensor,
    image_size: Optional[Size] = None,
    grid: Optional[Size] = None,
) -> Tensor:
    """Lay tokens out as the map that they are, without a copy.

    Args:
        tokens (Tensor): (B, N, C), any dtype; in raster order, and behind
            any tokens that stand for no part of the image, such as those of
            the class, of a distillation, or registers: these are dropped.
        image_size (tuple[int, int], optional): Height and width of the
            image in pixels, for :func:`token_grid`.
        grid (tuple[int, int], optional): Height and width of the map, where
            it is known.

    Returns:
        Tensor: (B, C, h, w), a view of ``tokens`` that lies in memory as
        channels-last maps do.

    Raises:
        TypeError: Not a tensor.
        ValueError: Another shape, or tokens that are no map of the image.
    """
    if not isinstance(tokens, Tensor):
        raise TypeError(f'tokens must be a tensor, got {type(tokens)}')
    _, _, height, width = token_map_shape(tokens.shape, image_size, grid)
    # (B, N, C) -> (B, h*w, C)
    tokens = tokens[:, tokens.shape[1] - height * width :]
    # (B, h*w, C) -> (B, C, h, w)
    return tokens.transpose(1, 2).unflatten(2, (height, width))


def token_map_shape(
    shape: Sequence[int],
    image_size: Optional[Size] = None,
    grid: Optional[Size] = None,
) -> Tuple[int, int, int, int]:
    """Shape of the map of tokens; see :func:`tokens_to_map`.

    Args:
        shape (Sequence[int]): (B, N, C), of the tokens.
        image_size (tuple[int, int], optional): Height and width in pixels.
        grid (tuple[int, int], optional): Height and width of the map.

    Returns:
        tuple[int, int, int, int]: (B, C, h, w).

    Raises:
        ValueError: See :func:`tokens_to_map`.
    """
    if len(shape) != 3:
        raise ValueError(
            f'tokens must be of shape (B, N, C), got {tuple(shape)}'
        )
    batch, count, channels = shape
    if grid is None:
        if image_size is None:
            raise ValueError('tokens need the size of the image, or a grid')
        _, *grid = token_grid(count, image_size)
    elif not 0 <= count - grid[0] * grid[1] <= MAX_LEADING:
        raise ValueError(
            f'tokens of a map of {grid[0]}x{grid[1]} must be '
            f'{grid[0] * grid[1]}, and at most {MAX_LEADING} before them, '
            f'got {count}'
        )
    return batch, channels, *grid


# Numbers alone: traced, each would be a loop of a thousand turns.
@torch.compiler.disable
def token_grid(count: int, image_size: Size) -> Tuple[int, int, int]:
    """The map that a number of tokens makes of an image.

    It is that of square patches: some stride divides height and width of
    the image, and both are rounded down, or both up where the image is
    padded. Of several maps the one that leaves fewest tokens over is it.

    Args:
        count (int): N, with those that stand for no part of the image.
        image_size (tuple[int, int]): Its height and width in pixels.

    Returns:
        tuple[int, int, int]: Tokens before those of the image, height and
        width of the map.

    Raises:
        ValueError: No map fits, or a smaller one, at a stride that models
            have, fits as well.
    """
    return _token_grid(count, tuple(image_size))


@functools.lru_cache(maxsize=1024)
def _token_grid(count: int, image_size: Size) -> Tuple[int, int, int]:
    found = sorted(set(_grids(count, *image_size)))
    image = f'{image_size[0]}x{image_size[1]}'
    if not found:
        raise ValueError(
            f'{count} tokens are no map of an image of {image}, with '
            f'at most {MAX_LEADING} tokens before it'
        )
    leading, height, width = found[0][:3]
    if not any(grid[:3] == found[0][:3] and grid[3] for grid in found):
        for other in found:
            if other[3] and other[0] <= _KNOWN_LEADING:
                raise ValueError(
                    f'{count} tokens of an image of {image} may be '
                    f'{leading} + {height}x{width} or {other[0]} + '
                    f'{other[1]}x{other[2]}: name a layer that returns a '
                    'map, or train on larger images'
                )
    return leading, height, width


def _grids(
    count: int, height: int, width: int
) -> Iterator[Tuple[int, int, int, bool]]:
    """Maps with what they leave over, and if models have their stride."""
    for stride in range(1, max(height, width) + 1):
        is_usual = stride & (stride - 1) == 0 or (
            height % stride == 0 and width % stride == 0
        )
        for pad in (0, stride - 1):
            h, w = (height + pad) // stride, (width + pad) // stride
            most = MAX_LEADING if is_usual else _KNOWN_LEADING
            if h and w and 0 <= count - h * w <= most:
                yield count - h * w, h, w, is_usual


def tokens_and_grid(record: Any) -> Tuple[Any, Optional[Size]]:
    """The tokens of a layer that returns the size of their map with them.

    The stages of a Swin Transformer return (tokens, (h, w)); those of
    mmsegmentation two such pairs, the second of which are the stage's own
    tokens, and the first what the next stage gets.

    Args:
        record (Any): What the layer returned, or the shapes of it.

    Returns:
        tuple[Any, tuple[int, int] | None]: The tokens, (B, N, C), and height
        and width of their map; the record itself and None for any other.
    """
    if isinstance(record, (tuple, list)) and len(record) in (2, 4):
        tokens, grid = record[-2:]
        if _are_tokens_of(tokens, grid):
            return tokens, (int(grid[0]), int(grid[1]))
    return record, None


def _are_tokens_of(tokens: Any, grid: Any) -> bool:
    shape = tokens.shape if isinstance(tokens, Tensor) else tokens
    is_pair = isinstance(grid, (tuple, list)) and len(grid) == 2
    return (
        is_pair
        and all(isinstance(side, int) for side in grid)
        and isinstance(shape, tuple)
        and len(shape) == 3
        and all(isinstance(side, int) for side in shape)
        and 0 <= shape[1] - grid[0] * grid[1] <= MAX_LEADING
    )
