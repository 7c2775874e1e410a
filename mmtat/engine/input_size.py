"""The size of the images that a config trains on."""

from typing import Iterable, Optional, Tuple

from mmengine.config import Config
from torch import nn

from mmtat.models.utils import input_size

from .dataset_check import datasets_of

Size = Tuple[int, int]


def training_crop(config: Config) -> Optional[Size]:
    """The crop of a config's training images.

    Args:
        config (Config): Of a training.

    Returns:
        tuple[int, int] | None: Height and width in pixels; None without a
        crop.
    """
    sizes = [
        transform.get('crop_size', transform.get('scale'))
        for dataset in datasets_of(config, ('train_dataloader',))
        for transform in dataset.get('pipeline') or []
        if str(transform.get('type')).endswith('Crop')
    ]
    if not sizes or sizes[-1] is None:
        return None
    size = sizes[-1]
    return (size, size) if isinstance(size, int) else tuple(size)


def training_size(
    config: Config, models: Iterable[nn.Module]
) -> Tuple[Size, bool]:
    """Height and width of a config's training images.

    Args:
        config (Config): Of a training.
        models (Iterable[nn.Module]): Its student first, then its teacher.

    Returns:
        tuple[tuple[int, int], bool]: What the distiller says, the student,
        the crop, or the teacher, in pixels; and False where none does, and
        224x224 is assumed.
    """
    given = (config.model.get('distiller') or {}).get('input_size')
    if given is not None:
        return tuple(given), True
    student, *others = models
    crop = training_crop(config)
    size, is_known = input_size(student)
    if not is_known and crop is not None:
        return crop, True
    for model in others:
        if not is_known:
            size, is_known = input_size(model)
    return size, is_known
