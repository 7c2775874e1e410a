"""A look into some of a dataset's images and label maps."""

from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
from PIL import Image

from .layout import shown

#: Of more files so many are opened, evenly spread.
MOST_OPENED = 200
#: The label of pixels that are ignored.
IGNORED = 255
#: What Pillow raises for a file that is no image, or a broken one.
_BROKEN = (OSError, SyntaxError, ValueError)


def spread(items: Sequence, most: int = MOST_OPENED) -> Sequence:
    """Some of many items, evenly spread.

    Args:
        items (Sequence): All of them.
        most (int): How many at most. Defaults to :data:`MOST_OPENED`.

    Returns:
        Sequence: Every k-th of them.
    """
    return items[:: max(1, -(-len(items) // most))]


def check_images(paths: Sequence[Path]) -> List[str]:
    """Open some images, their headers only.

    Args:
        paths (Sequence[Path]): Of images that exist.

    Returns:
        list[str]: One problem, or none.
    """
    paths = spread(paths)
    broken = [path for path in paths if _broken(path)]
    return _described({'are no images': broken}, len(paths), 'images')


def _broken(path: Path) -> bool:
    try:
        with Image.open(path):
            return False
    except _BROKEN:
        return True


def check_label_maps(
    pairs: Sequence[Tuple[Path, Path]],
    largest: int,
    ignored: Sequence[int] = (IGNORED,),
) -> List[str]:
    """Open some label maps, and the headers of their images.

    Args:
        pairs (Sequence[tuple[Path, Path]]): Image and label map, which exist.
        largest (int): The largest label, at least 0.
        ignored (Sequence[int]): Larger ones that are in use all the same.
            Defaults to 255.

    Returns:
        list[str]: A problem for each way in which some are wrong.
    """
    pairs = spread(pairs)
    wrong: Dict[str, List[Path]] = {}
    for image, label in pairs:
        for problem in _problems_of(image, label, largest, ignored):
            wrong.setdefault(problem, []).append(label)
    return _described(wrong, len(pairs), 'label maps')


def _problems_of(
    image_path: Path, label_path: Path, largest: int, ignored: Sequence[int]
) -> List[str]:
    try:
        with Image.open(image_path) as image:
            size = image.size
    except _BROKEN:
        return ['have an image that is none']
    try:
        with Image.open(label_path) as label:
            array = np.asarray(label)
    except _BROKEN:
        return ['are no images']
    if array.ndim != 2:
        return ['are in colour instead of one label a pixel']
    problems = []
    if (array.shape[1], array.shape[0]) != size:
        problems.append("are not of their image's size")
    others = array[~np.isin(array, ignored)]
    if others.size and others.max() > largest:
        problems.append(f'have labels above {largest}')
    return problems


def _described(
    wrong: Dict[str, List[Path]], opened: int, what: str
) -> List[str]:
    return [
        f'{len(paths)} of the {opened} {what} looked into {problem}, as '
        f'{shown(paths)}'
        for problem, paths in wrong.items()
        if paths
    ]
