"""Writing a file, reading it again, and comparing what it computes."""

import copy
from pathlib import Path
from typing import Dict, Iterator, Tuple

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from .comparison import Comparison, compare
from .formats import (
    GRAPHS,
    Content,
    Network,
    read_pth,
    read_safetensors,
    write_pth,
    write_safetensors,
)
from .graphs import (
    read_onnx,
    read_torchscript,
    write_onnx,
    write_torchscript,
)
from .image_input import ImageInput, sample_images
from .options import ExportOptions

_WEIGHTS = dict(
    pth=(write_pth, read_pth),
    safetensors=(write_safetensors, read_safetensors),
)
_GRAPHS = dict(
    onnx=(write_onnx, read_onnx),
    torchscript=(write_torchscript, read_torchscript),
)
#: Where any batch is taken; of one image a trace may take it for a constant.
TRACED_BATCH = 2
#: Pixels by which the sizes of --dynamic are tried: height up, width down.
_STEP = 32


def write_checked(
    content: Content,
    original: nn.Module,
    path: Path,
    format: str,
    options: ExportOptions,
) -> Comparison:
    """Write a student, and compare what was written with the student.

    Args:
        content (Content): What is written.
        original (nn.Module): The student's own network.
        path (Path): The file.
        format (str): Its format.
        options (ExportOptions): Of the export.

    Returns:
        Comparison: On images of the size of the student's input.

    Raises:
        ValueError: It cannot be written, or computes something else.
    """
    if format in GRAPHS:
        write, read = _GRAPHS[format]
        batch = options.batch or TRACED_BATCH
        example = _inputs(content, options, batch, content.image.size)
        write(content, path, example, _axes(options))
    else:
        write, read = _WEIGHTS[format]
        write(content, path)
    exported = read(content, path)
    results = []
    for batch, size, hint in _cases(format, options, content.image):
        try:
            results.append(
                _compare(content, original, exported, options, batch, size)
            )
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().split('\n')[0]
            raise ValueError(
                f'--format {format}: on {batch} images of {size[0]} × '
                f'{size[1]}, {reason}{hint}'
            ) from error
    return results[0]


@torch.no_grad()
def stock_inputs(model: BaseModel, image: ImageInput, rgb: Tensor) -> Tensor:
    """What the student's own data preprocessor makes of images.

    Args:
        model (BaseModel): The student.
        image (ImageInput): What it takes.
        rgb (Tensor): (N, C, H, W), uint8.

    Returns:
        Tensor: (N, C, H, W), float32.
    """
    is_bgr = image.channels == 3 and image.loaded == 'BGR'
    preprocessor = copy.deepcopy(model.data_preprocessor)
    # Sizes are given as they are.
    for name, value in (('test_cfg', None), ('pad_size_divisor', 1)):
        if hasattr(preprocessor, name):
            setattr(preprocessor, name, value)
    images = list(rgb.flip(1) if is_bgr else rgb)
    inputs = preprocessor(dict(inputs=images, data_samples=None))['inputs']
    if not isinstance(inputs, Tensor):
        # [(C, H, W)] * N -> (N, C, H, W)
        inputs = torch.stack(list(inputs))
    return inputs.float()


def _inputs(
    content: Content,
    options: ExportOptions,
    batch: int,
    size: Tuple[int, int],
) -> Tensor:
    rgb = sample_images(content.image, batch, size)
    if options.preprocessing:
        return rgb.to(getattr(torch, options.preprocessing))
    return stock_inputs(content.model, content.image, rgb)


@torch.no_grad()
def _compare(
    content: Content,
    original: nn.Module,
    exported: Network,
    options: ExportOptions,
    batch: int,
    size: Tuple[int, int],
) -> Comparison:
    rgb = sample_images(content.image, batch, size)
    scores = original(stock_inputs(content.model, content.image, rgb))
    found = exported(_inputs(content, options, batch, size))
    return compare(scores, original.labels, found, options.argmax)


def _axes(options: ExportOptions) -> Dict[int, str]:
    if options.batch is not None:
        return {}
    if options.dynamic:
        return {0: 'batch', 2: 'height', 3: 'width'}
    return {0: 'batch'}


def _cases(
    format: str, options: ExportOptions, image: ImageInput
) -> Iterator[Tuple[int, Tuple[int, int], str]]:
    """Batches and sizes to compare on, and what helps where they differ."""
    if format not in GRAPHS or options.batch is not None:
        yield options.batch or 1, image.size, ''
        return
    yield TRACED_BATCH, image.size, ''
    hint = '; this student does not follow the batch: --batch N fixes it'
    yield 1, image.size, hint
    if options.dynamic:
        yield 1, other_size(image.size), '; leave --dynamic out'


def other_size(size: Tuple[int, int]) -> Tuple[int, int]:
    """Another size than a student's own, to try ``--dynamic`` on.

    Args:
        size (tuple[int, int]): Height and width.

    Returns:
        tuple[int, int]: One larger, one smaller where that can be.
    """
    height, width = size
    return height + _STEP, width - _STEP if width > 2 * _STEP else width
