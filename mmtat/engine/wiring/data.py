"""What a student is trained on: its own data, or another's."""

import difflib
import os.path as osp
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmtat
from mmtat.models.utils import load_config

from ..class_check import classes_of_dataset
from ..dataset_check import datasets_of
from .models import Model
from .zoo import PACKAGES, find_config, zoo_configs

Size = Tuple[int, int]

_PACKAGE = Path(mmtat.__file__).resolve().parent
#: Short names, with what they stand for where that is not the zoo's base of
#: that name: datasets, and a schedule where the student's own makes no sense.
_NAMES = dict(
    voc=['mmseg::_base_/datasets/pascal_voc12_aug.py'],
    coco_stuff10k=['mmseg::_base_/datasets/coco-stuff10k.py'],
    coco_stuff164k=['mmseg::_base_/datasets/coco-stuff164k.py'],
    imagenet=['mmpretrain::_base_/datasets/imagenet_bs32.py'],
    cifar10=[
        'mmpretrain::_base_/datasets/cifar10_bs16.py',
        'mmpretrain::_base_/schedules/cifar10_bs128.py',
    ],
    cifar100=[
        'mmpretrain::_base_/datasets/cifar100_bs16.py',
        'mmpretrain::_base_/schedules/cifar10_bs128.py',
    ],
    digit_scenes=[
        '_base_/datasets/digit_scenes.py',
        '_base_/schedules/digit_scenes.py',
    ],
    digits=['_base_/datasets/digits.py', '_base_/schedules/digits.py'],
)
#: Transforms that give the images of a batch their size, with the argument.
_SIZES = dict(
    RandomCrop='crop_size',
    CenterCrop='crop_size',
    RandomResizedCrop='scale',
    EfficientNetRandomCrop='scale',
    RandomResizedCropAndInterpolationWithTwoPic='size',
    Resize='scale',
)


@dataclass
class Data:
    """Where the images come from, and what is known of them.

    Attributes:
        config (Config): With the data loaders.
        bases (list[str]): Configs to write as ``_base_``; empty where the
            student's own config is.
        has_schedule (bool): Whether these bring a schedule.
        classes (tuple[str] | None): Their names, where they are known.
        kind (str): Type of the dataset.
        size (tuple[int, int] | None): Height and width of an image as it
            is trained on, where the transforms fix it.
        is_cropped (bool): Whether a crop fixes it.
    """

    config: Config
    bases: List[str] = field(default_factory=list)
    has_schedule: bool = True
    classes: Optional[Tuple[str, ...]] = None
    kind: str = 'data'
    size: Optional[Size] = None
    is_cropped: bool = False

    def __post_init__(self) -> None:
        dataset = next(datasets_of(self.config, ('train_dataloader',)), {})
        self.kind = str(dataset.get('type')).rpartition('.')[2]
        self.classes = class_names(self.config)
        self.size, self.is_cropped = _size_of(dataset.get('pipeline') or [])

    @property
    def own(self) -> bool:
        """Whether it is that of the student's own config."""
        return not self.bases


def find_data(name: Optional[str], student: Model) -> Data:
    """The data that the command line names.

    Args:
        name (str, optional): A config's path or name, a short name such as
            'voc', or None for the student's own.
        student (Model): It says which zoo a short name is looked up in.

    Returns:
        Data: It.

    Raises:
        ValueError: No such data (names close matches), a config without it,
            or a student that has none and no name.
    """
    if name is None:
        if student.is_timm:
            raise ValueError(
                '--data: a backbone of timm comes without data and schedule; '
                'name them: --data imagenet'
            )
        if student.config.get('train_dataloader') is None:
            raise ValueError(
                f'--data: the config of {student.name} has no '
                'train_dataloader; name the data: --data '
                + ('voc' if student.is_segmentor else 'imagenet')
            )
        return Data(student.config)
    bases = _bases_of(name, student)
    configs = [_load(base) for base in bases]
    if configs[0].get('train_dataloader') is None:
        raise ValueError(
            f'--data: the config {name!r} has no train_dataloader'
        )
    _check_task(configs[0], student, name)
    if student.reference == bases[0]:
        return Data(configs[0])
    has_schedule = any('train_cfg' in config for config in configs)
    merged: Dict[str, Any] = {}
    for config in configs:
        merged.update(config.to_dict())
    merged.setdefault('default_scope', scope_of(student))
    return Data(Config(merged), bases, has_schedule)


