"""The distillers that can be proposed, with the settings of configs/."""

import difflib
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from mmtat.models.distillers.logits import LOGIT_LAYERS

from .code import Commented
from .data import own_configs
from .layers import Found
from .pairs import (
    Pair,
    choose_norms,
    choose_pair,
    choose_stages,
    describe,
)
from .tat import tat

#: Other names of methods.
_OTHER_NAMES = dict(
    fitnet='l2',
    fitnets='l2',
    reviewkd='review',
    review_kd='review',
    kl='kd',
    wkd_f='wkd',
)
#: Methods that compare logits, and so need equal classes.
OF_LOGITS = ('kd', 'dkd', 'dist')
#: Training images by the dataset's type, as their publishers split them.
_IMAGES = dict(
    ImageNet=1281167,
    CIFAR10=50000,
    CIFAR100=50000,
    PascalVOCDataset=10582,
    CityscapesDataset=2975,
    ADE20KDataset=20210,
    COCOStuffDataset=9000,
    PascalContextDataset=4998,
    PascalContextDataset59=4998,
)
#: Elements, and positions, of the map that the VOC weights are for.
_VOC_POSITIONS = 128 * 128
_VOC_ELEMENTS = 512 * _VOC_POSITIONS


@dataclass
class Task:
    """What a method is proposed for.

    Attributes:
        student (Found): What the student offers.
        teacher (Found): What the teacher does.
        is_segmentation (bool): Whether the student labels pixels.
        kind (str): Type of the dataset.
        has_logits (bool): Whether the teacher's logits are usable.
        why_not (str): Why they are not, for messages.
    """

    student: Found
    teacher: Found
    is_segmentation: bool
    kind: str = 'data'
    has_logits: bool = True
    why_not: str = ''


@dataclass
class Proposal:
    """A method, wired.

    Attributes:
        distiller (dict): Its config, with comments.
        pairs (list[Pair]): Layers that are distilled.
        task_weight (float | None): That the student's own loss gets, where
            the recipe changes it.
    """

    distiller: Dict[str, Any]
    pairs: List[Pair] = field(default_factory=list)
    task_weight: Optional[float] = None


def method_names() -> List[str]:
    """The methods that there are.

    Returns:
        list[str]: 'tat', and those of configs/_base_/distillers.
    """
    folder = own_configs() / '_base_' / 'distillers'
    return ['tat', *sorted(path.stem for path in folder.glob('*.py'))]


def check_method(name: str) -> str:
    """The method that a name means.

    Args:
        name (str): Of the command line.

    Returns:
        str: One of :func:`method_names`.

    Raises:
        ValueError: An unknown one; names close matches.
    """
    known = method_names()
    key = name.lower().replace('-', '_')
    key = _OTHER_NAMES.get(key, key)
    if key in known:
        return key
    close = difflib.get_close_matches(key, [*known, *_OTHER_NAMES], n=2)
    hint = f'did you mean {" or ".join(close)}? ' if close else ''
    raise ValueError(
        f'--method: no method {name!r}; {hint}There are {", ".join(known)}'
    )


