"""The models of a distillation run, with what they have learnt."""

from typing import Optional, Tuple

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from torch import nn

from mmtat.models.distillers import TaTDistiller
from mmtat.models.utils import (
    read_checkpoint,
    resolve_model_config,
    state_dict_of,
)

from ..checkpoint_check import check_fit
from ..input_size import training_size
from ..inspected import built, is_distillation


def load_trained(
    config: Config, checkpoint: str, teacher_ckpt: Optional[str] = None
) -> BaseModel:
    """Student, distiller and teacher with their weights, in eval mode.

    Args:
        config (Config): Of a distillation by TaT.
        checkpoint (str): Path or URL of one of the run's checkpoints.
        teacher_ckpt (str, optional): The teacher's; by default the config's.

    Returns:
        FrozenTeacherDistill: On the GPU where there is one.

    Raises:
        ValueError: The config distils nothing by TaT, or a checkpoint is
            missing or of another model.
    """
    if not is_distillation(config):
        raise ValueError(
            'config: its model is no distillation, so there is nothing that '
            'looks from a teacher to a student; give the config that the '
            'checkpoint was trained with'
        )
    source = teacher_source(config, teacher_ckpt)
    content = read_checkpoint(checkpoint, 'checkpoint')
    state_dict = state_dict_of(content, checkpoint, 'checkpoint')
    algorithm = built(config)
    tat_of(algorithm)
    check_fit(algorithm.architecture, state_dict, strict=True)
    if 'distiller' not in content:
        raise ValueError(
            f"checkpoint: {checkpoint!r} has no entry 'distiller', which "
            'holds the embeddings of TaT; give a checkpoint of the '
            'distillation run, not one of the student alone'
        )
    check_fit(algorithm.distiller, content['distiller'], strict=True)
    load_teacher_of(algorithm, source)
    return algorithm.to(get_device()).eval()


def tat_of(algorithm: BaseModel) -> TaTDistiller:
    """The TaT distiller of an algorithm.

    Args:
        algorithm (BaseModel): Of a config.

    Returns:
        TaTDistiller: It.

    Raises:
        ValueError: Another method distils, or none.
    """
    distiller = getattr(algorithm, 'distiller', None)
    if not isinstance(distiller, TaTDistiller):
        kind = type(distiller if distiller is not None else algorithm)
        raise ValueError(
            "config: only mmtat.TaTDistiller has TaT's maps, but this one's "
            f'distiller is {kind.__name__}'
        )
    return distiller


def teacher_source(config: Config, teacher_ckpt: Optional[str]) -> object:
    """Where the teacher's weights are.

    Args:
        config (Config): Of a distillation.
        teacher_ckpt (str, optional): Goes before the config's.

    Returns:
        str | dict: See ``FrozenTeacherDistill``.

    Raises:
        ValueError: Neither names any.
    """
    model = config.model
    source = teacher_ckpt or model.get('teacher_ckpt')
    if source is None and not isinstance(model.teacher, BaseModel):
        source = resolve_model_config(model.teacher, 'teacher')[1]
    if source is None:
        raise ValueError(
            'teacher_ckpt: the config names no weights of the teacher; give '
            '--teacher-ckpt FILE'
        )
    return source


def load_teacher_of(algorithm: BaseModel, source: object) -> nn.Module:
    """Load a teacher that was built with random weights.

    Args:
        algorithm (FrozenTeacherDistill): Of
            :func:`mmtat.engine.inspected.built`.
        source (str | dict): See :func:`teacher_source`.

    Returns:
        nn.Module: The teacher.

    Raises:
        ValueError: The file is not this teacher's.
    """
    algorithm._teacher.checkpoint = source
    algorithm.load_teacher()
    return algorithm.teacher


def crop_of(algorithm: BaseModel, config: Config) -> Optional[Tuple[int, int]]:
    """Height and width of the training crop.

    Args:
        algorithm (FrozenTeacherDistill): Built.
        config (Config): Its own.

    Returns:
        tuple[int, int] | None: In pixels; None where the config cuts
        nothing, and trains on images of their own size.
    """
    models = algorithm.architecture, algorithm.teacher
    size, is_known = training_size(config, models)
    return (int(size[0]), int(size[1])) if is_known else None
