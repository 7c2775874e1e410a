"""Models of a config, built to be looked at rather than trained."""

import copy
from typing import Any, Dict, Optional

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from mmtat.models.utils import (
    build_model,
    load_config,
    resolve_model_config,
    without_pretrained,
)

from .launch import set_input_size


def read_config(
    source: str, cfg_options: Optional[Dict[str, Any]] = None
) -> Config:
    """Read a config as the training tool does, without looking at its data.

    Args:
        source (str): Path of a config, or ``'mmseg::...'``.
        cfg_options (dict, optional): Settings to override.

    Returns:
        Config: With its default scope in force.

    Raises:
        ValueError: Not found, or no config.
    """
    config = load_config(source, 'config')
    config.merge_from_dict(cfg_options or {})
    if 'model' not in config:
        raise ValueError(f'config: {source!r} defines no model')
    init_default_scope(config.get('default_scope', 'mmengine'))
    return config


def is_distillation(config: Config) -> bool:
    """Whether a config's model is a distillation algorithm.

    Args:
        config (Config): Of a training.

    Returns:
        bool: It has a student, a teacher and a distiller.
    """
    return {'architecture', 'teacher', 'distiller'} <= set(config.model)


def built(config: Config) -> BaseModel:
    """Build a config's model with random weights.

    Nothing is fetched, and no file of weights is read, neither the
    teacher's nor what a backbone would start from.

    Args:
        config (Config): Of :func:`read_config`; stays as it is.

    Returns:
        BaseModel: A ``FrozenTeacherDistill``, or the student alone.

    Raises:
        TypeError, ValueError: As in building it for a training.
    """
    config = copy.deepcopy(config)
    model = config.model
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    if not is_distillation(config):
        return build_model(without_pretrained(model), 'model')
    set_input_size(config)
    for role in ('architecture', 'teacher'):
        model[role] = without_pretrained(
            resolve_model_config(model[role], role)[0]
        )
    model.teacher_ckpt = None
    return build_model(model, 'model')
