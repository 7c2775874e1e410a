"""ImageNet-1k (ILSVRC 2012), as mmpretrain reads it."""

import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Dict

import numpy as np

from .archives import (
    Archive,
    check_end,
    extract_tar,
    readable_archive,
    unpack,
)
from .layout import find_root
from .matlab import read_matlab
from .parts import Part

_SOURCE = (
    'https://image-net.org/challenges/LSVRC/2012/2012-downloads.php (it asks '
    'for an account)'
)
_META, _TRUTH = 'meta.mat', 'ILSVRC2012_validation_ground_truth.txt'
_VAL_NAME = 'ILSVRC2012_val_{:08}.JPEG'

# Names and MD5s are those that torchvision states.
#: Its MD5 is not checked, which would take as long as unpacking it.
TRAIN = Archive('ILSVRC2012_img_train.tar', _SOURCE)
VAL = Archive(
    'ILSVRC2012_img_val.tar', _SOURCE, '29b22e2961454d5413ddabcf34fc5622'
)
DEVKIT = Archive(
    'ILSVRC2012_devkit_t12.tar.gz', _SOURCE, 'fa75699e90414af021442c21a62c3abf'
)


def _make_train(path: Path, folder: Path, out: Path) -> None:
    """Unpack a tar file of each class; see :attr:`Part.make`.

    Classes that are there already are skipped.
    """
    classes, fresh = folder / 'ready' / 'train', folder / 'class'
    classes.mkdir(exist_ok=True)
    with readable_archive(path), tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            wnid = PurePosixPath(member.name).stem
            if not (member.isreg() and re.fullmatch(r'n\d{8}', wnid)):
                raise ValueError(f'its member {member.name!r} is no class')
            if (classes / wnid).exists():
                continue
            # Of a process that was killed.
            shutil.rmtree(fresh, ignore_errors=True)
            with tarfile.open(fileobj=archive.extractfile(member)) as images:
                extract_tar(images, fresh)
            fresh.rename(classes / wnid)
        check_end(archive)


def _make_val(path: Path, folder: Path, out: Path) -> None:
    """Unpack the images, which have no folders; see :attr:`Part.make`."""
    unpack(path, folder / 'unpacked')
    root = find_root(folder / 'unpacked', (_VAL_NAME.format(1),))
    if root is None:
        raise ValueError(f'{path.name} holds no {_VAL_NAME.format(1)}')
    root.rename(folder / 'ready' / 'val')


def _make_meta(path: Path, folder: Path, out: Path) -> None:
    """List the labels of the validation images; see :attr:`Part.make`."""
    unpack(path, folder / 'unpacked', (_META, _TRUTH))
    root = find_root(folder / 'unpacked', (_META, _TRUTH))
    if root is None:
        raise ValueError(f'{path.name} holds no {_META} and {_TRUTH}')
    labels = read_matlab(root / _META, 'synsets', _label_of_id)
    try:
        ids = [int(line) for line in (root / _TRUTH).read_text().split()]
        lines = [
            f'{_VAL_NAME.format(index)} {labels[id]}\n'
            for index, id in enumerate(ids, 1)
        ]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'{path.name}: {_TRUTH} names no class of {_META}: {error}'
        ) from error
    (folder / 'ready' / 'meta').mkdir()
    (folder / 'ready' / 'meta' / 'val.txt').write_text(''.join(lines))


def _label_of_id(synsets: np.ndarray) -> Dict[int, int]:
    """The place of a class among the sorted folders, by ILSVRC's number."""
    # A row is (id, folder, words, description, number of children, ...); the
    # inner nodes of WordNet's tree are no classes.
    wnids = {
        int(row[0].item()): str(row[1].item())
        for row in synsets.flatten()
        if row[4].item() == 0
    }
    order = sorted(wnids.values())
    return {id: order.index(wnid) for id, wnid in wnids.items()}


def _is_sorted(out: Path) -> bool:
    """Whether the validation images are in folders of their classes."""
    val = out / 'val'
    return val.is_dir() and any(path.is_dir() for path in val.iterdir())


PARTS = (
    Part(TRAIN, ('train',), _make_train, resumes=True),
    Part(VAL, ('val',), _make_val),
    Part(DEVKIT, ('meta/val.txt',), _make_meta, is_needless=_is_sorted),
)