def propose(method: str, task: Task) -> Proposal:
    """Wire a method between two models.

    Args:
        method (str): Of :func:`check_method`.
        task (Task): What it is for.

    Returns:
        Proposal: It.

    Raises:
        ValueError: The method cannot work on the pair; says which can.
    """
    logits = _logits(task) if task.has_logits else None
    if method == 'tat':
        pair = choose_pair(task.student, task.teacher)
        recipe = None if task.is_segmentation else logits
        distiller = tat(pair, task.is_segmentation, recipe)
        weight = None if recipe is None else 0.5
        return Proposal(distiller, [pair], weight)
    source, config = _rival(method, task.is_segmentation)
    if method == 'cwd' and 'logits' in config and not task.has_logits:
        # Between features it needs no equal classes.
        source, config = _rival(method, is_segmentation=False)
    named = config.pop('losses', None), config.pop('logits', None)
    config.pop('layers', None)
    weight = config.pop('loss_weight', None)
    pairs, distiller = [], dict(type=config.pop('type'))
    if named[0] is not None or method == 'review':
        pairs = _pairs(method, task)
        layers = [pair.names for pair in pairs]
        distiller['layers'] = Commented(layers, _why(pairs))
    distiller.update(config)
    if named[1] is not None:
        if not task.has_logits:
            raise ValueError(
                f'--method {method} compares logits, but {task.why_not}; '
                f'methods that can: {", ".join(_of_features())}'
            )
        distiller['logits'] = {**named[1], **logits}
    if named[0] is not None:
        distiller['losses'] = named[0]
    if method == 'crd':
        _set_images(distiller['losses'], task.kind)
    if weight is not None:
        scale, words = _scale(method, task, pairs)
        weight = float(f'{weight * scale:.3g}')
        distiller['loss_weight'] = Commented(
            weight, f'That of configs/rivals/{source}{words}; not tuned here.'
        )
    task_weight = 0.1 if method == 'kd' and 'cifar100' in source else None
    return Proposal(distiller, pairs, task_weight)


def _of_features() -> List[str]:
    return [name for name in method_names() if name not in OF_LOGITS]


def _rival(method: str, is_segmentation: bool) -> Tuple[str, Dict[str, Any]]:
    """The distiller of a config of configs/rivals, and the file's name."""
    folder = 'voc' if is_segmentation else 'cifar100'
    root = own_configs() / 'rivals'
    (path,) = (root / folder).glob(f'{method}_*.py')
    distiller = Config.fromfile(path).model.distiller.to_dict()
    return path.relative_to(root).as_posix(), distiller


def _logits(task: Task) -> Dict[str, str]:
    """Where the logits are, where mmtat does not find them by itself."""
    found = dict(student=task.student.logits, teacher=task.teacher.logits)
    return {
        role: name for role, name in found.items() if name not in LOGIT_LAYERS
    }


def _pairs(method: str, task: Task) -> List[Pair]:
    if method == 'ofd':
        pair = choose_norms(task.student, task.teacher)
        if pair is None:
            raise ValueError(
                '--method ofd takes its margins from a batch norm, and '
                'student or teacher has none where it would be distilled; '
                'methods that can: '
                + ', '.join(n for n in _of_features() if n != 'ofd')
            )
        return [pair]
    if method == 'review':
        pairs = choose_stages(task.student, task.teacher)
        if len(pairs) < 2:
            raise ValueError(
                '--method review fuses maps of several sizes, and the '
                f'backbones share {len(pairs)}; methods that can: '
                + ', '.join(n for n in _of_features() if n != 'review')
            )
        return pairs
    return [choose_pair(task.student, task.teacher)]


def _why(pairs: List[Pair]) -> str:
    if len(pairs) == 1:
        return describe(pairs[0])
    sizes = ', '.join('x'.join(map(str, p.student.size)) for p in pairs)
    return f'The last maps of each size that both backbones have: {sizes}.'


def _scale(method: str, task: Task, pairs: List[Pair]) -> Tuple[float, str]:
    """For losses that grow or shrink with the map, as the rivals' do."""
    if not task.is_segmentation or not pairs:
        return 1.0, ''
    channels, height, width = pairs[0].teacher.map
    if method == 'at':
        factor, what = height * width / _VOC_POSITIONS, 'positions'
    elif method == 'ofd':
        factor = _VOC_ELEMENTS / (channels * height * width)
        what = 'elements'
    else:
        return 1.0, ''
    words = f', times {factor:.3g} for the {what} of this map'
    return factor, words if factor != 1.0 else ''


def _set_images(losses: Dict[str, Any], kind: str) -> None:
    if kind not in _IMAGES:
        raise ValueError(
            '--method crd needs the number of training images, which is not '
            f'known of {kind}; known are {", ".join(_IMAGES)}'
        )
    losses['loss_crd'] = dict(losses['loss_crd'], images=_IMAGES[kind])
