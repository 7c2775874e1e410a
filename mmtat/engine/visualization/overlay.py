"""Where a pixel of the teacher looks, drawn over the image."""

from typing import Tuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from torch import Tensor

from mmtat.ops import RegionGrid

from .images import Picture
from .looks import BranchLooks, peak_of
from .pixels import Pixel

_HEAT = colormaps['inferno']
#: Of what a branch cannot look at.
_NOWHERE = np.array([0.82, 0.82, 0.85])


def draw_look(
    axis: Axes,
    picture: Picture,
    branch: BranchLooks,
    pixel: Pixel,
    reading: str,
    colour: str,
) -> str:
    """Draw where a pixel looks over its image.

    Args:
        axis (Axes): Drawn on.
        picture (Picture): The image.
        branch (BranchLooks): Of the image.
        pixel (Pixel): In the image's coordinates.
        reading (str): One of ``READINGS``.
        colour (str): Of the pixel's mark.

    Returns:
        str: A title: the pixel, its largest weight and where that is.
    """
    cell = pixel.cell(picture.size, branch.teacher.size)
    look = branch.look(*cell, reading)
    where = f'({pixel.x}, {pixel.y})'
    if look is None:
        axis.imshow(_greyed(picture.pixels))
        title = f'{where} is cut off'
    else:
        axis.imshow(overlay(picture, look))
        peak = peak_of(look)
        y, x = middle_of(peak, branch.student, picture.size)
        axis.plot(x, y, '+', color='white', ms=9, mew=3, alpha=0.9)
        axis.plot(x, y, '+', color='black', ms=8, mew=1.2)
        title = f'{where} → ({x:.0f}, {y:.0f}), {float(look[peak]):.2g}'
    mark(axis, pixel.x, pixel.y, colour)
    bare(axis)
    return title


def overlay(picture: Picture, look: Tensor) -> np.ndarray:
    """Weights as heat over a grey image.

    Args:
        picture (Picture): The image.
        look (Tensor): (H, W), weights; NaN where there are none.

    Returns:
        np.ndarray: (*picture.size, 3), float64 in [0, 1].
    """
    rows, columns = (
        (np.arange(full) * part) // full
        for full, part in zip(picture.size, look.shape)
    )
    weights = look.numpy()[rows][:, columns]
    outside = np.isnan(weights)
    largest = np.nanmax(weights)
    heat = np.nan_to_num(weights / (largest if largest > 0 else 1.0))
    grey = _grey(picture.pixels)[..., None]
    strength = 0.15 + 0.75 * np.sqrt(heat)[..., None]
    mixed = grey * (1 - strength) + _HEAT(heat)[..., :3] * strength
    faint = 0.25 * grey + 0.75 * _NOWHERE
    return np.where(outside[..., None], faint, mixed)


def middle_of(
    position: Tuple[int, int], grid: RegionGrid, image: Tuple[int, int]
) -> Tuple[float, float]:
    """The middle of the token that holds a position, in the image.

    Args:
        position (tuple[int, int]): Row and column of the map.
        grid (RegionGrid): Of the map.
        image (tuple[int, int]): Height and width of the image.

    Returns:
        tuple[float, float]: Row and column of the image, as imshow counts.
    """
    return tuple(
        (part // cell + 0.5) * cell * full / count - 0.5
        for part, cell, count, full in zip(
            position, grid.cell, grid.size, image
        )
    )


def mark(axis: Axes, x: float, y: float, colour: str) -> None:
    """Draw a ring that is seen on any ground.

    Args:
        axis (Axes): Drawn on.
        x (float): Column.
        y (float): Row.
        colour (str): Of the ring.
    """
    for edge, width in (('black', 3.6), (colour, 2.0)):
        axis.plot(x, y, 'o', mfc='none', mec=edge, mew=width, ms=9)


def bare(axis: Axes) -> None:
    """Take ticks and frame away; labels stay.

    Args:
        axis (Axes): Changed in place.
    """
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array([0.299, 0.587, 0.114]) / 255


def _greyed(pixels: np.ndarray) -> np.ndarray:
    grey = _grey(pixels)[..., None]
    return np.repeat(0.25 * grey, 3, axis=2) + 0.75 * _NOWHERE
