"""Distilling the logits beside TaT (Eq. 9), as a shorthand."""

from typing import Any, Dict, List, Optional, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from mmrazor.models.task_modules import RecorderManager
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import Tensor, nn

from ..utils import DryRun, add_recorder, check_type
from .channels import required_arguments
from .layer_pairs import single_shape

#: Layers that give the logits in mmsegmentation and mmpretrain.
LOGIT_LAYERS = ('decode_head.conv_seg', 'head.fc', 'head.layers.head')

#: Losses of samples (N, K), in which each pixel of a map is one.
SAMPLE_LOSSES = ('KLDivergence', 'DISTLoss', 'DKDLoss')

Size = Sequence[int]


class LogitsDistillation(nn.Module):
    """One of mmrazor's losses between the logits of both models.

    Maps of logits are compared pixel by pixel, each pixel as a sample, or
    as they are. A student's map of another size is resized.

    Args:
        student (str, optional): Layer that gives the student's logits; by
            default the first of :data:`LOGIT_LAYERS` that it has.
        teacher (str, optional): Likewise.
        type (str): Loss of the student's and the teacher's logits, in
            mmrazor's scope; one that also takes ``gt_labels`` gets them, and
            only the samples that have a label. Defaults to 'KLDivergence'.
        per_pixel (bool, optional): Whether each pixel is a sample. Defaults
            to True for the losses of :data:`SAMPLE_LOSSES`, else to False.
        **kwargs: The loss's arguments: ``tau``, ``loss_weight``, ...

    Raises:
        TypeError: ``per_pixel`` is not a bool.
        ValueError: An unknown loss or argument, one that needs more than
            logits and labels, or a ``tau`` that is not positive.
    """

    def __init__(
        self,
        student: Optional[str] = None,
        teacher: Optional[str] = None,
        type: str = 'KLDivergence',
        per_pixel: Optional[bool] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.sources = dict(student=student, teacher=teacher)
        if per_pixel not in (None, True, False):
            raise TypeError(
                f'logits: per_pixel must be a bool, got {per_pixel!r}'
            )
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
        needed = required_arguments(self.loss.forward)
        if len(needed) < 2 or needed[2:] not in ([], ['gt_labels']):
            raise ValueError(
                f'logits: {type} needs {needed}, not just the logits of '
                'student and teacher; wire it by distill_losses and '
                'loss_forward_mappings'
            )
        #: Whether the loss compares labelled samples only.
        self.needs_labels = len(needed) == 3
        name = type.split('.')[-1]
        is_of_samples = name in SAMPLE_LOSSES
        self.per_pixel = is_of_samples if per_pixel is None else per_pixel
        #: Log key of the loss.
        self.loss_name = 'loss_kl' if name == 'KLDivergence' else 'loss_logits'

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
        add_recorder(manager, 'logits', 'ModuleOutputs', source, role)

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

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        data_samples: Optional[List[BaseDataElement]] = None,
    ) -> Tensor:
        """Loss between logits.

        Args:
            student (Tensor): (B, K) or (B, K, H, W).
            teacher (Tensor): (B, K) or (B, K, H', W').
            data_samples (list[BaseDataElement], optional): Of the batch, B;
                where the loss needs their labels.

        Returns:
            Tensor: Scalar; 0 where no sample has the label that it needs.
        """
        teacher = teacher.detach()
        if student.dim() == 4 and student.shape[2:] != teacher.shape[2:]:
            student = F.interpolate(
                student, teacher.shape[2:], mode='bilinear'
            )
        size = student.shape[2:]
        if self.per_pixel and student.dim() == 4:
            student, teacher = _pixels(student), _pixels(teacher)
        if not self.needs_labels:
            return self.loss(student.float(), teacher.float())
        labels = labels_of(data_samples, size).to(student.device)
        known = (labels >= 0) & (labels < student.shape[1])
        if not known.any():
            return student.float().sum() * 0
        return self.loss(
            student[known].float(), teacher[known].float(), labels[known]
        )


def labels_of(data_samples: List[BaseDataElement], size: Size) -> Tensor:
    """Labels of images, or of the pixels of a map of logits.

    Args:
        data_samples (list[BaseDataElement]): Of mmpretrain or mmsegmentation.
        size (Sequence[int]): Height and width of the map; empty for images.

    Returns:
        Tensor: (B, ) or (B*H*W, ), int64; a label that is no class, such as
        255 or -100, is one to be ignored.
    """
    if not size:
        return torch.cat([sample.gt_label[:1] for sample in data_samples])
    maps = [sample.gt_sem_seg.data for sample in data_samples]
    # (B, 1, h, w) -> (B, 1, H, W) -> (B*H*W, )
    maps = torch.stack(maps).float()
    return F.interpolate(maps, tuple(size), mode='nearest').long().flatten()


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
