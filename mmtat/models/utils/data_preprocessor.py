"""One batch, normalised for the student and, where needed, for the teacher."""

import copy
import logging
from typing import Any, Dict, Optional

import torch
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import nn

from .random_state import random_state, set_random_state

# mmengine, mmsegmentation and mmpretrain name the same settings differently.
_FLIP_NAMES = ('channel_conversion', '_channel_conversion', 'to_rgb')
_PAD_NAMES = ('pad_val', 'pad_value')


class DistillDataPreprocessor(BaseDataPreprocessor):
    """Preprocess a batch twice from the same random state.

    Teacher and student see the same crop, mixup and cutmix; each sees its
    own mean, std, channel order and padding value.

    Args:
        student (nn.Module): The student's preprocessor.
        teacher (nn.Module): The same with the teacher's normalisation, from
            :func:`teacher_preprocessor`.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher

    def forward(self, data: Dict, training: bool = False) -> Dict[str, Any]:
        """Preprocess a batch.

        Args:
            data (dict): As the data loader gives it.
            training (bool): Whether the teacher will be asked too.

        Returns:
            dict: What the student's preprocessor gives; in training also
            ``teacher_inputs``, a Tensor (N, C, H, W).
        """
        if not training:
            return self.student(data, False)
        teacher_data = copy.deepcopy(data)
        before = random_state()
        batch = self.student(data, True)
        after = random_state()
        set_random_state(before)
        teacher_inputs = self.teacher(teacher_data, True)['inputs']
        set_random_state(after)
        return dict(batch, teacher_inputs=teacher_inputs)


def teacher_preprocessor(
    student: nn.Module, teacher: nn.Module
) -> Optional[nn.Module]:
    """The student's preprocessor with the teacher's normalisation.

    Args:
        student (nn.Module): The student's preprocessor.
        teacher (nn.Module): The teacher's.

    Returns:
        nn.Module | None: A copy of the student's with the teacher's mean,
        std, channel order and padding value; None where these are equal, so
        that one batch serves both.
    """
    wanted = _normalisation(teacher)
    if wanted == _normalisation(student):
        return None
    if not hasattr(student, '_enable_normalize'):
        print_log(
            f"the student's {type(student).__name__} cannot normalise, so "
            "the teacher gets the student's inputs as they are",
            'current',
            logging.WARNING,
        )
        return None
    copied = copy.deepcopy(student)
    copied._enable_normalize = wanted['mean'] is not None
    for name in ('mean', 'std'):
        # A plain attribute may stand in the way where nothing was normalised.
        copied.__dict__.pop(name, None)
        value = getattr(teacher, name, None)
        value = value.clone() if torch.is_tensor(value) else None
        copied.register_buffer(name, value, persistent=False)
    for names, key in ((_FLIP_NAMES, 'flip'), (_PAD_NAMES, 'pad')):
        for name in names:
            if hasattr(copied, name):
                setattr(copied, name, wanted[key])
    return copied


def _normalisation(preprocessor: nn.Module) -> Dict[str, Any]:
    """What decides how an image looks to a network, comparable by ==."""
    enabled = getattr(preprocessor, '_enable_normalize', False)
    values = {}
    for name in ('mean', 'std'):
        value = getattr(preprocessor, name, None)
        values[name] = value.flatten().tolist() if enabled else None
    values['flip'] = bool(_first(preprocessor, _FLIP_NAMES, False))
    values['pad'] = _first(preprocessor, _PAD_NAMES, 0)
    return values


def _first(preprocessor: nn.Module, names: tuple, default: Any) -> Any:
    for name in names:
        if hasattr(preprocessor, name):
            return getattr(preprocessor, name)
    return default
