"""COCO-Stuff 10k, as mmsegmentation reads it."""

from pathlib import Path
from typing import Dict, List

import numpy as np
from mmengine.utils import track_iter_progress

from .archives import Archive, unpack
from .layout import (
    find_root,
    missing_entries,
    missing_files,
    read_names,
    shown,
    wrong_number,
)
from .matlab import read_matlab, save_labels
from .parts import Part
from .samples import check_label_maps

_ENTRIES = (
    'images/train2014',
    'images/test2014',
    'annotations/train2014',
    'annotations/test2014',
)
_ZIPPED = (
    'images',
    'annotations',
    'imageLists/train.txt',
    'imageLists/test.txt',
)
#: What mmsegmentation's dataset class puts behind the name of an image.
SUFFIX = '_labelTrainIds.png'
#: Images of each folder, 10000 in all.
COUNTS = dict(train2014=9000, test2014=1000)
#: mmsegmentation's classes, from 1; 0 is unlabelled.
CLASSES = 171
#: Labels that the dataset's numbering has and its label maps have not: 11
#: things that COCO left out. With them it would be 182.
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)

ARCHIVE = Archive(
    'cocostuff-10k-v1.1.zip',
    'http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/'
    'cocostuff-10k-v1.1.zip, or as https://github.com/nightrome/cocostuff10k '
    'says',
)


def train_ids() -> np.ndarray:
    """The labels that mmsegmentation expects, by those of the dataset.

    Returns:
        np.ndarray: (183, ) uint8: for 0 to 182 the same without gaps, 1 to
        171; 0 for 0 and for :data:`UNUSED`.
    """
    used = [n for n in range(1, CLASSES + len(UNUSED) + 1) if n not in UNUSED]
    ids = np.zeros(CLASSES + len(UNUSED) + 1, np.uint8)
    ids[used] = range(1, CLASSES + 1)
    return ids


def _make(path: Path, folder: Path, out: Path) -> None:
    """Sort the images by split and convert the labels; see :class:`Part`."""
    unpacked = folder / 'unpacked'
    unpack(path, unpacked, ('images', 'annotations', 'imageLists'))
    root = find_root(unpacked, _ZIPPED)
    if root is None:
        raise ValueError(f'{path.name} holds no {", ".join(_ZIPPED)}')
    for split in COUNTS:
        of = f'imageLists/{split.removesuffix("2014")}.txt'
        names = read_names(root / of)
        images = [root / 'images' / f'{name}.jpg' for name in names]
        labels = [root / 'annotations' / f'{name}.mat' for name in names]
        for paths, what in ((images, 'image'), (labels, 'annotation')):
            for problem in missing_files(paths, what, f'that {of} names'):
                raise ValueError(f'{path.name}: {problem}')
        _make_split(images, labels, folder / 'ready', split)


def _make_split(
    images: List[Path], labels: List[Path], ready: Path, split: str
) -> None:
    for kind in ('images', 'annotations'):
        (ready / kind / split).mkdir(parents=True)
    ids = train_ids()
    for image, label in track_iter_progress([*zip(images, labels)]):
        # Indexing raises on a label that the dataset has not.
        converted = read_matlab(
            label, 'S', lambda labels: ids[labels.astype(np.int64)]
        )
        name = f'{label.stem}{SUFFIX}'
        save_labels(converted, ready / 'annotations' / split / name)
        image.rename(ready / 'images' / split / image.name)


PARTS = (Part(ARCHIVE, _ENTRIES, _make),)


def check_coco_stuff(root: Path, counts: Dict[str, int] = COUNTS) -> List[str]:
    """What is wrong with a folder of COCO-Stuff 10k.

    Args:
        root (Path): The folder that holds ``images`` and ``annotations``.
        counts (dict[str, int]): Images of the folders train2014 and
            test2014. Defaults to :data:`COUNTS`.

    Returns:
        list[str]: A problem each.
    """
    problems = missing_entries(root, _ENTRIES)
    raw = sorted((root / 'annotations').glob('*.mat'))
    if raw:
        problems.append(
            f"{len(raw)} files in '{root / 'annotations'}' are as they came, "
            f'to be converted from {ARCHIVE.name} by --downloads DIR, as '
            f'{shown(raw)}'
        )
    for split, count in counts.items():
        images = root / 'images' / split
        labels = root / 'annotations' / split
        if images.is_dir() and labels.is_dir():
            problems += _check_split(images, labels, count)
    return problems


def _check_split(images: Path, labels: Path, count: int) -> List[str]:
    found = sorted(images.glob('*.jpg'))
    problems = wrong_number(len(found), count, f"images in '{images}'")
    pairs = [(image, labels / f'{image.stem}{SUFFIX}') for image in found]
    problems += missing_files(
        (label for _, label in pairs), 'label map', f"of '{images}'"
    )
    names = {label.name for _, label in pairs}
    lone = sorted(p for p in labels.glob(f'*{SUFFIX}') if p.name not in names)
    if lone:
        problems.append(
            f"{len(lone)} label maps have no image in '{images}', as "
            f'{shown(lone)}'
        )
    there = [pair for pair in pairs if pair[1].is_file()]
    return problems + check_label_maps(there, CLASSES, ignored=())
