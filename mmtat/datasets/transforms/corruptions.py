"""Shifts of the test data that mmcv and mmpretrain do not have."""

import zlib
from math import inf
from numbers import Real
from typing import Dict

import numpy as np
from mmcv.transforms import BaseTransform

from mmtat.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GaussianNoise(BaseTransform):
    """Add to every image the same noise at each reading.

    The noise depends on the image's content and on ``seed``, neither on its
    name nor on what was drawn before: every model is tested on equal pixels.

    Required and modified key: ``img``, (H, W) or (H, W, C) uint8.

    Args:
        std (float): Standard deviation in grey values of 0 to 255, at least
            0; a channel of a pixel gets a value of its own.
        seed (int): Of the noise, at least 0. Defaults to 0.

    Raises:
        ValueError: ``std`` is no number of at least 0, or ``seed`` no such
            whole number.
        TypeError: An image is not uint8.
    """

    def __init__(self, std: float, seed: int = 0) -> None:
        if not isinstance(std, Real) or not 0 <= std < inf:
            raise ValueError(f'std must be a number from 0, got {std!r}')
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(
                f'seed must be a whole number from 0, got {seed!r}'
            )
        self.std = std
        self.seed = seed

    def transform(self, results: Dict) -> Dict:
        """Add the noise, round and clip.

        Args:
            results (dict): Of the pipeline.

        Returns:
            dict: The same.
        """
        image = results['img']
        if image.dtype != np.uint8:
            raise TypeError(
                f'GaussianNoise: img must be uint8, got {image.dtype}; put '
                'the noise before what changes the type'
            )
        content = zlib.crc32(np.ascontiguousarray(image))
        rng = np.random.default_rng((self.seed, content))
        noisy = image + rng.normal(0, self.std, image.shape)
        results['img'] = noisy.round().clip(0, 255).astype(np.uint8)
        return results

    def __repr__(self) -> str:
        """The call that makes it."""
        return f'{type(self).__name__}(std={self.std}, seed={self.seed})'
