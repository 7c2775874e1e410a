"""Building the parts of a distillation, and refusing those that cannot be."""

from typing import Any, Dict, FrozenSet, Optional, Tuple, Union

from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import nn

from ..utils import (
    DistillDataPreprocessor,
    DryRun,
    FrozenTeacher,
    NormWatch,
    TeacherOptions,
    TeacherSpeed,
    build_model,
    check_classes,
    check_sources,
    check_type,
    dry_run,
    resolve_model_config,
    teacher_preprocessor,
    without_pretrained,
)
from ..utils.model_config import ModelSource
from ..utils.teacher_checkpoint import CheckpointSource


def refuse_students(**arguments: None) -> None:
    """Raise for arguments that belong to the student.

    Args:
        **arguments (None): By their names.

    Raises:
        ValueError: One is not None.
    """
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f'{name} belongs to the architecture: set '
                f'architecture=dict({name}={value!r}, ...)'
            )


def check_batches(name: str, batches: Any) -> None:
    """Raise unless it is None or a number of batches from 0 on.

    Args:
        name (str): Of the argument.
        batches (Any): What came.

    Raises:
        ValueError: Anything else.
    """
    is_number = isinstance(batches, int) and not isinstance(batches, bool)
    if batches is not None and not (is_number and batches >= 0):
        raise ValueError(
            f'{name} must be None, 0 for none, or a number of batches, got '
            f'{batches!r}'
        )


def check_bool(name: str, value: Any) -> None:
    """Raise unless it is a bool.

    Args:
        name (str): Of the argument.
        value (Any): What came.

    Raises:
        TypeError: Anything else.
    """
    if not isinstance(value, bool):
        raise TypeError(f'{name} must be a bool, got {value!r}')


def build_student(
    source: ModelSource, data_preprocessor: Union[Dict, nn.Module, None]
) -> BaseModel:
    """Build the student.

    Args:
        source (dict | str | BaseModel): A config, its name, or the student.
        data_preprocessor (dict | nn.Module, optional): For one that has none
            of its own.

    Returns:
        BaseModel: It, with the weights that its name stands for.

    Raises:
        TypeError, ValueError: No model comes of it.
    """
    if isinstance(source, BaseModel):
        return source
    config, zoo_weights = resolve_model_config(source, 'architecture')
    if data_preprocessor is not None:
        config.setdefault('data_preprocessor', data_preprocessor)
    if zoo_weights is not None:
        config['init_cfg'] = dict(type='Pretrained', checkpoint=zoo_weights)
    return build_model(config, 'architecture')


def build_distiller(
    distiller: Union[Dict, BaseDistiller, None],
) -> BaseDistiller:
    """Build the distiller.

    Args:
        distiller (dict | BaseDistiller): A config, or a built one.

    Returns:
        BaseDistiller: A ``ConfigurableDistiller``.

    Raises:
        TypeError: It is none.
        ValueError: Its type is unknown.
    """
    if isinstance(distiller, dict):
        config = dict(dict(_scope_='mmrazor'), **distiller)
        check_type(config, 'distiller', config['_scope_'])
        distiller = MMRAZOR_MODELS.build(config)
    if not isinstance(distiller, BaseDistiller) or not hasattr(
        distiller, 'teacher_recorders'
    ):
        raise TypeError(
            'distiller must be the config of a ConfigurableDistiller, such '
            "as dict(type='mmtat.TaTDistiller', ...), or a built one, got "
            f'{type(distiller)}'
        )
    return distiller


def build_teacher(
    student: BaseModel,
    source: ModelSource,
    checkpoint: Optional[CheckpointSource],
    distiller: BaseDistiller,
    options: TeacherOptions,
) -> Tuple[FrozenTeacher, FrozenSet[str]]:
    """Build the teacher, and prepare the distiller for both models.

    Args:
        student (BaseModel): The student.
        source (dict | str | BaseModel): A config, its name, or the teacher.
        checkpoint (str | dict, optional): See :func:`load_teacher`; by
            default what the name of a config stands for.
        distiller (ConfigurableDistiller): It is given its recorders' layers.
        options (TeacherOptions): How the teacher is run.

    Returns:
        tuple[FrozenTeacher, frozenset[str]]: The teacher, and the student's
        recorders whose tensors are changed in place after they recorded.

    Raises:
        TypeError, ValueError: No teacher comes of it, it is the student, or
            the distiller cannot work on the recorded layers.
    """
    trained = isinstance(source, BaseModel)
    if not trained:
        config, zoo_weights = resolve_model_config(source, 'teacher')
        checkpoint = checkpoint or zoo_weights
        source = without_pretrained(config)
    model = build_model(source, 'teacher')
    _check_not_shared(student, model)
    with NormWatch(model) as watch:
        runs = _dry_runs(distiller, dict(student=student, teacher=model))
    check_classes(distiller, runs['student'], runs['teacher'])
    speed = TeacherSpeed(options, runs['teacher'], watch)
    teacher = FrozenTeacher(model, checkpoint, runs['teacher'], trained, speed)
    return teacher, runs['student'].overwritten


def preprocessor_of_both(student: BaseModel, teacher: BaseModel) -> nn.Module:
    """What normalises the batches, for both models where they differ.

    Args:
        student (BaseModel): The student.
        teacher (BaseModel): The teacher.

    Returns:
        nn.Module: The student's preprocessor, or one around it.
    """
    own = teacher_preprocessor(
        student.data_preprocessor, teacher.data_preprocessor
    )
    if own is None:
        return student.data_preprocessor
    return DistillDataPreprocessor(student.data_preprocessor, own)


def _check_not_shared(student: BaseModel, teacher: BaseModel) -> None:
    """Freezing the teacher would freeze what it shares with the student."""
    own = {id(parameter) for parameter in student.parameters()}
    if any(id(parameter) in own for parameter in teacher.parameters()):
        raise ValueError(
            'teacher shares parameters with architecture, which it would '
            'freeze; give a model of its own'
        )


def _dry_runs(
    distiller: BaseDistiller, models: Dict[str, BaseModel]
) -> Dict[str, DryRun]:
    """Runs on no data, the distiller's own if it makes them."""
    recorders = {
        role: getattr(distiller, f'{role}_recorders') for role in models
    }
    for role, model in models.items():
        check_sources(recorders[role], model, role)
        getattr(distiller, f'prepare_from_{role}')(model)
    return getattr(distiller, 'runs', None) or {
        role: dry_run(model, recorders[role], calls_heads=role == 'teacher')
        for role, model in models.items()
    }
