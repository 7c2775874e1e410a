"""A teacher that is nowhere in the student's module tree."""

import copy
import logging
from typing import Any, Optional

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller
from torch import Tensor, nn

from .dry_run import DryRun, module_recorders
from .recording import attach
from .teacher_checkpoint import CheckpointSource, load_teacher
from .teacher_speed import TeacherSpeed
from .zero_image import run_model


class _AllRecorded(Exception):
    """Ends the teacher's forward: every recorder has what it needs."""


class FrozenTeacher:
    """Runs a teacher for its recorders, in eval mode and without a graph.

    It is no ``nn.Module``, so that the teacher is in no state dict,
    optimizer, EMA copy or DDP module, and is moved only by
    :meth:`apply_to_tensors`. A copy of the algorithm shares the model.

    Args:
        model (BaseModel): The teacher.
        checkpoint (str | dict, optional): See :func:`load_teacher`.
        run (DryRun): Of the teacher with the distiller's recorders.
        trained (bool): Whether the model came with its weights.
        speed (TeacherSpeed): How it is run.
    """

    def __init__(
        self,
        model: BaseModel,
        checkpoint: Optional[CheckpointSource],
        run: DryRun,
        trained: bool,
        speed: TeacherSpeed,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.checkpoint = checkpoint
        self.run = run
        self.speed = speed
        self._is_loaded = False
        self._is_trained = trained
        self._is_copy = False

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        copied = copy.copy(self)
        copied._is_copy = True
        return copied

    def apply_to_tensors(self, function: Any) -> None:
        """Move or cast the teacher, as ``nn.Module._apply`` does.

        A copy leaves it alone: an EMA copy that is moved to a CPU must not
        take the teacher away.

        Args:
            function (Callable[[Tensor], Tensor]): Applied to each tensor.
        """
        if not self._is_copy:
            self.model._apply(function)

    def load(self) -> bool:
        """Load the checkpoint, once.

        Returns:
            bool: Whether this was the first call.

        Raises:
            ValueError: The file is not this teacher's; see
                :func:`load_teacher`.
        """
        if self._is_loaded:
            return False
        if self.checkpoint is not None:
            required = self.run.used if self.run.complete else None
            load_teacher(self.model, self.checkpoint, required)
        elif not self._is_trained:
            print_log(
                'teacher_ckpt is None: the teacher has random weights, and '
                'distils noise',
                'current',
                logging.WARNING,
            )
        self._is_loaded = True
        return True

    def record(
        self, distiller: BaseDistiller, inputs: Tensor, data_samples: Any
    ) -> None:
        """Let the distiller's teacher recorders and deliveries record.

        Where every recorder is served by module calls, the forward ends
        with the last of them, and no head or loss behind it is computed.
        Recorders and deliveries of functions and methods may need any of
        it: for these the teacher's whole loss is run. :meth:`join` before
        the records are used.

        Args:
            distiller (ConfigurableDistiller): Holds the recorders.
            inputs (Tensor): (N, C, H, W), preprocessed for the teacher.
            data_samples (list): Of the batch.
        """
        model, manager = self.model, distiller.teacher_recorders
        if model.training:
            model.eval()
        attach(manager, model, self.run.overwritten)
        delivers = bool(distiller.deliveries.deliveries)
        whole = not self.run.complete or delivers
        with (
            torch.no_grad(),
            self.speed.applied(model, manager, inputs, whole) as forward,
        ):
            try:
                self._run(distiller, forward.inputs, data_samples, whole)
            except RuntimeError as error:
                self.speed.refuse_channels_last(forward, inputs, error)
                self._run(distiller, forward.inputs, data_samples, whole)
            self.speed.settle(manager, forward)
        if delivers:
            self.join(distiller)

    def join(self, distiller: BaseDistiller) -> None:
        """Make the records ready to be used, after the student's forward.

        Args:
            distiller (ConfigurableDistiller): Holds the recorders.
        """
        self.speed.join(distiller.teacher_recorders)

    def _run(
        self,
        distiller: BaseDistiller,
        inputs: Tensor,
        data_samples: Any,
        whole: bool,
    ) -> None:
        model = self.model
        handles = [] if whole else self._end_after_last(distiller)
        try:
            with distiller.teacher_recorders, distiller.deliveries:
                if whole:
                    model(inputs, data_samples, mode='loss')
                elif self.run.calls:
                    run_model(model, inputs, data_samples, self.run.heads)
        except _AllRecorded:
            pass
        finally:
            for handle in handles:
                handle.remove()

    def _end_after_last(self, distiller: BaseDistiller) -> list:
        """Hooks that end the forward after the last recorded call."""
        left = self.run.calls

        def count(module: nn.Module, inputs: Any, outputs: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise _AllRecorded

        # Registered now, so that they run after the recorders' own hooks.
        return [
            self.model.get_submodule(recorder.source).register_forward_hook(
                count
            )
            for recorder in module_recorders(
                distiller.teacher_recorders
            ).values()
        ]
