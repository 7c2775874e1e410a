"""Distilling the logits beside TaT (Eq. 9), as a shorthand."""

from typing import Any, Optional

import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmrazor.models.task_modules import RecorderManager
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import Tensor, nn

from ..utils import DryRun

#: Layers that give the logits in mmsegmentation and mmpretrain.
LOGIT_LAYERS = ('decode_head.conv_seg', 'head.fc', 'head.layers.head')


class LogitsDistillation(nn.Module):
    """One of mmrazor's losses between the logits of both models.

    Maps of logits are compared pixel by pixel: with 'batchmean' the loss is
    the mean over all pixels. A student's map of another size is resized.

    Args:
        student (str, optional): Layer that gives the student's logits; by
            default the first of :data:`LOGIT_LAYERS` that it has.
        teacher (str, optional): Likewise.
        type (str): Loss of ``preds_S`` and ``preds_T``, in mmrazor's scope.
            Defaults to 'KLDivergence'.
        **kwargs: The loss's arguments: ``tau``, ``loss_weight``, ...
    """

    def __init__(
        self,
        student: Optional[str] = None,
        teacher: Optional[str] = None,
        type: str = 'KLDivergence',
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.sources = dict(student=student, teacher=teacher)
        with DefaultScope.overwrite_default_scope('mmrazor'):
            self.loss = MMRAZOR_MODELS.build(dict(type=type, **kwargs))

    def add_recorder(
        self, manager: RecorderManager, model: nn.Module, role: str
    ) -> None:
        """Add the recorder of a model's logits to its others.

        Args:
            manager (RecorderManager): The model's recorders.
            model (nn.Module): Student or teacher.
            role (str): 'student' or 'teacher'.

        Raises:
            ValueError: No layer of logits is known for the model.
        """
        source = self.sources[role]
        if source is None:
            modules = dict(model.named_modules())
            source = next((n for n in LOGIT_LAYERS if n in modules), None)
        if source is None:
            raise ValueError(
                f'logits: the {role} ({model.__class__.__name__}) has none '
                f'of the layers {LOGIT_LAYERS}; name the one that gives its '
                f"logits: logits=dict({role}='...')"
            )
        self.sources[role] = source
        with DefaultScope.overwrite_default_scope('mmrazor'):
            added = RecorderManager(
                dict(logits=dict(type='ModuleOutputs', source=source))
            )
        manager.recorders.update(added.recorders)

    def check(self, student: DryRun, teacher: DryRun) -> None:
        """Raise unless both models give the same classes.

        Args:
            student (DryRun): Of the student.
            teacher (DryRun): Of the teacher.

        Raises:
            ValueError: Different numbers of classes, or no logits.
        """
        classes = {}
        for role, run in (('student', student), ('teacher', teacher)):
            if not run.records.get('logits'):
                raise ValueError(
                    f'logits: the {role} layer {self.sources[role]!r} did '
                    'not run in a dry run'
                )
            classes[role] = run.records['logits'][0][1]
        if classes['student'] != classes['teacher']:
            raise ValueError(
                'logits: the student has '
                f'{classes["student"]} classes and the teacher '
                f'{classes["teacher"]}; logits can be distilled between '
                'equal classes only. Leave logits out, or take a teacher of '
                'the same dataset'
            )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss between logits.

        Args:
            student (Tensor): (B, K) or (B, K, H, W).
            teacher (Tensor): (B, K) or (B, K, H', W').

        Returns:
            Tensor: Scalar.
        """
        teacher = teacher.detach()
        if student.dim() == 4:
            if student.shape[2:] != teacher.shape[2:]:
                student = F.interpolate(
                    student, teacher.shape[2:], mode='bilinear'
                )
            student, teacher = _pixels(student), _pixels(teacher)
        return self.loss(preds_S=student.float(), preds_T=teacher.float())


def _pixels(logits: Tensor) -> Tensor:
    # (B, K, H, W) -> (B, H, W, K) -> (B*H*W, K)
    return logits.permute(0, 2, 3, 1).flatten(0, 2)
