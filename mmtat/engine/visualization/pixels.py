"""Which pixels of the teacher are looked at."""

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from .images import Picture

#: Pixels that are picked, at most.
MOST = 6
#: Least share of the image that a class must cover to be picked.
_LEAST_SHARE = 0.003


@dataclass(frozen=True)
class Pixel:
    """A pixel of an image.

    Attributes:
        x (int): Column, from 0.
        y (int): Row, from 0.
        label (str): Why it was chosen; may be empty.
    """

    x: int
    y: int
    label: str = ''

    def cell(
        self, image: Tuple[int, int], grid: Sequence[int]
    ) -> Tuple[int, int]:
        """The position of a map that holds the pixel.

        Args:
            image (tuple[int, int]): Height and width of the image.
            grid (Sequence[int]): Height and width of the map.

        Returns:
            tuple[int, int]: Row and column.
        """
        return self.y * grid[0] // image[0], self.x * grid[1] // image[1]


def parse_pixels(texts: Sequence[str]) -> List[Pixel]:
    """Read pixels of the command line.

    Args:
        texts (Sequence[str]): Each ``x,y``.

    Returns:
        list[Pixel]: They.

    Raises:
        ValueError: Something else.
    """
    pixels = []
    for text in texts:
        parts = str(text).split(',')
        if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
            raise ValueError(
                '--pixel must be x,y: column and row from 0 in the image, '
                f'such as 120,80; got {text!r}'
            )
        pixels.append(Pixel(int(parts[0]), int(parts[1])))
    return pixels


def check_inside(pixels: Sequence[Pixel], picture: Picture) -> None:
    """Raise for a pixel outside an image.

    Args:
        pixels (Sequence[Pixel]): In the image's coordinates.
        picture (Picture): The image.

    Raises:
        ValueError: Names the pixel and the image's size.
    """
    height, width = picture.size
    for pixel in pixels:
        if not (0 <= pixel.x < width and 0 <= pixel.y < height):
            raise ValueError(
                f'pixel {pixel.x},{pixel.y} is outside {picture.name}, which '
                f'is {width} wide and {height} high: x goes from 0 to '
                f'{width - 1} and y from 0 to {height - 1}'
            )


def predicted_labels(teacher: nn.Module, inputs: Tensor) -> Optional[Tensor]:
    """The class that a teacher predicts for each pixel.

    Args:
        teacher (nn.Module): In eval mode.
        inputs (Tensor): (1, 3, H, W), preprocessed for it.

    Returns:
        Tensor | None: (H, W), int64, on the CPU; None where it is no
        segmentor of mmsegmentation.
    """
    if not hasattr(teacher, 'decode_head') or not hasattr(
        teacher, 'postprocess_result'
    ):
        return None
    with torch.no_grad():
        samples = teacher(inputs, None, mode='predict')
    return samples[0].pred_sem_seg.data[0].cpu().long()


def pick_pixels(
    picture: Picture,
    labels: Optional[Tensor],
    feature: Tensor,
    classes: Sequence[str] = (),
    most: int = MOST,
) -> List[Pixel]:
    """Pick pixels: one of each class, or those of the strongest features.

    Of a class it is the one farthest from other classes; larger classes go
    first. Without classes they are the positions of the largest norms, a
    quarter of the map apart.

    Args:
        picture (Picture): The image.
        labels (Tensor, optional): (H, W), of :func:`predicted_labels`.
        feature (Tensor): (1, C, H, W), the teacher's.
        classes (Sequence[str]): Names of the classes. Defaults to none.
        most (int): How many, at most. Defaults to 6.

    Returns:
        list[Pixel]: In the image's coordinates.
    """
    if labels is None:
        norms = feature[0].norm(dim=0).cpu()
        return [
            _pixel(picture, y, x, norms.shape, 'strong feature')
            for y, x in _strongest(norms, min(most, 4))
        ]
    counts = torch.bincount(labels.flatten())
    least = _LEAST_SHARE * labels.numel()
    found = [c for c in counts.argsort(descending=True).tolist() if counts[c]]
    found = [c for c in found if counts[c] >= least] or found[:1]
    pixels = []
    for label in found[:most]:
        mask = (labels == label).numpy().astype(np.uint8)
        # Else a class that fills a corner would be picked there.
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)
        depth = depth[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        name = classes[label] if label < len(classes) else f'class {label}'
        pixels.append(_pixel(picture, y, x, labels.shape, str(name)))
    return pixels


def class_names(*sources: Any) -> Sequence[str]:
    """The names of the classes, where something knows them.

    Args:
        *sources (Any): Dicts of meta information; the first that has
            ``classes`` or ``CLASSES`` counts.

    Returns:
        Sequence[str]: They, or none.
    """
    for source in sources:
        for key in ('classes', 'CLASSES'):
            if isinstance(source, dict) and source.get(key):
                return list(source[key])
    return []


def _strongest(norms: Tensor, count: int) -> List[Tuple[int, int]]:
    height, width = norms.shape
    norms = norms.clone()
    reach = max(1, height // 4), max(1, width // 4)
    chosen = []
    for _ in range(count):
        flat = int(norms.argmax())
        y, x = flat // width, flat % width
        if norms[y, x] < 0:
            break
        chosen.append((y, x))
        top, left = max(0, y - reach[0] + 1), max(0, x - reach[1] + 1)
        norms[top : y + reach[0], left : x + reach[1]] = -1
    return chosen


def _pixel(
    picture: Picture, y: int, x: int, grid: Sequence[int], label: str
) -> Pixel:
    """The pixel at the middle of a position of a map."""
    height, width = picture.size
    return Pixel(
        min(width - 1, int((int(x) + 0.5) * width / grid[1])),
        min(height - 1, int((int(y) + 0.5) * height / grid[0])),
        label,
    )
