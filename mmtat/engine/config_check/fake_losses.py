"""Whether losses can be computed from what the layers give."""

import contextlib
import logging
from typing import Any, Dict, Iterator, List, Tuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn
from torch._subclasses import fake_tensor
from torch.utils._pytree import tree_map

from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller
from mmtat.models.utils import DryRun, clear, dry_run, module_recorders

from .distiller import PLACE
from .problem import Problem, one_line

#: What tensors without values cannot do; it says nothing of the shapes.
_UNSAID = tuple(
    getattr(fake_tensor, name)
    for name in (
        'UnsupportedFakeTensorException',
        'DynamicOutputShapeException',
        'DataDependentOutputException',
        'UnsupportedOperatorException',
    )
    if hasattr(fake_tensor, name)
)
#: Images: two, for norms over the batch and relations between samples.
_IMAGES = 2


def loss_run_problems(model: BaseModel, config: Config) -> Iterator[Problem]:
    """Compute each loss from tensors of the layers' shapes, without values.

    Args:
        model (BaseModel): A ``FrozenTeacherDistill``; stays as it is.
        config (Config): That it is of.

    Yields:
        Problem: For each loss that fails.
    """
    distiller = model.distiller
    if not _can_tell(distiller):
        return
    models = dict(student=model.student, teacher=model.teacher)
    runs = getattr(distiller, 'runs', None) or {
        role: dry_run(
            own,
            getattr(distiller, f'{role}_recorders'),
            calls_heads=role == 'teacher',
        )
        for role, own in models.items()
    }
    found: List[Problem] = []
    flags = [(module, module.training) for module in distiller.modules()]
    try:
        distiller.eval()
        with (
            _unlogged(),
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            fake_tensor.FakeTensorMode(allow_non_fake_inputs=True),
        ):
            _fill(distiller, runs)
            for place, compute, *arguments in _computations(distiller):
                found += _failure(place, compute, *arguments)
    finally:
        for role in runs:
            clear(getattr(distiller, f'{role}_recorders'))
        for module, training in flags:
            module.training = training
    yield from found


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Without what torch logs of an operation that does not fit."""
    logger = logging.getLogger(fake_tensor.__name__)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _computations(distiller: nn.Module) -> Iterator[Tuple[Any, ...]]:
    """Place, function and arguments of each loss, or of some together."""
    for name in distiller.loss_forward_mappings:
        place = f'{PLACE}.distill_losses.{name}'
        yield place, _mapped, distiller, name
    if isinstance(distiller, LayerPairDistiller):
        yield f'{PLACE}.layers', distiller.layer_losses
        yield f'{PLACE}.logits', distiller.logits_losses


def _can_tell(distiller: nn.Module) -> bool:
    """Whether what was recorded is all that the losses look at."""
    if getattr(distiller, 'needs_data_samples', False):
        return False
    for role in ('student', 'teacher'):
        manager = getattr(distiller, f'{role}_recorders')
        # Of functions, of weights, or of the call of the model.
        if set(manager.recorders) != set(module_recorders(manager)):
            return False
        if any(not r.source for r in manager.recorders.values()):
            return False
    return True


def _fill(distiller: nn.Module, runs: Dict[str, DryRun]) -> None:
    for role, run in runs.items():
        manager = getattr(distiller, f'{role}_recorders')
        for name, recorder in module_recorders(manager).items():
            recorder.data_buffer.extend(
                tree_map(_of_shape, record, is_leaf=_is_shape)
                for record in run.records.get(name, [])
            )


def _is_shape(value: Any) -> bool:
    return isinstance(value, torch.Size)


def _of_shape(value: Any) -> Any:
    if not _is_shape(value):
        return value
    # (1, ...) -> (B, ...); windows stand in the place of images too.
    images = [_IMAGES * value[0]] if value else []
    return torch.zeros(*images, *value[1:])


def _mapped(distiller: nn.Module, name: str) -> Any:
    mapping = distiller.loss_forward_mappings[name]
    arguments = {
        key: distiller.get_record(**entry) for key, entry in mapping.items()
    }
    return distiller.distill_losses[name](**arguments)


def _failure(place: str, compute: Any, *arguments: Any) -> Iterator[Problem]:
    try:
        compute(*arguments)
    except _UNSAID:
        return
    except (AssertionError, RuntimeError, ValueError) as error:
        if 'fake' not in str(error).lower():
            message = f'losses cannot be computed: {one_line(error)}'
            yield Problem(place, message)
    except Exception:
        # It looks at values, or at more than the tensors.
        return
