"""Pascal VOC 2012 with the labels of SBD, as mmsegmentation reads them."""

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

_LISTS = 'ImageSets/Segmentation'
_VOC_ENTRIES = ('JPEGImages', 'SegmentationClass', _LISTS)
_SBD_ENTRIES = ('SegmentationClassAug', f'{_LISTS}/aug.txt')
_SBD_FILES = ('cls', 'train.txt', 'val.txt')

#: Folder of the label maps of each list.
LABELS = dict(
    train='SegmentationClass',
    val='SegmentationClass',
    aug='SegmentationClassAug',
)
#: Images in each list: VOC 2012's own two, and what makes them the 10582
#: training images that mmsegmentation's converter asks for.
COUNTS = dict(train=1464, val=1449, aug=10582 - 1464)
#: 20 classes, and 0 for the background.
LARGEST_LABEL = 20

# Addresses and MD5s are those that torchvision states.
VOC = Archive(
    'VOCtrainval_11-May-2012.tar',
    'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/'
    'VOCtrainval_11-May-2012.tar',
    '6cd6e144f989b92b3379bac3b3de84fd',
)
SBD = Archive(
    'benchmark.tgz',
    'https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/'
    'semantic_contours/benchmark.tgz',
    '82b4d87ceb2ed10f6038a1cba92111cb',
)


def _make_voc(path: Path, folder: Path, out: Path) -> None:
    """Take what segmentation reads; see :attr:`Part.make`."""
    unpacked = folder / 'unpacked'
    # The last: other tasks' lists are beside it.
    unpack(path, unpacked, ('JPEGImages', 'SegmentationClass', 'Segmentation'))
    root = find_root(unpacked, _VOC_ENTRIES)
    if root is None:
        raise ValueError(f'{path.name} holds no {", ".join(_VOC_ENTRIES)}')
    (folder / 'ready' / _LISTS).parent.mkdir()
    for entry in _VOC_ENTRIES:
        (root / entry).rename(folder / 'ready' / entry)


def _make_sbd(path: Path, folder: Path, out: Path) -> None:
    """Convert the labels of the images that VOC has no labels of.

    See :attr:`Part.make`.
    """
    unpacked, ready = folder / 'unpacked', folder / 'ready'
    unpack(path, unpacked, _SBD_FILES)
    root = find_root(unpacked, _SBD_FILES)
    if root is None:
        raise ValueError(f'{path.name} holds no {", ".join(_SBD_FILES)}')
    of_voc, of_sbd = (
        {
            name
            for split in ('train', 'val')
            for name in read_names(lists / f'{split}.txt')
        }
        for lists in (out / _LISTS, root)
    )
    # SBD splits VOC's images anew: some of its own are validated on.
    names = sorted(of_sbd - of_voc)
    labels = ready / 'SegmentationClassAug'
    labels.mkdir()
    for name in track_iter_progress(names):
        label = read_matlab(root / 'cls' / f'{name}.mat', 'GTcls', _label_map)
        save_labels(label, labels / f'{name}.png')
    (ready / _LISTS).mkdir(parents=True)
    (ready / _LISTS / 'aug.txt').write_text('\n'.join([*names, '']))


def _label_map(truth: np.ndarray) -> np.ndarray:
    # MATLAB's structures are arrays of 1x1 structures.
    return truth[0, 0]['Segmentation']


PARTS = (
    Part(VOC, _VOC_ENTRIES, _make_voc),
    Part(SBD, _SBD_ENTRIES, _make_sbd),
)


def check_voc(root: Path, counts: Dict[str, int] = COUNTS) -> List[str]:
    """What is wrong with a folder of VOC 2012 and SBD.

    Args:
        root (Path): The folder that holds ``JPEGImages``.
        counts (dict[str, int]): Images of the lists train, val and aug.
            Defaults to :data:`COUNTS`.

    Returns:
        list[str]: A problem each.
    """
    lists = {split: f'{_LISTS}/{split}.txt' for split in counts}
    problems = missing_entries(
        root, ('JPEGImages', *dict.fromkeys(LABELS.values()), *lists.values())
    )
    names: Dict[str, List[str]] = {}
    for split, path in lists.items():
        if (root / path).is_file():
            try:
                names[split] = read_names(root / path)
            except ValueError as error:
                problems.append(str(error))
    for split, found in names.items():
        problems += wrong_number(
            len(found), counts[split], f"names in '{root / lists[split]}'"
        )
        problems += _check_split(root, split, found, lists[split])
    return problems + _check_overlap(names)


def _check_split(
    root: Path, split: str, names: List[str], of: str
) -> List[str]:
    labels = root / LABELS[split]
    pairs = [
        (root / 'JPEGImages' / f'{name}.jpg', labels / f'{name}.png')
        for name in names
    ]
    of = f'that {of} names'
    problems = missing_files((image for image, _ in pairs), 'image', of)
    problems += missing_files((label for _, label in pairs), 'label map', of)
    there = [pair for pair in pairs if all(path.is_file() for path in pair)]
    return problems + check_label_maps(there, LARGEST_LABEL)


def _check_overlap(names: Dict[str, List[str]]) -> List[str]:
    """Images that are trained and validated on, or trained on twice."""
    aug = {*names.get('aug', ())}
    problems = []
    for split in ('train', 'val'):
        both = sorted(aug & {*names.get(split, ())})
        if both:
            problems.append(
                f'aug.txt names {len(both)} images that {split}.txt names '
                f'too, as {shown(both)}'
            )
    return problems
