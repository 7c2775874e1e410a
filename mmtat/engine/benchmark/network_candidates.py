"""What is measured of whole networks: forwards, steps and predictions."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmtat.models.distillers.layer_pairs import RECORDER, map_shape
from mmtat.models.utils import clear

from ..report import quiet
from .candidate import Candidate
from .networks import (
    Workload,
    build_distillation,
    build_stock,
    build_student,
    build_teacher,
    random_batch,
)


class _Recorded(Exception):
    """The layer has given its map; what is behind it is not needed."""


@dataclass(frozen=True)
class NetworkCandidate(Candidate):
    """Something that the models of a config do.

    Attributes:
        name (str): Of its row.
        workload (Workload): The models.
    """

    name: str
    workload: Workload

    # Norms behind a global pooling need more than one value in training.
    least_batch = 2

    def load(self, device: torch.device) -> None:
        """Import what models are made of, and run a convolution."""
        with quiet():
            self.workload.read()
            layer = nn.Conv2d(3, 8, 3).to(device)
            layer(torch.zeros(1, 3, 8, 8, device=device)).sum().backward()
            with FakeTensorMode(allow_non_fake_inputs=True):
                layer(torch.zeros(1, 3, 8, 8, device=device))

    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """The models and the batch, and what they do with it."""
        torch.manual_seed(0)
        with quiet():
            config = self.workload.read()
            data = random_batch(config, batch, device)
            step = self.prepare(config, data, device)
            # The first allocates what stays, such as momenta.
            step()
        return step

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """What :meth:`build` returns, for a config and a batch."""
        raise NotImplementedError


@dataclass(frozen=True)
class TeacherForward(NetworkCandidate):
    """The teacher without graph, in float32 and as it is: a floor.

    Attributes:
        whole (bool): Whether heads and losses behind the layer run too, in
            training mode but for the norms, as stock mmrazor has it.
    """

    whole: bool = False

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """The forward."""
        model = build_teacher(config, device)
        data = model.data_preprocessor(data, True)
        if self.whole:
            return _stock_forward(model, data)
        layer = model.get_submodule(self.workload.layer)

        def end(*args: Any) -> None:
            raise _Recorded

        layer.register_forward_hook(end)

        @torch.no_grad()
        def step() -> None:
            try:
                model(**data, mode='tensor')
            except _Recorded:
                return

        return step


def _stock_forward(
    model: BaseModel, data: Dict[str, Any]
) -> Callable[[], Any]:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    for parameter in model.parameters():
        parameter.requires_grad = False

    @torch.no_grad()
    def step() -> None:
        model(**data, mode='loss')

    return step


@dataclass(frozen=True)
class FrozenForward(NetworkCandidate):
    """The teacher as :class:`FrozenTeacherDistill` runs it.

    Attributes:
        options (dict | None): ``teacher_options``; None for the defaults.
    """

    options: Optional[Dict[str, Any]] = None

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """The forward, until its record is there."""
        model = build_distillation(
            config, self.workload.layer, 'l2', device, self.options
        )
        data = model.data_preprocessor(data, True)
        model.load_teacher()
        distiller = model.distiller
        inputs = data.get('teacher_inputs', data['inputs'])

        def step() -> None:
            distiller.set_deliveries_override(False)
            model._teacher.record(distiller, inputs, data['data_samples'])
            model._teacher.join(distiller)
            clear(distiller.teacher_recorders)

        return step


@dataclass(frozen=True)
class TrainStep(NetworkCandidate):
    """A training step: forward, backward, optimizer.

    Attributes:
        kind (str): 'student', 'tat', 'l2' or 'stock'.
        options (dict | None): ``teacher_options`` of 'tat' and 'l2'.
    """

    kind: str = 'student'
    options: Optional[Dict[str, Any]] = None

    counts_build = True

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """The step."""
        model = self.model(config, device)
        optimizer = build_optim_wrapper(model, config.optim_wrapper)
        return lambda: model.train_step(data, optimizer)

    def model(self, config: Config, device: torch.device) -> BaseModel:
        """What is trained."""
        if self.kind == 'student':
            return build_student(config, device)
        if self.kind == 'stock':
            return build_stock(config, self.workload.layer, device)
        return build_distillation(
            config, self.workload.layer, self.kind, device, self.options
        )


@dataclass(frozen=True)
class Prediction(TrainStep):
    """A step of the validation."""

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """The prediction of the batch."""
        model = self.model(config, device)
        model.eval()

        @torch.no_grad()
        def step() -> None:
            model.val_step(data)

        return step


@dataclass(frozen=True)
class LayerLoss(NetworkCandidate):
    """TaT at the layer, on maps of noise: the loss's own part of a step."""

    def prepare(
        self, config: Config, data: Dict[str, Any], device: torch.device
    ) -> Callable[[], Any]:
        """Forward and backward."""
        model = build_distillation(config, self.workload.layer, 'tat', device)
        runs, layer = model.distiller.runs, model.distiller.tat[0]
        student, teacher = (
            torch.randn(
                len(data['inputs']),
                *map_shape(
                    runs[role], RECORDER.format(0), role, self.workload.layer
                )[1:],
                device=device,
            )
            for role in ('student', 'teacher')
        )
        parameters = [student.requires_grad_(), *layer.parameters()]
        # For autocast, where the config asks for it.
        optimizer = build_optim_wrapper(model, config.optim_wrapper)

        def step() -> None:
            for parameter in parameters:
                parameter.grad = None
            with optimizer.optim_context(layer):
                losses = layer(student, teacher)
            sum(losses.values()).backward()

        return step
