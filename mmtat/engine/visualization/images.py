"""Images from files, as the models of a config want them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmtat.models.utils import DistillDataPreprocessor

from ..dataset_check import datasets_of
from .outputs import stems

_VALIDATION = ('test_dataloader', 'val_dataloader')


@dataclass
class Picture:
    """An image that is looked at.

    Attributes:
        name (str): For titles and file names.
        pixels (np.ndarray): (H, W, 3), uint8, RGB, as in the file.
    """

    name: str
    pixels: np.ndarray

    @property
    def size(self) -> Tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[:2]

    def resized(self, size: Tuple[int, int]) -> np.ndarray:
        """The whole image at another size; its aspect ratio may change.

        Args:
            size (tuple[int, int]): Height and width, in pixels.

        Returns:
            np.ndarray: (*size, 3), uint8, RGB.
        """
        if self.size == tuple(size):
            return self.pixels
        shrinks = size[0] * size[1] < self.size[0] * self.size[1]
        # As averages where it shrinks: bilinear would skip pixels.
        kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(self.pixels, size[::-1], interpolation=kind)


def read_picture(path: str, name: Optional[str] = None) -> Picture:
    """Read an image file.

    Args:
        path (str): Of any format that OpenCV decodes.
        name (str, optional): By default the file's, without its ending.

    Returns:
        Picture: It.

    Raises:
        ValueError: There is no such file, or it is no image.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f'image: {path!r} cannot be read: {error.strerror}'
        ) from error
    try:
        pixels = mmcv.imfrombytes(content, channel_order='rgb')
    except (cv2.error, ValueError):
        pixels = None
    if pixels is None:
        raise ValueError(
            f'image: {path!r} is no image that can be decoded; give a JPEG '
            'or PNG file'
        )
    return Picture(name or Path(path).stem, pixels)


def loads_files(config: Config) -> bool:
    """Whether a config's validation images come from files.

    Args:
        config (Config): Of a run.

    Returns:
        bool: False for data sets of arrays, such as CIFAR's, whose channels
        are in the order of RGB; also True where there is no data set.
    """
    for dataset in datasets_of(config, _VALIDATION):
        types = [str(step.get('type')) for step in dataset.get('pipeline', [])]
        return any('LoadImage' in kind for kind in types) or not types
    return True


def model_inputs(
    preprocessor: nn.Module,
    picture: Picture,
    size: Tuple[int, int],
    is_bgr: bool,
    role: str = 'student',
) -> Tensor:
    """An image as a model of the config gets it.

    The whole image is resized to ``size`` and normalised; nothing is cut
    off, so that every pixel of the file can be pointed at.

    Args:
        preprocessor (nn.Module): The algorithm's or a model's own.
        picture (Picture): The image.
        size (tuple[int, int]): Height and width of the training crop.
        is_bgr (bool): Whether the preprocessor takes BGR, as mmcv loads
            files.
        role (str): 'student' or 'teacher', whose normalisation is used.

    Returns:
        Tensor: (1, 3, *size), float32, on the preprocessor's device.
    """
    if isinstance(preprocessor, DistillDataPreprocessor):
        preprocessor = getattr(preprocessor, role)
    pixels = picture.resized(size)
    if is_bgr:
        pixels = pixels[..., ::-1]
    # (H, W, 3) -> (3, H, W)
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    data = preprocessor(dict(inputs=[image.contiguous()]), False)
    inputs = data['inputs']
    if isinstance(inputs, (list, tuple)):
        inputs = torch.stack(list(inputs))
    return inputs.float()


def first_pictures(
    images: Union[int, Sequence[str]], dataset: Optional[Any]
) -> List[Picture]:
    """Images from files, or the first of a data set, before its pipeline.

    Args:
        images (int | Sequence[str]): How many of the data set, or paths.
        dataset (Dataset, optional): Of mmengine, mmsegmentation or
            mmpretrain.

    Returns:
        list[Picture]: They.

    Raises:
        ValueError: There is no data set, or it does not tell its images.
    """
    if not isinstance(images, int):
        names = stems(images)
        return [read_picture(path, name) for path, name in zip(images, names)]
    if not hasattr(dataset, 'get_data_info'):
        kind = 'none' if dataset is None else type(dataset).__name__
        raise ValueError(
            'images: a validation data set that names its images is needed, '
            f'got {kind}; give their paths: images=[...]'
        )
    pictures = []
    for index in range(min(images, len(dataset))):
        info = dataset.get_data_info(index)
        name = Path(str(info.get('img_path', f'image_{index}'))).stem
        if isinstance(info.get('img'), np.ndarray):
            pixels = np.ascontiguousarray(info['img'])
            pictures.append(Picture(name, pixels))
        else:
            pictures.append(read_picture(info['img_path'], name))
    return pictures
