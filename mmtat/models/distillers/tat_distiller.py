"""The TaT distiller."""

import logging
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmrazor.models.distillers import ConfigurableDistiller
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmtat.registry import MODELS

from ..utils import DryRun, attach, check_sources, dry_run, input_size
from .layer_pairs import map_shape, parse_pairs, single
from .logits import LogitsDistillation
from .tat_layer import BRANCHES, FORMULATIONS, TaTLayer, check_branches

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
            training input for the dry run; by default what the student's
            data preprocessor or backbone says.
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
        if formulation not in FORMULATIONS:
            raise ValueError(
                f'formulation must be one of {FORMULATIONS}, got '
                f'{formulation!r}'
            )
        branches = dict(whole=dict()) if branches is None else branches
        check_branches(branches)
        pairs = parse_pairs(layers)
        recorders = dict(
            student=dict(student_recorders or {}),
            teacher=dict(teacher_recorders or {}),
        )
        for index, pair in enumerate(pairs):
            for role, source in pair.items():
                recorders[role][f'tat_{index}'] = dict(
                    type='ModuleOutputs', source=source
                )
        # mmrazor looks its own types up in the scope that is current.
        with DefaultScope.overwrite_default_scope('mmrazor'):
            super().__init__(
                student_recorders=recorders['student'],
                teacher_recorders=recorders['teacher'],
                **kwargs,
            )
        self.pairs = pairs
        self.layer_config = dict(
            formulation=formulation,
            query=query,
            key=key,
            value=value,
            branches=branches,
            resize=formulation == 'released' if resize is None else resize,
        )
        self.input_size = input_size
        self.tat = nn.ModuleList()
        self.logits = None if logits is None else LogitsDistillation(**logits)
        self.runs: Dict[str, DryRun] = {}
        self._size_is_known = input_size is not None

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

    def compute_distill_losses(self) -> Dict[str, Tensor]:
        """Losses of TaT, of the logits, and of ``distill_losses``.

        Returns:
            dict[str, Tensor]: Scalars ``loss_tat``, ``loss_tat_patch_group``
            and ``loss_tat_anchor_point`` by branch (with ``_<n>`` where
            there are several layers), ``loss_kl``, and the config's own.

        Raises:
            ValueError: A layer recorded nothing, or maps do not fit.
        """
        losses = super().compute_distill_losses()
        for index, layer in enumerate(self.tat):
            suffix = f'_{index}' if len(self.tat) > 1 else ''
            branches = layer(
                self._map('student', index), self._map('teacher', index)
            )
            for name, loss in branches.items():
                losses[f'loss_tat{BRANCHES[name][1]}{suffix}'] = loss
        if self.logits is not None:
            losses['loss_kl'] = self.logits(
                self._recorded('student', 'logits'),
                self._recorded('teacher', 'logits'),
            )
        return losses

    def _prepare(self, role: str, model: nn.Module) -> None:
        manager = getattr(self, f'{role}_recorders')
        if self.logits is not None:
            self.logits.add_recorder(manager, model, role)
        check_sources(manager, model, role)
        if self.input_size is None or role == 'student':
            size, known = input_size(model)
            if self.input_size is None or (known and not self._size_is_known):
                self.input_size, self._size_is_known = size, known
        self.runs[role] = dry_run(model, manager, self.input_size)
        attach(manager, model, self.runs[role].overwritten)
        if len(self.runs) == 2 and not self.tat:
            self._build_layers()

    def _build_layers(self) -> None:
        for index, pair in enumerate(self.pairs):
            shapes = {
                role: map_shape(self.runs[role], f'tat_{index}', role, source)
                for role, source in pair.items()
            }
            layer = TaTLayer(
                shapes['student'][1], shapes['teacher'][1], **self.layer_config
            )
            if self._size_is_known:
                self._check_sizes(layer, shapes)
            self.tat.append(layer)
            self._log(pair, shapes)
        if self.logits is not None:
            self.logits.check(self.runs['student'], self.runs['teacher'])

    def _check_sizes(self, layer: TaTLayer, shapes: Dict) -> None:
        """Let the branches refuse now what they would refuse in a step."""
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            # Two images: a norm over the batch needs more than one value.
            maps = {
                role: torch.zeros(2, *shape[1:])
                for role, shape in shapes.items()
            }
            layer.eval()(**maps)
        layer.train()

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
        record = self._recorded(role, f'tat_{index}')
        return single(record, role, self.pairs[index][role])

    def _recorded(self, role: str, name: str) -> Any:
        recorder = getattr(self, f'{role}_recorders').get_recorder(name)
        if not recorder.data_buffer:
            raise ValueError(
                f'the {role} layer {recorder.source!r} recorded nothing: it '
                'did not run in this step, or was replaced after the '
                'distiller was built (mmtat.FrozenTeacherDistill follows '
                'such replacements)'
            )
        return recorder.data_buffer[0]
