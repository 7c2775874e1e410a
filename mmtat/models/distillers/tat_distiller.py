"""The TaT distiller."""

import logging
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmrazor.models.distillers import ConfigurableDistiller
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmtat.ops import check_pair
from mmtat.registry import MODELS

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
from .layer_config import BRANCHES, layer_config
from .layer_pairs import map_shape, parse_pairs, single, with_layers
from .logits import build_logits
from .tat_layer import TaTLayer

_EMBEDDING = dict(kernel_size=1, norm='image')


@MODELS.register_module()
class TaTDistiller(ConfigurableDistiller):
    """Distil layers by the Target-aware Transformer.

    A ``ConfigurableDistiller`` with TaT on top: recorders, connectors,
    losses and mappings work as there, so that other losses join TaT in one
    config. It finds channels and sizes by a dry run of both models.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names that return a map (B, C, H, W); a string names
            the same layer in both.
        formulation (str): 'released' (both published repositories) or
            'paper' (Eq. 3-5, numbering inferred). Defaults to 'released'.
        query, key, value (dict, optional): Arguments of
            :class:`EmbeddingConnector` but its channels; None for the
            identity. Default to ``dict(kernel_size=1, norm='image')``.
        branches (dict[str, dict], optional): ``whole``, ``patch_group`` and
            ``anchor_point`` with their connector's arguments and
            ``loss_weight``. Defaults to ``dict(whole=dict())``.
        resize (bool, optional): Whether a student's map of another size is
            resized to the teacher's. Defaults to True in 'released', which
            needs it, and to False in 'paper'.
        logits (dict, optional): Distil the logits too (Eq. 9): see
            :class:`LogitsDistillation`. Defaults to None, not at all.
        input_size (tuple[int, int], optional): Height and width of the
            training input for the dry run; by default what the data
            preprocessor or the backbone of the student says, else of the
            teacher.
        **kwargs: Of ``ConfigurableDistiller``.

    Raises:
        TypeError, ValueError: At once for unknown names; when the models are
            known for layers that are not there, or maps that a branch
            cannot cut.

    Examples:
        >>> distiller = dict(
        ...     type='mmtat.TaTDistiller',
        ...     layers=['decode_head.bottleneck'],
        ...     branches=dict(
        ...         patch_group=dict(
        ...             patches=(8, 8), groups=16, loss_weight=0.1),
        ...         anchor_point=dict(anchors=(32, 32), loss_weight=0.04)))
    """

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]],
        formulation: str = 'released',
        query: Optional[Dict] = _EMBEDDING,
        key: Optional[Dict] = _EMBEDDING,
        value: Optional[Dict] = _EMBEDDING,
        branches: Optional[Dict[str, Dict]] = None,
        resize: Optional[bool] = None,
        logits: Optional[Dict] = None,
        input_size: Optional[Tuple[int, int]] = None,
        student_recorders: Optional[Dict[str, Dict]] = None,
        teacher_recorders: Optional[Dict[str, Dict]] = None,
        **kwargs: Any,
    ) -> None:
        pairs = parse_pairs(layers)
        config = layer_config(
            formulation=formulation,
            query=query,
            key=key,
            value=value,
            branches=dict(whole=dict()) if branches is None else branches,
            resize=formulation == 'released' if resize is None else resize,
        )
        if input_size is not None:
            check_pair('input_size', input_size)
        recorders = dict(student=student_recorders, teacher=teacher_recorders)
        for role in recorders:
            recorders[role] = with_layers(recorders[role], pairs, role)
        # mmrazor looks its own types up in the scope that is current.
        with DefaultScope.overwrite_default_scope('mmrazor'):
            super().__init__(
                student_recorders=recorders['student'],
                teacher_recorders=recorders['teacher'],
                **kwargs,
            )
        self.pairs = pairs
        self.layer_config = config
        self.input_size = input_size
        self.tat = nn.ModuleList()
        self.logits = build_logits(logits)
        self._check_loss_names()
        self.runs: Dict[str, DryRun] = {}
        self._models: Dict[str, ModelReference] = {}

    def prepare_from_student(self, model: BaseModel) -> None:
        """Hook the student's layers; build the embeddings with the teacher.

        Args:
            model (BaseModel): The student.

        Raises:
            ValueError: A layer is not there, or gives no map.
        """
        self._prepare('student', model)

    def prepare_from_teacher(self, model: nn.Module) -> None:
        """Hook the teacher's layers; build the embeddings with the student.

        Args:
            model (nn.Module): The teacher.

        Raises:
            ValueError: A layer is not there, or gives no map.
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
                attach(self._recorders(role), model, run.overwritten)

    def compute_distill_losses(self) -> Dict[str, Tensor]:
        """Losses of TaT, of the logits, and of ``distill_losses``.

        What was recorded is dropped: with it the graph of the step would
        live until the next.

        Returns:
            dict[str, Tensor]: Scalars ``loss_tat``, ``loss_tat_patch_group``
            and ``loss_tat_anchor_point`` by branch (with ``_<n>`` where
            there are several layers), ``loss_kl``, and the config's own.

        Raises:
            ValueError: A layer recorded nothing, or maps do not fit.
        """
        losses = super().compute_distill_losses()
        for index, layer in enumerate(self.tat):
            branches = layer(
                self._map('student', index), self._map('teacher', index)
            )
            for name, loss in branches.items():
                losses[self._loss_name(name, index)] = loss
        if self.logits is not None:
            losses[self.logits.loss_name] = self.logits(
                recorded(self.student_recorders, 'logits', 'student'),
                recorded(self.teacher_recorders, 'logits', 'teacher'),
            )
        for role in ('student', 'teacher'):
            clear(self._recorders(role))
        return losses

    def _recorders(self, role: str) -> RecorderManager:
        return getattr(self, f'{role}_recorders')

    def _loss_name(self, branch: str, index: int) -> str:
        suffix = f'_{index}' if len(self.pairs) > 1 else ''
        return f'loss_tat{BRANCHES[branch][1]}{suffix}'

    def _check_loss_names(self) -> None:
        own = {
            self._loss_name(branch, index)
            for branch in self.layer_config['branches']
            for index in range(len(self.pairs))
        }
        if self.logits is not None:
            own.add(self.logits.loss_name)
        taken = own & set(self.distill_losses)
        if taken:
            raise ValueError(
                f'distill_losses: {sorted(taken)} are names of losses that '
                'the distiller adds by itself; choose others'
            )

    def _prepare(self, role: str, model: nn.Module) -> None:
        if self.logits is not None:
            self.logits.add_recorder(self._recorders(role), model, role)
        check_sources(self._recorders(role), model, role)
        self._models[role] = ModelReference(model)
        if len(self._models) == 2 and not self.tat:
            self._build_layers()

    def _find_size(self) -> bool:
        """Settle the dry run's input size; tell whether it is known."""
        known = self.input_size is not None
        for role in ('student', 'teacher'):
            if not known:
                self.input_size, known = input_size(self._models[role]())
        return known

    def _build_layers(self) -> None:
        size_is_known = self._find_size()
        for role in ('student', 'teacher'):
            model, manager = self._models[role](), self._recorders(role)
            run = dry_run(model, manager, self.input_size, role == 'teacher')
            self.runs[role] = run
            attach(manager, model, run.overwritten)
            self._models[role].weaken()
        for index, pair in enumerate(self.pairs):
            shapes = {
                role: map_shape(self.runs[role], f'tat_{index}', role, source)
                for role, source in pair.items()
            }
            layer = TaTLayer(
                shapes['student'][1], shapes['teacher'][1], **self.layer_config
            )
            if size_is_known:
                layer.check_sizes(**shapes)
            self.tat.append(layer)
            self._log(pair, shapes)
        if self.logits is not None:
            self.logits.check(self.runs['student'], self.runs['teacher'])

    def _log(self, pair: Dict[str, str], shapes: Dict) -> None:
        config = self.layer_config
        student, teacher = (
            f'{pair[role]} {tuple(shapes[role][1:])}'
            for role in ('student', 'teacher')
        )
        if shapes['student'][2:] == shapes['teacher'][2:]:
            sizes = 'maps of equal size'
        elif config['resize']:
            sizes = "the student's map is resized to the teacher's"
        else:
            sizes = "the student's map keeps its own size"
        print_log(
            f'TaT ({config["formulation"]}): student {student}, teacher '
            f'{teacher} at input {self.input_size}; {sizes}',
            'current',
            logging.INFO,
        )

    def _map(self, role: str, index: int) -> Tensor:
        record = recorded(self._recorders(role), f'tat_{index}', role)
        return single(record, role, self.pairs[index][role])
