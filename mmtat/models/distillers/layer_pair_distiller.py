"""What distillers of layer pairs share: recording, and the dry run."""

from abc import abstractmethod
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from mmrazor.models.distillers import ConfigurableDistiller
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmtat.ops import check_pair

from ..utils import (
    DryRun,
    ModelReference,
    attach,
    check_sources,
    clear,
    dry_run,
    recorded,
)
from .channels import check_loss_names
from .layer_pairs import RECORDER, as_map, need_images, single
from .logits import build_logits
from .pair_config import parse_pairs, training_size, with_layers
from .student_call import image_size_of_call, record_call, samples_of_call


class LayerPairDistiller(ConfigurableDistiller):
    """A ``ConfigurableDistiller`` that also records pairs of layers.

    It finds their shapes by a dry run of both models, and builds what it
    trains when both are known.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names; a string names the same layer in both. Tokens
            (B, N, C) of a transformer are taken as the map that they are.
        logits (dict, optional): Distil the logits too (Eq. 9): see
            :class:`LogitsDistillation`. Defaults to None, not at all.
        input_size (tuple[int, int], optional): Height and width of the
            training input for the dry run; by default what the data
            preprocessor or the backbone of the student says, else of the
            teacher.
        student_recorders, teacher_recorders (dict, optional): Of
            ``ConfigurableDistiller``.
        **kwargs: Of ``ConfigurableDistiller``.

    Raises:
        ValueError: At once for layers or a size that cannot be; when the
            models are known for layers that are not there.
    """

    #: Whether ``layers`` may be empty.
    may_have_no_layers = False

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]],
        logits: Optional[Dict] = None,
        input_size: Optional[Tuple[int, int]] = None,
        student_recorders: Optional[Dict[str, Dict]] = None,
        teacher_recorders: Optional[Dict[str, Dict]] = None,
        **kwargs: Any,
    ) -> None:
        pairs = parse_pairs(layers, self.may_have_no_layers)
        if input_size is not None:
            check_pair('input_size', input_size)
        student = with_layers(student_recorders, pairs, 'student')
        teacher = with_layers(teacher_recorders, pairs, 'teacher')
        # mmrazor looks its own types up in the scope that is current.
        with DefaultScope.overwrite_default_scope('mmrazor'):
            super().__init__(
                student_recorders=student, teacher_recorders=teacher, **kwargs
            )
        self.pairs = pairs
        self.logits = build_logits(logits)
        self.input_size = input_size
        self.runs: Dict[str, DryRun] = {}
        self._models: Dict[str, ModelReference] = {}

    @abstractmethod
    def build_layers(self, size_is_known: bool) -> None:
        """Build what is trained, from the shapes in ``self.runs``.

        Args:
            size_is_known (bool): Whether the dry run's input size is that
                of the training, so that sizes of maps may be judged by it.
        """

    @property
    def needs_data_samples(self) -> bool:
        """Whether a loss asks for the data samples; by default the logits'."""
        return self.logits is not None and self.logits.needs_labels

    def prepare_from_student(self, model: BaseModel) -> None:
        """Hook the student's layers.

        Args:
            model (BaseModel): The student.

        Raises:
            ValueError: A layer is not there, or gives what cannot be used.
        """
        self._prepare('student', model)

    def prepare_from_teacher(self, model: nn.Module) -> None:
        """Hook the teacher's layers; see :meth:`prepare_from_student`.

        Args:
            model (nn.Module): The teacher.
        """
        self._prepare('teacher', model)

    def set_deliveries_override(self, override: bool) -> None:
        """Also follow modules that were replaced since the last forward.

        Every algorithm of mmrazor calls this before each forward.

        Args:
            override (bool): Of ``ConfigurableDistiller``.
        """
        super().set_deliveries_override(override)
        for role, run in self.runs.items():
            model = self._models[role]()
            # None in a process that unpickled the distiller.
            if model is not None:
                attach(self.recorders_of(role), model, run.overwritten)

    # Its dict is new in each step: traced, it would be compiled anew.
    @torch.compiler.disable(recursive=False)
    def compute_distill_losses(self) -> Dict[str, Tensor]:
        """Losses of the layers, and of ``distill_losses``.

        What was recorded is dropped: with it the graph of the step would
        live until the next.

        Returns:
            dict[str, Tensor]: Scalars by their names.

        Raises:
            ValueError: A layer recorded nothing, or maps do not fit.
        """
        losses = super().compute_distill_losses()
        losses.update(self.layer_losses())
        losses.update(self.logits_losses())
        for role in ('student', 'teacher'):
            clear(self.recorders_of(role))
        return losses

    @abstractmethod
    def layer_losses(self) -> Dict[str, Tensor]:
        """Losses of the recorded layers.

        Returns:
            dict[str, Tensor]: Scalars by their names.
        """

    def logits_losses(self) -> Dict[str, Tensor]:
        """The loss of the recorded logits, where they are distilled.

        Returns:
            dict[str, Tensor]: One scalar by its name, or nothing.
        """
        if self.logits is None:
            return {}
        loss = self.logits(
            recorded(self.student_recorders, 'logits', 'student'),
            recorded(self.teacher_recorders, 'logits', 'teacher'),
            self.data_samples if self.needs_data_samples else None,
        )
        return {self.logits.loss_name: loss}

    def recorders_of(self, role: str) -> RecorderManager:
        """The recorders of a model.

        Args:
            role (str): 'student' or 'teacher'.

        Returns:
            RecorderManager: They.
        """
        return getattr(self, f'{role}_recorders')

    def layer_record(self, role: str, index: int) -> Any:
        """What a layer of a pair gave in this step.

        Args:
            role (str): 'student' or 'teacher'.
            index (int): Of the pair.

        Returns:
            Any: Its one value; tokens (B, N, C) as the map (B, C, h, w) that
            they are of the step's images.

        Raises:
            ValueError: Nothing, several values, or tokens that are no map.
        """
        name, source = RECORDER.format(index), self.pairs[index][role]
        record = recorded(self.recorders_of(role), name, role)
        value, grid = single(record, role, source)
        if not isinstance(value, Tensor) or value.dim() != 3:
            return value
        size = None
        if grid is None:
            # The teacher sees the same images, but is not called by itself.
            size = image_size_of_call(self.student_recorders)
        return as_map(value, size, grid, f'{role} layer {source!r}')

    @property
    def data_samples(self) -> List[BaseDataElement]:
        """The batch's data samples, as the student was called with them."""
        return samples_of_call(self.student_recorders)

    def check_loss_names(self, own: Iterable[str]) -> None:
        """Keep the names of the losses; raise where the config has one.

        Args:
            own (Iterable[str]): Names of the losses of layers.

        Raises:
            ValueError: Names them.
        """
        own = list(own)
        logits = None if self.logits is None else self.logits.loss_name
        check_loss_names(own, logits, self.distill_losses)
        #: Of layers and logits; a step without distillation has them too.
        self.own_loss_names = own if logits is None else [*own, logits]

    def _prepare(self, role: str, model: nn.Module) -> None:
        if self.logits is not None:
            self.logits.add_recorder(self.recorders_of(role), model, role)
        if role == 'student' and self.needs_data_samples:
            record_call(self.student_recorders)
        check_sources(self.recorders_of(role), model, role)
        self._models[role] = ModelReference(model)
        if len(self._models) == 2 and not self.runs:
            models = {r: self._models[r]() for r in ('student', 'teacher')}
            size, is_known = training_size(self.input_size, models.values())
            self.input_size = size
            for role, model in models.items():
                manager = self.recorders_of(role)
                run = dry_run(model, manager, size, role == 'teacher')
                self.runs[role] = run
                attach(manager, model, run.overwritten)
                self._models[role].weaken()
            is_recorded = self.needs_data_samples
            if not is_recorded and need_images(self.pairs, self.runs):
                record_call(self.student_recorders)
                attach(self.student_recorders, models['student'])
            self.build_layers(is_known)
            if self.logits is not None:
                self.logits.check(**self.runs)
