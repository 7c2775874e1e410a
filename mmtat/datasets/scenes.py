"""Draw handwritten digits over clutter, with a label for every pixel."""

from typing import Dict, Tuple

import cv2
import numpy as np
from sklearn.datasets import load_digits

#: Share of the handwritten digits that each split draws from.
DIGIT_SHARES = dict(train=0.6, tuning=0.15, val=0.25)
#: Side of a digit over the side of its scene: 14 to 21 of 40 pixels.
DIGIT_SIDES = (0.35, 0.525)
#: Opacity above which a pixel belongs to the digit.
LABEL_THRESHOLD = 0.4

Digits = Tuple[np.ndarray, np.ndarray]


def split_digits(seed: int) -> Dict[str, Digits]:
    """Share the handwritten digits out among the splits.

    Args:
        seed (int): Seed of the random order, at least 0.

    Returns:
        dict[str, tuple[np.ndarray, np.ndarray]]: For train, tuning and val,
        the images, (K, 8, 8) float32 in [0, 1], and the digits that they
        show, (K, ) int64 in 0..9. No image is in two splits.
    """
    data = load_digits()
    images = (data.images / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(images))
    ends = np.cumsum(list(DIGIT_SHARES.values()))[:-1] * len(images)
    parts = np.split(order, np.round(ends).astype(int))
    return {
        split: (images[part], data.target[part])
        for split, part in zip(DIGIT_SHARES, parts)
    }


def draw_scene(
    source: Digits, rng: np.random.Generator, size: int = 40, digits: int = 3
) -> Tuple[np.ndarray, np.ndarray]:
    """Draw one scene.

    Args:
        source (tuple[np.ndarray, np.ndarray]): Images and digits as
            :func:`split_digits` returns them.
        rng (np.random.Generator): Source of everything random.
        size (int): Side of the scene in pixels, at least 24.
        digits (int): Number of digits in it, at least 0.

    Returns:
        tuple[np.ndarray, np.ndarray]: The image, (size, size, 3) uint8 in RGB
        order, and the label, (size, size) uint8: 0 for the background, else
        the digit + 1.
    """
    scene = _background(rng, size)
    label = np.zeros((size, size), np.uint8)
    smallest, largest = (round(share * size) for share in DIGIT_SIDES)
    for index in rng.integers(len(source[0]), size=digits):
        side = int(rng.integers(smallest, largest + 1))
        # A cubic overshoots the range of what it interpolates.
        opacity = cv2.resize(
            source[0][index], (side, side), interpolation=cv2.INTER_CUBIC
        ).clip(0, 1)
        inked = opacity > LABEL_THRESHOLD
        window = _free_window(rng, label, inked)
        # One channel at its maximum: bright in whatever hue.
        colour = rng.uniform(0.45, 1, 3)
        colour[rng.integers(3)] = 1
        ink = opacity[..., None]
        scene[window] = (1 - ink) * scene[window] + ink * colour
        label[window][inked] = source[1][index] + 1
    scene += rng.normal(0, 0.04, scene.shape)
    return (scene.clip(0, 1) * 255).round().astype(np.uint8), label


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Slow dark colours with four strokes, (size, size, 3) in [0, 1]."""
    scene = cv2.resize(
        rng.uniform(0.05, 0.45, (4, 4, 3)),
        (size, size),
        interpolation=cv2.INTER_LINEAR,
    )
    for _ in range(4):
        start, end = rng.integers(0, size, (2, 2)).tolist()
        colour = rng.uniform(0.1, 0.6, 3).tolist()
        cv2.line(scene, start, end, colour, max(1, size // 30))
    return scene


def _free_window(
    rng: np.random.Generator, label: np.ndarray, inked: np.ndarray
) -> Tuple[slice, slice]:
    """The place, of 30 random ones, that covers the fewest digit pixels."""
    side = len(inked)
    windows = [
        (slice(top, top + side), slice(left, left + side))
        for top, left in rng.integers(0, len(label) - side + 1, (30, 2))
    ]
    covered = [np.count_nonzero(label[window][inked]) for window in windows]
    return windows[int(np.argmin(covered))]
