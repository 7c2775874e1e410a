"""What images a student takes, and in which numbers it sees them."""

from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from mmtat.models.utils import input_size

from ..dataset_check import datasets_of

#: As mmengine, mmsegmentation and mmpretrain name the same setting.
_SWAPS = ('channel_conversion', '_channel_conversion', 'to_rgb')
_DIVISORS = ('size_divisor', 'pad_size_divisor')


@dataclass(frozen=True)
class ImageInput:
    """The input of a student.

    Attributes:
        size (tuple[int, int]): Height and width in pixels.
        size_from (str): Where the size was found.
        channels (int): 3, or what the first convolution takes.
        loaded (str): 'BGR' or 'RGB', how the test pipeline reads an image.
        swaps (bool): Whether the data preprocessor swaps R and B.
        mean (tuple[float, ...] | None): For the network's channels in their
            order, on the scale of 0 to 255; None without normalisation.
        std (tuple[float, ...] | None): Likewise.
        divisor (int): Height and width are padded to its multiples; 1 where
            they are not.
        transforms (tuple[str, ...]): What the test pipeline does to an image
            before.
    """

    size: Tuple[int, int]
    size_from: str
    channels: int = 3
    loaded: str = 'BGR'
    swaps: bool = False
    mean: Optional[Tuple[float, ...]] = None
    std: Optional[Tuple[float, ...]] = None
    divisor: int = 1
    transforms: Tuple[str, ...] = ()

    @property
    def order(self) -> str:
        """'RGB' or 'BGR', the order of the network's channels."""
        return self.loaded[::-1] if self.swaps else self.loaded


def image_input(
    config: Config, model: nn.Module, size: Optional[Tuple[int, int]] = None
) -> ImageInput:
    """Find out what a student takes.

    Args:
        config (Config): Of the student.
        model (nn.Module): The student.
        size (tuple[int, int], optional): Height and width, as the user gave
            them.

    Returns:
        ImageInput: What was found.
    """
    preprocessor = model.data_preprocessor
    normalises = getattr(preprocessor, '_enable_normalize', False)
    pipeline = _pipeline(config, ('test_dataloader', 'val_dataloader'))
    found, size_from = _size(config, model, size)
    padding = getattr(preprocessor, 'test_cfg', None) or {}
    divisors = [getattr(preprocessor, 'pad_size_divisor', None)]
    divisors += [padding.get(name) for name in _DIVISORS]
    reads_file = any(
        'Load' in str(step.get('type')) and 'Image' in str(step.get('type'))
        for step in pipeline
    )
    return ImageInput(
        size=found,
        size_from=size_from,
        channels=_channels(model),
        # OpenCV reads BGR; the arrays of mmpretrain's CIFAR are RGB.
        loaded='BGR' if reads_file or not pipeline else 'RGB',
        swaps=any(getattr(preprocessor, name, False) for name in _SWAPS),
        mean=_numbers(preprocessor.mean) if normalises else None,
        std=_numbers(preprocessor.std) if normalises else None,
        divisor=max([1, *filter(None, divisors)]),
        transforms=tuple(_described(pipeline)),
    )


class Normalise(nn.Module):
    """From an RGB image of 0 to 255 to what the network takes.

    Args:
        image (ImageInput): Of the student.
    """

    def __init__(self, image: ImageInput) -> None:
        super().__init__()
        self.swaps = image.channels == 3 and image.order == 'BGR'
        self.normalises = image.mean is not None
        for name in ('mean', 'std') if self.normalises else ():
            # (C, ) -> (C, 1, 1)
            value = torch.tensor(getattr(image, name)).view(-1, 1, 1)
            self.register_buffer(name, value)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise.

        Args:
            image (Tensor): (N, C, H, W), of any number type.

        Returns:
            Tensor: (N, C, H, W), float32.
        """
        image = image.float()
        if self.swaps:
            image = image.flip(1)
        if self.normalises:
            image = (image - self.mean) / self.std
        return image


def sample_images(
    image: ImageInput, batch: int, size: Tuple[int, int]
) -> Tensor:
    """Images to compare networks on, the same in each call.

    Args:
        image (ImageInput): Of the student.
        batch (int): How many.
        size (tuple[int, int]): Height and width.

    Returns:
        Tensor: (N, C, H, W), uint8, RGB: soft patches with noise over them.
    """
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(batch, image.channels, 6, 6, generator=generator)
    # (N, C, 6, 6) -> (N, C, H, W)
    soft = F.interpolate(patches, size, mode='bilinear', align_corners=False)
    noise = torch.rand(soft.shape, generator=generator)
    return ((0.8 * soft + 0.2 * noise) * 255).round().to(torch.uint8)


def _size(
    config: Config, model: nn.Module, size: Optional[Tuple[int, int]]
) -> Tuple[Tuple[int, int], str]:
    if size is not None:
        return size, 'given by --size'
    found, is_known = input_size(model)
    if is_known:
        return found, 'the model knows it'
    for loader in ('test_dataloader', 'train_dataloader'):
        for step in reversed(_pipeline(config, (loader,))):
            found = _size_after(step)
            if found is not None:
                return found, f'{step.get("type")} of {loader}'
    return input_size(model)[0], 'assumed; --size sets another'


def _size_after(step: Any) -> Optional[Tuple[int, int]]:
    """(height, width) of what a transform gives, where that is fixed."""
    kind = str(step.get('type')).rpartition('.')[2]
    if kind.endswith('Crop'):
        size = step.get('crop_size', step.get('scale'))
    elif kind == 'Resize' and not step.get('keep_ratio'):
        size = step.get('scale')
    else:
        return None
    if isinstance(size, int):
        return size, size
    is_pair = isinstance(size, (list, tuple)) and len(size) == 2
    if not is_pair or not all(isinstance(n, int) and n > 0 for n in size):
        return None
    # mmsegmentation crops by (height, width); scales are (width, height).
    is_height_first = kind.endswith('Crop') and kind != 'CenterCrop'
    return tuple(size) if is_height_first else (size[1], size[0])


def _pipeline(config: Config, loaders: Tuple[str, ...]) -> List[Any]:
    for loader in loaders:
        for dataset in datasets_of(config, (loader,)):
            if dataset.get('pipeline'):
                return list(dataset['pipeline'])
    return []


def _described(pipeline: List[Any]) -> Iterator[str]:
    for step in pipeline:
        kind = str(step.get('type')).rpartition('.')[2]
        if not kind.startswith(('Load', 'Pack')):
            settings = ', '.join(
                f'{key}={value!r}'
                for key, value in step.items()
                if key != 'type'
            )
            yield f'{kind}({settings})'


def _channels(model: nn.Module) -> int:
    layers = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    first = next(layers, None)
    return 3 if first is None else first.in_channels


def _numbers(values: Tensor) -> Tuple[float, ...]:
    return tuple(values.flatten().tolist())
