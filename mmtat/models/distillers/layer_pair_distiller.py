"""What distillers of layer pairs share: recording, and the dry run."""

from abc import abstractmethod
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple, Union

from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
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
    input_size,
    recorded,
)
from .layer_pairs import RECORDER, parse_pairs, single, with_layers


class LayerPairDistiller(ConfigurableDistiller):
    """A ``ConfigurableDistiller`` that also records pairs of layers.

    It finds their shapes by a dry run of both models, and builds what it
    trains when both are known.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names; a string names the same layer in both.
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

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]],
        input_size: Optional[Tuple[int, int]] = None,
        student_recorders: Optional[Dict[str, Dict]] = None,
        teacher_recorders: Optional[Dict[str, Dict]] = None,
        **kwargs: Any,
    ) -> None:
        pairs = parse_pairs(layers)
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

    def add_recorders(self, role: str, model: nn.Module) -> None:
        """Add recorders that depend on the model; by default none.

        Args:
            role (str): 'student' or 'teacher'.
            model (nn.Module): The model.
        """

    def prepare_from_student(self, model: BaseModel) -> None:
        """Hook the student's layers.

        Args:
            model (BaseModel): The student.

        Raises:
            ValueError: A layer is not there, or gives what cannot be used.
        """
        self._prepare('student', model)

    def prepare_from_teacher(self, model: nn.Module) -> None:
        """Hook the teacher's layers.

        Args:
            model (nn.Module): The teacher.

        Raises:
            ValueError: A layer is not there, or gives what cannot be used.
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
        for role in ('student', 'teacher'):
            clear(self.recorders_of(role))
        return losses

    @abstractmethod
    def layer_losses(self) -> Dict[str, Tensor]:
        """Losses of the recorded layers.

        Returns:
            dict[str, Tensor]: Scalars by their names.
        """

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
            Any: Its one value.

        Raises:
            ValueError: Nothing, or several values.
        """
        name = RECORDER.format(index)
        record = recorded(self.recorders_of(role), name, role)
        return single(record, role, self.pairs[index][role])

    def check_loss_names(self, own: Iterable[str]) -> None:
        """Raise where the config names a loss as the distiller does.

        Args:
            own (Iterable[str]): Names of the distiller's own losses.

        Raises:
            ValueError: Names them.
        """
        taken = set(own) & set(self.distill_losses)
        if taken:
            raise ValueError(
                f'distill_losses: {sorted(taken)} are names of losses that '
                'the distiller adds by itself; choose others'
            )

    def _prepare(self, role: str, model: nn.Module) -> None:
        self.add_recorders(role, model)
        check_sources(self.recorders_of(role), model, role)
        self._models[role] = ModelReference(model)
        if len(self._models) == 2 and not self.runs:
            size_is_known = self._find_size()
            for role in ('student', 'teacher'):
                self._run(role)
            self.build_layers(size_is_known)

    def _find_size(self) -> bool:
        """Settle the dry run's input size; tell whether it is known."""
        known = self.input_size is not None
        for role in ('student', 'teacher'):
            if not known:
                self.input_size, known = input_size(self._models[role]())
        return known

    def _run(self, role: str) -> None:
        model, manager = self._models[role](), self.recorders_of(role)
        run = dry_run(model, manager, self.input_size, role == 'teacher')
        self.runs[role] = run
        attach(manager, model, run.overwritten)
        self._models[role].weaken()
