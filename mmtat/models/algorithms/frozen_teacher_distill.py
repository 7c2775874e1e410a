"""Distillation from a frozen teacher, by any of mmrazor's distillers."""

from typing import Any, Dict, List, Optional, Union

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from mmrazor.models.algorithms import BaseAlgorithm
from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.utils import add_prefix
from torch import Tensor, nn

from mmtat.registry import MODELS

from ..distillers.idle import is_idle, no_losses
from ..utils import (
    TeacherOptions,
    attach,
    check_graph,
    check_recorded,
    clear,
    watch_graph,
)
from ..utils.model_config import ModelSource
from ..utils.teacher_checkpoint import CheckpointSource
from .building import (
    build_distiller,
    build_student,
    build_teacher,
    check_batches,
    check_bool,
    preprocessor_of_both,
    refuse_students,
)
from .gradient_look import GradientLook
from .student_state import rename_for_load, rename_for_save


@MODELS.register_module()
class FrozenTeacherDistill(BaseAlgorithm):
    """A ``SingleTeacherDistill`` whose teacher only teaches.

    The teacher is always in eval mode, builds no graph, ends its forward
    with the last recorded layer, sees its own normalisation, and is in no
    state dict, optimizer, EMA copy, DDP module or checkpoint. What is saved
    is the student, by the student's own names; the distiller's state has an
    entry of its own in the checkpoint.

    Args:
        architecture (dict | str | BaseModel): The student: a model config,
            the name or path of a config, or a built model.
        teacher (dict | str | BaseModel): Likewise.
        teacher_ckpt (str | dict, optional): Path or URL of the teacher's
            weights, or ``dict(checkpoint=..., prefix=...)``. It is read when
            training begins, and not for testing or inference. None takes a
            built teacher as it is; a teacher from a config then is random,
            and a warning says so.
        distiller (dict | BaseDistiller): A ``ConfigurableDistiller`` or a
            subclass; types without a scope are mmrazor's.
        data_preprocessor (dict | nn.Module, optional): For a student that
            has none of its own, as the Runner passes it.
        teacher_options (dict, optional): How the teacher is run, for speed:
            ``dtype``, ``channels_last``, ``compile``, ``fold_norms`` and
            ``stream`` of :class:`TeacherOptions`. Defaults to None, what
            changes results by no more than rounding.
        teacher_metric (int, optional): Validation batches on which the
            teacher is evaluated before the first iteration; 0 for none.
            Defaults to None: all on a GPU, 2 on a CPU.
        gradient_balance (bool): Whether the log compares the gradients of
            task and distillation. Defaults to True.
        init_cfg (dict, optional): Of :class:`BaseModule`.
        pretrained, train_cfg, test_cfg (None): Accepted because
            ``mmseg.apis.init_model`` sets them; belong to the architecture.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A config or a layer is not found, or the distiller
            cannot work on the recorded maps.
    """

    def __init__(
        self,
        architecture: ModelSource,
        teacher: ModelSource,
        teacher_ckpt: Optional[CheckpointSource] = None,
        distiller: Union[Dict, BaseDistiller, None] = None,
        data_preprocessor: Union[Dict, nn.Module, None] = None,
        teacher_options: Optional[Dict[str, Any]] = None,
        teacher_metric: Optional[int] = None,
        gradient_balance: bool = True,
        init_cfg: Optional[Dict] = None,
        pretrained: None = None,
        train_cfg: None = None,
        test_cfg: None = None,
    ) -> None:
        refuse_students(
            pretrained=pretrained, train_cfg=train_cfg, test_cfg=test_cfg
        )
        check_batches('teacher_metric', teacher_metric)
        check_bool('gradient_balance', gradient_balance)
        options = TeacherOptions.from_config(teacher_options)
        student = build_student(architecture, data_preprocessor)
        # In-place activations stay: recorders keep copies where needed.
        super().__init__(student, None, init_cfg, module_inplace=True)
        with torch.random.fork_rng(devices=[]):
            # The student's random stream is that of a run without a teacher.
            self.distiller = build_distiller(distiller)
            self._teacher, self._overwritten = build_teacher(
                student, teacher, teacher_ckpt, self.distiller, options
            )
        self.data_preprocessor = preprocessor_of_both(student, self.teacher)
        self.teacher_metric = teacher_metric
        self.gradient_balance = gradient_balance
        #: Set by mmrazor's StopDistillHook.
        self.distillation_stopped = False
        #: Set for a step to watch by DistillationBalanceHook.
        self.gradient_look: Optional[GradientLook] = None
        self._register_state_dict_hook(rename_for_save)
        self._register_load_state_dict_pre_hook(rename_for_load)

    @property
    def student(self) -> BaseModel:
        """The student, alias of ``architecture``."""
        return self.architecture

    @property
    def teacher(self) -> BaseModel:
        """The teacher; not a submodule."""
        return self._teacher.model

    def required_hooks(self) -> List[Dict]:
        """Hooks that the Runner adds for this model.

        Returns:
            list[dict]: Configs, for types that the run's config has not.
        """
        return [
            dict(type='mmtat.SaveStudentHook'),
            dict(type='mmtat.RestoreDistillerHook'),
            dict(
                type='mmtat.DistillationBalanceHook',
                gradients=self.gradient_balance,
            ),
            dict(type='mmtat.TeacherMetricHook', batches=self.teacher_metric),
            dict(type='mmtat.TeacherSenseHook'),
            dict(type='mmtat.PreemptionHook'),
            dict(type='mmtat.NonFiniteHook'),
        ]

    def init_weights(self) -> None:
        """Initialise student and distiller, and load the teacher.

        Raises:
            ValueError: The teacher's file does not hold what the recorded
                layers depend on.
        """
        super().init_weights()
        self.load_teacher()

    def load_teacher(self) -> None:
        """Load the teacher's checkpoint, once.

        Raises:
            ValueError: See :meth:`init_weights`.
        """
        is_new = self._teacher.load()
        if is_new and hasattr(self.distiller, 'init_ofd_connectors'):
            # Margins of mmrazor's OFDDistiller come from trained norms.
            self.distiller.init_ofd_connectors(self.teacher)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[List[BaseDataElement]] = None,
        mode: str = 'tensor',
        teacher_inputs: Optional[Tensor] = None,
    ) -> Any:
        """Losses of both, or the student's predictions or tensors.

        Args:
            inputs (Tensor): (N, C, H, W), preprocessed for the student.
            data_samples (list[BaseDataElement], optional): Of the batch.
            mode (str): 'loss', 'predict' or 'tensor'; the last two are the
                student's alone.
            teacher_inputs (Tensor, optional): (N, C, H, W), preprocessed
                for the teacher where that differs.

        Returns:
            dict | list | Tensor | tuple: As the student's ``forward``.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples, teacher_inputs)
        return self.architecture(inputs, data_samples, mode=mode)

    # What a step prepares is new in each: traced, it would be compiled anew.
    @torch.compiler.disable(recursive=False)
    def loss(
        self,
        inputs: Tensor,
        data_samples: Optional[List[BaseDataElement]] = None,
        teacher_inputs: Optional[Tensor] = None,
    ) -> Dict[str, Tensor]:
        """The student's losses and the distiller's.

        Args:
            inputs (Tensor): (N, C, H, W), preprocessed for the student.
            data_samples (list[BaseDataElement], optional): Of the batch.
            teacher_inputs (Tensor, optional): See :meth:`forward`.

        Returns:
            dict[str, Tensor]: Keys begin with 'student.' or 'distill.'.
        """
        if self.distillation_stopped or is_idle(self.distiller):
            losses = self.architecture(inputs, data_samples, mode='loss')
            nothing = no_losses(self.distiller, inputs)
            return {
                **add_prefix(losses, 'student'),
                **add_prefix(nothing, 'distill'),
            }
        self.load_teacher()
        distiller = self.distiller
        try:
            distiller.set_deliveries_override(False)
            own = inputs if teacher_inputs is None else teacher_inputs
            self._teacher.record(distiller, own, data_samples)
            distiller.set_deliveries_override(True)
            attach(
                distiller.student_recorders,
                self.architecture,
                self._overwritten,
            )
            watch_graph(distiller.student_recorders, self.architecture)
            with distiller.student_recorders, distiller.deliveries:
                losses = self.architecture(inputs, data_samples, mode='loss')
            check_recorded(distiller.student_recorders, 'student')
            check_graph(distiller.student_recorders, self.architecture)
            self._teacher.join(distiller)
            look = self.gradient_look
            if look is not None:
                look.watch(distiller.student_recorders, self._overwritten)
            losses = add_prefix(losses, 'student')
            losses.update(
                add_prefix(distiller.compute_distill_losses(), 'distill')
            )
            if look is not None:
                look.watch_scale(losses)
        finally:
            clear(distiller.student_recorders)
            clear(distiller.teacher_recorders)
        return losses

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> nn.Module:
        if '_teacher' in self.__dict__:
            self._teacher.apply_to_tensors(fn)
        return super()._apply(fn, *args, **kwargs)