def _check_task(config: Config, student: Model, name: str) -> None:
    """Refuse questions, captions and the like, which mmpretrain has too."""
    for dataset in datasets_of(config, ('train_dataloader',)):
        pipeline = dataset.get('pipeline') or []
        packed = pipeline[-1] if pipeline else {}
        kind = str(packed.get('type')).rpartition('.')[2]
        if kind == 'PackInputs' and packed.get('algorithm_keys'):
            keys = ', '.join(packed['algorithm_keys'])
            raise ValueError(
                f'--data: {name!r} is for another task than '
                f'{"segmentation" if student.is_segmentor else "classes"}: '
                f'its samples have {keys}'
            )


def scope_of(model: Model) -> str:
    """The zoo that a model belongs to.

    Args:
        model (Model): A segmentor or a classifier.

    Returns:
        str: 'mmseg' or 'mmpretrain'.
    """
    return 'mmseg' if model.is_segmentor else 'mmpretrain'


def class_names(config: Config) -> Optional[Tuple[str, ...]]:
    """Names of the classes that a config's training data has.

    Args:
        config (Config): With a ``train_dataloader``.

    Returns:
        tuple[str] | None: They, where the dataset says.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    for dataset in datasets_of(config, ('train_dataloader',)):
        classes = classes_of_dataset(dataset)
        if classes is not None:
            return classes
    return None


def _bases_of(name: str, student: Model) -> List[str]:
    if '::' in name:
        if '_base_/' in name:
            return [name if name.endswith('.py') else f'{name}.py']
        return [find_config(name, '--data')]
    if osp.isfile(name):
        return [osp.abspath(name)]
    package = scope_of(student)
    key = name.replace('-', '_').lower()
    known = {
        short: bases
        for short, bases in _NAMES.items()
        if _package_of(bases[0]) == package
    }
    for config in zoo_configs(package, of_bases=True):
        stem = Path(config).stem.replace('-', '_').lower()
        known.setdefault(stem, [f'{package}::{config}'])
    if key in known:
        return [_located(base) for base in known[key]]
    close = difflib.get_close_matches(key, known, n=4, cutoff=0.4)
    what = 'segmentation' if student.is_segmentor else 'classification'
    raise ValueError(
        f'--data: no data {name!r} for {what}; give the path of a config, '
        "the name of a zoo's, or a short name: "
        + ', '.join(close or sorted(known))
    )


def _package_of(base: str) -> str:
    package = base.partition('::')[0]
    if package in PACKAGES:
        return package
    return 'mmseg' if 'scenes' in base else 'mmpretrain'


def own_configs() -> Path:
    """The folder of mmtat's configs, in a checkout or in a wheel.

    Returns:
        Path: It.
    """
    places = (_PACKAGE / '.mim', _PACKAGE.parent)
    root = next(place for place in places if (place / 'configs').is_dir())
    return root / 'configs'


def _located(base: str) -> str:
    return base if '::' in base else str(own_configs() / base)


def _load(base: str) -> Config:
    return load_config(base, '--data')


def _size_of(pipeline: List[Any]) -> Tuple[Optional[Size], bool]:
    """Of an image behind the last transform that fixes it; if it crops."""
    for transform in reversed(pipeline):
        kind = str(transform.get('type')).rpartition('.')[2]
        size = transform.get(_SIZES.get(kind))
        if size is None or (kind == 'Resize' and transform.get('keep_ratio')):
            continue
        size = (size, size) if isinstance(size, int) else tuple(size)
        # Resize alone has the width first.
        is_crop = kind != 'Resize'
        return (size if is_crop else size[::-1]), is_crop
    return None, False
