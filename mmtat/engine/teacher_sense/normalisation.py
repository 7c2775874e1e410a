"""Whether the teacher sees images as it was trained on them."""

from typing import Any, Dict, List, Optional

from mmengine.config import Config
from torch import nn

from mmtat.models.utils import DistillDataPreprocessor

from ..dataset_check import datasets_of


def normalisation_warning(model: nn.Module, config: Config) -> Optional[str]:
    """What to say of a teacher that gets images of another normalisation.

    Nothing where each model gets its own, which is so wherever the
    student's preprocessor can normalise.

    Args:
        model (nn.Module): A ``FrozenTeacherDistill``.
        config (Config): Of the run; a transform of its data may normalise.

    Returns:
        str | None: With the numbers of both.
    """
    both = model.data_preprocessor
    in_data = _of_transforms(config)
    is_renormalised = isinstance(both, DistillDataPreprocessor)
    student = both.student if is_renormalised else both
    wanted = _of_preprocessor(model.teacher.data_preprocessor)
    given = _of_preprocessor(student)
    if in_data is not None:
        # What is normalised twice is normalised by nobody's numbers.
        once = is_renormalised and wanted is not None
        if once or (given is not None and given == wanted):
            return _text(
                in_data, wanted, 'by a transform of the data and again with'
            )
        given = given or in_data
    if is_renormalised or wanted is None or given == wanted:
        return None
    return _text(given, wanted, 'with')


def _text(
    given: Optional[Dict[str, Any]], wanted: Dict[str, Any], how: str
) -> str:
    if how != 'with':
        return (
            f'The images are normalised {how} {_numbers(wanted)} for the '
            f'teacher; the transform takes {_numbers(given)}. Leave it to '
            'the data_preprocessor'
        )
    return (
        f'The teacher was trained on images normalised with '
        f'{_numbers(wanted)}, and gets those of the student, '
        + (
            'which are not normalised'
            if given is None
            else f'normalised with {_numbers(given)}'
        )
        + '; give the student a data_preprocessor with mean and std, and the '
        'teacher gets its own'
    )


def _numbers(values: Dict[str, Any]) -> str:
    parts = (f'{name} {_short(values[name])}' for name in ('mean', 'std'))
    flips = ', channels in reverse' if values.get('flip') else ''
    return ' and '.join(parts) + flips


def _short(values: List[float]) -> str:
    return f'({", ".join(f"{value:.4g}" for value in values)})'


def _of_preprocessor(preprocessor: nn.Module) -> Optional[Dict[str, Any]]:
    if not getattr(preprocessor, '_enable_normalize', False):
        return None
    return dict(
        mean=preprocessor.mean.flatten().tolist(),
        std=preprocessor.std.flatten().tolist(),
        flip=any(
            bool(getattr(preprocessor, name, False))
            for name in ('channel_conversion', '_channel_conversion', 'to_rgb')
        ),
    )


def _of_transforms(config: Config) -> Optional[Dict[str, Any]]:
    """Of the last transform of the training data that normalises."""
    found = None
    for dataset in datasets_of(config, ('train_dataloader',)):
        for transform in dataset.get('pipeline') or ():
            kind = str(transform.get('type')).rpartition('.')[2]
            if kind == 'Normalize' and 'mean' in transform:
                found = dict(
                    mean=list(transform['mean']),
                    std=list(transform.get('std', [1.0])),
                    flip=bool(transform.get('to_rgb', True)),
                )
    return found
