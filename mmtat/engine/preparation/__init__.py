"""Unpacking and checking the datasets of the configs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Sequence

from . import cifar, coco_stuff, imagenet, voc
from .cifar import check_cifar100
from .coco_stuff import check_coco_stuff
from .imagenet_check import check_imagenet
from .layout import raise_problems
from .parts import Part, prepare
from .voc import check_voc

__all__ = ['DATASETS', 'Dataset', 'check', 'prepare']


@dataclass(frozen=True)
class Dataset:
    """How a dataset is prepared and checked.

    Attributes:
        parts (Sequence[Part]): What :func:`prepare` makes.
        problems (Callable): Of a folder: a list of what is wrong with it.
        folder (str): That the configs read unless told otherwise.
    """

    parts: Sequence[Part]
    problems: Callable[[Path], List[str]]
    folder: str


DATASETS = dict(
    voc=Dataset(voc.PARTS, check_voc, 'data/VOCdevkit/VOC2012'),
    coco_stuff10k=Dataset(
        coco_stuff.PARTS, check_coco_stuff, 'data/coco_stuff10k'
    ),
    imagenet=Dataset(imagenet.PARTS, check_imagenet, 'data/imagenet'),
    cifar100=Dataset(cifar.PARTS, check_cifar100, 'data/cifar100'),
)


def check(dataset: Dataset, root: Path) -> None:
    """Raise unless a dataset's folder is complete.

    Args:
        dataset (Dataset): One of :data:`DATASETS`.
        root (Path): Its folder.

    Raises:
        ValueError: Lists everything that is wrong.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder '{root}'")
    raise_problems(f"'{root}' is not complete", dataset.problems(root))
