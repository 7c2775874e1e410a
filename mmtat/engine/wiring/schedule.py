"""A student's own schedule, beside another's data."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

from mmengine.config import Config

from .data import scope_of
from .models import Model
from .zoo import zoo_root

_KEYS = ('optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg')
#: For a backbone of timm, whose recipe is not known.
_CONVOLUTIONS = 'mmpretrain::_base_/schedules/imagenet_bs256.py'
_LAYER_DECAY = ('decay_rate', 'decay_type', 'num_layers', 'layer_decay_rate')


def student_schedule(student: Model) -> Tuple[List[str], Dict[str, Any]]:
    """The base that is nearest to a student's schedule, and the rest.

    Args:
        student (Model): Whose schedule it is.

    Returns:
        tuple[list[str], dict]: Bases, and settings by their names; a dict
        replaces the base's.
    """
    if student.is_timm:
        return [_CONVOLUTIONS], {}
    package = scope_of(student)
    folder = zoo_root(package) / '_base_' / 'schedules'
    own = {key: student.config.get(key) for key in _KEYS}
    paths = sorted(folder.glob('*.py'))
    configs = {path: Config.fromfile(path) for path in paths}

    def likeness(path: Path) -> Tuple[int, int]:
        alike = [configs[path].get(key) == own[key] for key in _KEYS]
        return sum(alike), alike[2]

    best = max(paths, key=likeness)
    settings = {
        key: replaced(value)
        for key, value in own.items()
        if value is not None and configs[best].get(key) != value
    }
    batch = student.config.get('train_dataloader', {}).get('batch_size')
    if batch is not None:
        settings['train_dataloader'] = dict(batch_size=batch)
    return [f'{package}::_base_/schedules/{best.name}'], settings


def replaced(value: Any) -> Any:
    """A setting that takes the place of a base's.

    Args:
        value (Any): It.

    Returns:
        Any: Of plain values; a dict says that it replaces.
    """
    if isinstance(value, dict):
        return dict(_delete_=True, **Config(value).to_dict())
    return value


def without_layer_decay(optim_wrapper: Dict[str, Any]) -> Dict[str, Any]:
    """Settings that switch a learning rate by layers off, if it is on.

    Its constructors read the layer off names that begin with 'backbone.',
    which those of a distillation do not.

    Args:
        optim_wrapper (dict): Of a config.

    Returns:
        dict: To be merged into it; empty where nothing has to change.
    """
    constructor = str(optim_wrapper.get('constructor', ''))
    if 'Decay' not in constructor:
        return {}
    paramwise = {
        key: value
        for key, value in (optim_wrapper.get('paramwise_cfg') or {}).items()
        if key not in _LAYER_DECAY
    }
    return dict(
        constructor='DefaultOptimWrapperConstructor',
        paramwise_cfg=dict(_delete_=True, **paramwise),
    )
