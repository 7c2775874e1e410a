"""What shows when the models are built and run on no data."""

import copy
from typing import Any, Dict, Iterator, List

from mmengine.config import Config
from mmengine.model import BaseModel

from mmtat.models.algorithms.building import build_distiller
from mmtat.models.distillers.loss_modules import loss_modules
from mmtat.models.utils import (
    build_model,
    resolve_model_config,
    without_pretrained,
)

from ..inspected import built, is_distillation
from ..launch import set_input_size
from ..schedules import schedules_by_loss, weight_hooks
from .distiller import PLACE
from .fake_losses import loss_run_problems
from .layers import layer_problems
from .problem import Problem, gathered, guarded, one_line


def built_problems(config: Config, found: List[Problem]) -> List[Problem]:
    """Build the models with random weights, and say why they cannot be.

    Student, teacher and each layer are looked at one by one where the whole
    does not build.

    Args:
        config (Config): Of a training; stays as it is.
        found (list[Problem]): What was found without building.

    Returns:
        list[Problem]: What else there is.
    """
    try:
        model = built(config)
    except Exception as error:
        return _explained(config, found, error)
    if not hasattr(model, 'distiller'):
        return []
    looks = [loss_run_problems, _range_problems]
    if not any('.schedules' in problem.place for problem in found):
        looks.append(_schedule_problems)
    return gathered(looks, PLACE, model, config)


def _explained(
    config: Config, found: List[Problem], error: Exception
) -> List[Problem]:
    own: List[Problem] = []
    if is_distillation(config):
        # What has an unknown name inside cannot be built either.
        own = [
            problem
            for problem in guarded(_apart, 'model', config, found)
            if not _is_said(found, problem.place)
        ]
    stopping = [problem for problem in [*found, *own] if problem.stops]
    return own if stopping else [*own, Problem('model', one_line(error))]


def _apart(config: Config, found: List[Problem]) -> Iterator[Problem]:
    """Models and distiller of a distillation, each by itself."""
    config = copy.deepcopy(config)
    model = config.model
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    set_input_size(config)
    models: Dict[str, BaseModel] = {}
    for role, key in (('student', 'architecture'), ('teacher', 'teacher')):
        try:
            models[role] = _model_of(model, key)
        except Exception as error:
            message = one_line(error).removeprefix(f'{key}: ')
            yield Problem(f'model.{key}', message)
    said = list(layer_problems(model.distiller, models))
    yield from said
    if not said:
        try:
            build_distiller(model.distiller)
        except Exception as error:
            yield Problem(PLACE, one_line(error))


def _model_of(model: Dict[str, Any], key: str) -> BaseModel:
    source = model[key]
    if isinstance(source, BaseModel):
        return source
    source = without_pretrained(resolve_model_config(source, key)[0])
    shared = model.get('data_preprocessor')
    if key == 'architecture' and shared is not None:
        source.setdefault('data_preprocessor', shared)
    return build_model(source, key)


def _is_said(found: List[Problem], place: str) -> bool:
    return any(
        problem.stops and f'{problem.place}.'.startswith(f'{place}.')
        for problem in found
    )


def _schedule_problems(model: BaseModel, config: Config) -> Iterator[Problem]:
    """Schedules by the losses that there are, whoever names them."""
    losses = loss_modules(model.distiller)
    for index, schedules in weight_hooks(config):
        place = f'custom_hooks[{index}].schedules'
        for pattern, schedule in schedules.items():
            try:
                schedules_by_loss({pattern: schedule}, losses)
            except ValueError as error:
                message = str(error).removeprefix('schedules: ')
                yield Problem(f'{place}.{pattern}', message)


def _range_problems(model: BaseModel, config: Config) -> Iterator[Problem]:
    """Ranges that the training does not reach."""
    last = (config.get('train_cfg') or {}).get('max_iters')
    for index, schedules in weight_hooks(config) if last else ():
        for pattern, schedule in schedules.items():
            begin = schedule[-1].get('begin', 0)
            if begin >= last:
                yield Problem(
                    f'custom_hooks[{index}].schedules.{pattern}',
                    f'the last range begins in iteration {begin}, but the '
                    f'training has {last}',
                    stops=False,
                )
