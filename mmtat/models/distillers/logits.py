"""Distilling the logits beside TaT (Eq. 9), as a shorthand."""

from inspect import signature
from typing import Any, Dict, Optional

import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmrazor.models.task_modules import RecorderManager
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import Tensor, nn

from ..utils import DryRun, check_type
from .layer_pairs import single_shape

#: Layers that give the logits in mmsegmentation and mmpretrain.
LOGIT_LAYERS = ('decode_head.conv_seg', 'head.fc', 'head.layers.head')


class LogitsDistillation(nn.Module):
    """One of mmrazor's losses between the logits of both models.

    KLDivergence compares maps of logits pixel by pixel: with 'batchmean' it
    is the mean over all pixels. Other losses get the maps as they are. A
    student's map of another size is resized.

    Args:
        student (str, optional): Layer that gives the student's logits; by
            default the first of :data:`LOGIT_LAYERS` that it has.
        teacher (str, optional): Likewise.
        type (str): Loss of the student's and the teacher's logits, in
            mmrazor's scope. Defaults to 'KLDivergence'.
        **kwargs: The loss's arguments: ``tau``, ``loss_weight``, ...

    Raises:
        ValueError: An unknown loss or argument, one that needs more than
            the logits, or a ``tau`` that is not positive.
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
        if 'tau' in kwargs and not kwargs['tau'] > 0:
            raise ValueError(
                f'logits: tau must be positive, got {kwargs["tau"]!r}'
            )
        check_type(dict(type=type), 'logits', 'mmrazor')
        try:
            with DefaultScope.overwrite_default_scope('mmrazor'):
                self.loss = MMRAZOR_MODELS.build(dict(type=type, **kwargs))
        except TypeError as error:
            raise ValueError(f'logits: {error}') from error
        needed = [
            parameter.name
            for parameter in signature(self.loss.forward).parameters.values()
            if parameter.default is parameter.empty
        ]
        if len(needed) != 2:
            raise ValueError(
                f'logits: {type} needs {needed}, not just the logits of '
                'student and teacher; wire it by distill_losses and '
                'loss_forward_mappings'
            )
        self.is_per_pixel = type == 'KLDivergence'
        #: Log key of the loss.
        self.loss_name = 'loss_kl' if self.is_per_pixel else 'loss_logits'

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
        if 'logits' in manager.recorders:
            raise ValueError(
                f"{role}_recorders: 'logits' is the name of a recorder that "
                'the distiller adds by itself; choose another'
            )
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
            source = self.sources[role]
            shape = single_shape(run, 'logits', role, source)
            classes[role] = shape[1] if len(shape) > 1 else None
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
            if self.is_per_pixel:
                student, teacher = _pixels(student), _pixels(teacher)
        return self.loss(student.float(), teacher.float())


def _pixels(logits: Tensor) -> Tensor:
    # (B, K, H, W) -> (B, H, W, K) -> (B*H*W, K)
    return logits.permute(0, 2, 3, 1).flatten(0, 2)


def build_logits(config: Optional[Dict]) -> Optional[LogitsDistillation]:
    """Build the distiller's ``logits`` shorthand.

    Args:
        config (dict, optional): Arguments of :class:`LogitsDistillation`.

    Returns:
        LogitsDistillation | None: None for None.

    Raises:
        TypeError: Not a dict.
        ValueError: See :class:`LogitsDistillation`.
    """
    if config is None:
        return None
    if not isinstance(config, dict):
        raise TypeError(
            'logits must be a dict, such as dict(tau=1.0, loss_weight=0.5), '
            f'got {config!r}'
        )
    return LogitsDistillation(**config)
