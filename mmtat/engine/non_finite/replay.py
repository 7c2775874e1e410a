"""Runs a dumped step once more, and looks where it goes wrong."""

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional

import torch
from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import Tensor, nn

from mmtat.models.distillers.loss_modules import loss_modules
from mmtat.models.utils import (
    build_model,
    resolve_model_config,
    set_random_state,
    without_pretrained,
)
from mmtat.registry import MODELS

from ..inspected import is_distillation
from ..launch import set_input_size
from ..saving.run_state import random_from_plain
from .dump import read_dump
from .finiteness import broken
from .layer_watch import BrokenLayer, LayerWatch
from .plain_batch import batch_of, batch_tensors, file_names
from .verdict import terms_of

#: Packages whose registries a config may name without an import.
_SCOPES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'mmrazor', 'mmtat')


@dataclass
class Replay:
    """A step that was run once more.

    Attributes:
        dump (dict[str, Any]): What it was run from.
        terms (dict[str, float]): Its losses.
        files (list[str]): Its images.
        inputs (dict[str, str]): What of its batch is not finite.
        weights (dict[str, str]): Weights that are not, before it.
        gradients (dict[str, str]): Gradients that are not.
        layer (BrokenLayer | None): That first returned such numbers.
        gradient_layer (BrokenLayer | None): Whose output was first given
            such a gradient.
    """

    dump: Dict[str, Any]
    terms: Dict[str, float]
    files: list
    inputs: Dict[str, str]
    weights: Dict[str, str]
    gradients: Dict[str, str]
    layer: Optional[BrokenLayer]
    gradient_layer: Optional[BrokenLayer]

    @property
    def is_reproduced(self) -> bool:
        """Whether losses or gradients were not finite again."""
        values = torch.tensor(list(self.terms.values()))
        return bool(self.gradients) or not bool(values.isfinite().all())


def replay(path: str, teacher_ckpt: Optional[str] = None) -> Replay:
    """Build the model of a dump and run its step once more.

    Args:
        path (str): Of the dump.
        teacher_ckpt (str, optional): In the place of the config's.

    Returns:
        Replay: What was seen.

    Raises:
        ValueError: The file is no dump, or its model cannot be built.
    """
    dump = read_dump(path)
    config = _config(dump, teacher_ckpt)
    model = revert_sync_batchnorm(_built(config))
    is_gpu = dump['device'] == 'cuda' and torch.cuda.is_available()
    model.to('cuda' if is_gpu else 'cpu')
    _restore(model, dump)
    batch = batch_of(dump['batch'])
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    weights = broken(trained)
    watch = LayerWatch(_modules(model))
    set_random_state(random_from_plain(dump['random']))
    try:
        terms = _run(model, batch, dump)
    finally:
        watch.remove()
    gradients = {n: p.grad for n, p in trained.items() if p.grad is not None}
    return Replay(
        dump,
        terms,
        file_names(batch),
        broken(batch_tensors(batch)),
        weights,
        broken(gradients),
        watch.first_output,
        watch.first_gradient,
    )


def _run(
    model: BaseModel, batch: Any, dump: Dict[str, Any]
) -> Dict[str, float]:
    amp = dump['amp']
    with _cast(model, amp):
        losses = model._run_forward(
            model.data_preprocessor(batch, True), mode='loss'
        )
    total, _ = model.parse_losses(losses)
    if total.requires_grad:
        (total * (amp['scale'] if amp else 1)).backward()
    return {name: float(value) for name, value in terms_of(losses).items()}


@contextlib.contextmanager
def _cast(model: nn.Module, amp: Optional[Dict[str, Any]]) -> Iterator[None]:
    if amp is None:
        yield
        return
    dtype = amp['dtype'] and getattr(torch, amp['dtype'])
    with torch.autocast(next(model.parameters()).device.type, dtype):
        yield


def _config(dump: Dict[str, Any], teacher_ckpt: Optional[str]) -> Config:
    """The run's config, of which nothing but components is built."""
    config = Config(dump['config'])
    imports = config.get('custom_imports')
    if imports:
        import_modules_from_strings(**imports)
    init_default_scope(config.get('default_scope') or 'mmengine')
    if teacher_ckpt is not None:
        if not is_distillation(config):
            raise ValueError('--teacher-ckpt: the run has no teacher')
        config.model.teacher_ckpt = teacher_ckpt
    if config.get('data_preprocessor') is not None:
        config.model.setdefault('data_preprocessor', config.data_preprocessor)
    _refuse_others(config.model)
    return config


def _built(config: Config) -> BaseModel:
    """The model, with nothing of its own fetched for the student."""
    model = config.model
    if not is_distillation(config):
        return build_model(without_pretrained(model), 'model')
    set_input_size(config)
    student, _ = resolve_model_config(model.architecture, 'architecture')
    model.architecture = without_pretrained(student)
    return build_model(model, 'model')


def _refuse_others(config: Any) -> None:
    """A registry would import, and call, whatever a type names."""
    if isinstance(config, (list, tuple)):
        for item in config:
            _refuse_others(item)
    if not isinstance(config, dict):
        return
    for value in config.values():
        _refuse_others(value)
    kind = config.get('type')
    if not isinstance(kind, str) or '.' not in kind:
        return
    scope, _, name = kind.partition('.')
    if '.' in name or scope not in (*_SCOPES, *MODELS.root.children):
        raise ValueError(
            f'dump: its config has the type {kind!r}, which is no registered '
            'component, and may be any program; nothing was built'
        )


def _restore(model: BaseModel, dump: Dict[str, Any]) -> None:
    if hasattr(model, 'load_teacher'):
        model.load_teacher()
        if dump['teacher'] is not None:
            _copy_into(model.teacher, dump['teacher'], 'the teacher')
        model.distillation_stopped = not dump['is_distilled']
    _copy_into(model, dump['model'], 'the model')
    model.train()
    if dump['loss_weights']:
        modules = loss_modules(model.distiller)
        for name, weight in dump['loss_weights'].items():
            modules[name].loss_weight = weight


@torch.no_grad()
def _copy_into(
    model: nn.Module, tensors: Dict[str, Tensor], what: str
) -> None:
    own = dict([*model.named_parameters(), *model.named_buffers()])
    wrong = [
        name
        for name, tensor in tensors.items()
        if name not in own or own[name].shape != tensor.shape
    ]
    if wrong or len(own) != len(tensors):
        names = ', '.join([*wrong, *(set(own) - set(tensors))][:8])
        raise ValueError(
            f'dump: {what} that its config builds now is another: {names}. '
            'Use the version of the packages that it was written with'
        )
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def _modules(model: BaseModel) -> Dict[str, nn.Module]:
    """By the names that configs use, the student's and the teacher's."""
    named = {
        name.replace('architecture', 'student', 1): module
        for name, module in model.named_modules()
        if name
    }
    teacher = getattr(model, 'teacher', None)
    if isinstance(teacher, nn.Module) and 'teacher' not in named:
        for name, module in teacher.named_modules():
            named[f'teacher.{name}'.rstrip('.')] = module
    return named
