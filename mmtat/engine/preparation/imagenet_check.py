"""Whether a folder of ImageNet-1k is complete."""

from itertools import islice
from pathlib import Path
from typing import Dict, List

from .class_folders import check_classes, count_images, images_below
from .layout import missing_entries, missing_files, shown, wrong_number
from .samples import check_images, spread

#: Images of each split, as mmpretrain's documentation has them.
COUNTS = dict(train=1281167, val=50000)
CLASSES = 1000


def check_imagenet(
    root: Path, counts: Dict[str, int] = COUNTS, classes: int = CLASSES
) -> List[str]:
    """What is wrong with a folder of ImageNet-1k.

    The images of a split are in a folder for each class, or listed with
    their labels in ``meta/SPLIT.txt``.

    Args:
        root (Path): The folder that holds ``train`` and ``val``.
        counts (dict[str, int]): Images of each split. Defaults to
            :data:`COUNTS`.
        classes (int): Number of classes. Defaults to :data:`CLASSES`.

    Returns:
        list[str]: A problem each.
    """
    problems = missing_entries(root, tuple(counts))
    folders: Dict[str, Dict[str, int]] = {}
    for split, count in counts.items():
        images, listed = root / split, root / 'meta' / f'{split}.txt'
        if images.is_dir() and listed.is_file():
            problems += _check_list(images, listed, count, classes)
        elif images.is_dir():
            folders[split] = count_images(images)
            problems += _check_folders(images, folders[split], count, classes)
    return problems + _check_same(root, folders)


def _check_list(
    images: Path, listed: Path, count: int, classes: int
) -> List[str]:
    lines = listed.read_text(errors='replace').splitlines()
    pairs = [line.rsplit(maxsplit=1) for line in lines if line.strip()]
    problems = wrong_number(len(pairs), count, f"images in '{listed}'")
    known = {str(label) for label in range(classes)}
    wrong = [pair for pair in pairs if len(pair) != 2 or pair[1] not in known]
    if wrong:
        problems.append(
            f"{len(wrong)} of the {len(pairs)} lines of '{listed}' are not "
            f'an image and a label from 0 to {classes - 1}, as '
            f'{shown(map(" ".join, wrong))}'
        )
    paths = [images / pair[0] for pair in pairs]
    problems += missing_files(paths, 'image', f"that '{listed}' names")
    there = [path for path in spread(paths) if path.is_file()]
    return problems + check_images(there)


def _check_folders(
    images: Path, counts: Dict[str, int], count: int, classes: int
) -> List[str]:
    problems = check_classes(images, counts, classes)
    if not counts:
        problems.append(
            f"labels of '{images}' are missing: images without folders need "
            f"the list '{images.parent / 'meta' / images.name}.txt', which "
            'is made with ILSVRC2012_devkit_t12.tar.gz'
        )
        return problems
    total = sum(counts.values())
    problems += wrong_number(total, count, f"images in '{images}'")
    firsts = [
        image
        for name in spread([*counts])
        for image in islice(images_below(images / name), 1)
    ]
    return problems + check_images(firsts)


def _check_same(root: Path, folders: Dict[str, Dict[str, int]]) -> List[str]:
    """Folders that only one split has, which shift the labels."""
    if len(folders) < 2 or not all(folders.values()):
        return []
    (first, second), (a, b) = folders, map(set, folders.values())
    return [
        f"{len(names)} classes are in '{root / split}' only, as "
        f'{shown(sorted(names))}'
        for split, names in ((first, a - b), (second, b - a))
        if names
    ]
