"""Images in one folder for each class, as ImageNet's."""

import os
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

from .layout import shown

#: What mmpretrain's ImageNet takes for an image, in either case.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


def count_images(
    folder: Path,
    suffixes: Sequence[str] = SUFFIXES,
    most: Optional[int] = None,
) -> Dict[str, int]:
    """Count the images of each class.

    Args:
        folder (Path): Of the folders of the classes.
        suffixes (Sequence[str]): Of images, in lower case.
        most (int, optional): Stop counting a class there.

    Returns:
        dict[str, int]: By the name of the class, sorted.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    return {
        name: sum(
            1 for _ in islice(images_below(folder / name, suffixes), most)
        )
        for name in names
    }


def images_below(
    folder: Path, suffixes: Sequence[str] = SUFFIXES
) -> Iterator[Path]:
    """Images in a folder and in those below, as mmpretrain finds them.

    Args:
        folder (Path): To look in.
        suffixes (Sequence[str]): Of images, in lower case.

    Yields:
        Path: Of an image, in no order.
    """
    suffixes = tuple(suffixes)
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(suffixes):
                yield Path(parent, name)


def check_classes(
    folder: Path,
    counts: Dict[str, int],
    classes: int,
    suffixes: Sequence[str] = SUFFIXES,
) -> List[str]:
    """What is wrong with the folders of the classes.

    Args:
        folder (Path): Of the folders of the classes.
        counts (dict[str, int]): Of :func:`count_images`.
        classes (int): How many there should be.
        suffixes (Sequence[str]): Of images, in lower case.

    Returns:
        list[str]: A problem each.
    """
    problems = []
    if len(counts) != classes:
        problems.append(
            f"'{folder}' has {len(counts)} folders, expected one for each of "
            f'{classes} classes'
        )
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    loose = [n for n in names if n.lower().endswith(tuple(suffixes))]
    if loose:
        problems.append(
            f"{len(loose)} images are in no class's folder but in '{folder}', "
            f'as {shown(loose)}'
        )
    empty = [name for name, count in counts.items() if not count]
    if empty:
        problems.append(
            f"{len(empty)} of the {len(counts)} folders in '{folder}' have no "
            f'image, as {shown(empty)}'
        )
    return problems
