"""An export in words, for its card."""

from pathlib import Path
from typing import List

from .formats import GRAPHS, Content, config_name
from .graphs import INPUT, OPSET
from .image_input import ImageInput
from .options import ExportOptions
from .source import Source

FORMATS = dict(
    pth='weights, for `torch.load` and the stock loaders',
    safetensors='safetensors, with the config as metadata `config`',
    onnx=f'ONNX, opset {OPSET}, with the config as metadata `config`',
    torchscript='TorchScript, with the config as extra file `config`',
)

_LOADERS = dict(
    mmseg='from mmseg.apis import init_model',
    mmpretrain='from mmpretrain.apis import init_model',
)


def takes(format: str, options: ExportOptions, image: ImageInput) -> str:
    """The input of an export.

    Args:
        format (str): Its format.
        options (ExportOptions): Of the export.
        image (ImageInput): What the student takes.

    Returns:
        str: For the card.
    """
    batch = 'N' if options.batch is None else options.batch
    high, wide = ('H', 'W') if options.dynamic else image.size
    if format not in GRAPHS:
        high, wide = 'H', 'W'
    shape = f'({batch}, {image.channels}, {high}, {wide})'
    name = f'`{INPUT}`, ' if format == 'onnx' else ''
    if options.preprocessing:
        return (
            f'{name}{options.preprocessing} {shape}: RGB images of 0 to 255, '
            'which it normalises itself'
        )
    return f'{name}float32 {shape}, normalised as below'


def gives(format: str, options: ExportOptions, content: Content) -> str:
    """The output of an export.

    Args:
        format (str): Its format.
        options (ExportOptions): Of the export.
        content (Content): What was exported.

    Returns:
        str: For the card.
    """
    network = getattr(content.network, 'network', content.network)
    name = 'labels' if options.argmax else network.output
    shown = f'`{name}`' if format == 'onnx' else name
    if network.kind == 'segmentation':
        if options.argmax:
            return f'{shown}, int64 (N, H, W)'
        return f'{shown}, float32 (N, classes, H, W), before any softmax'
    if options.argmax:
        return f'{shown}, int64 (N)'
    if network.kind == 'classification':
        return f'{shown}, float32 (N, classes), after {network.activation}'
    return f'{shown}, as the model gives it'


def usage(format: str, out: Path, scope: str) -> str:
    """How an export is loaded.

    Args:
        format (str): Its format.
        out (Path): The file.
        scope (str): Default scope of the student's config.

    Returns:
        str: Python code.
    """
    name = out.name
    if format == 'pth' and scope in _LOADERS:
        return (
            'import mmtat  # only where mmcv-lite stands in for mmcv\n'
            f'{_LOADERS[scope]}\n\n'
            f"model = init_model({config_name(out)!r}, {name!r}, device='cpu')"
        )
    if format == 'pth':
        return (
            'import torch\n\n'
            f"weights = torch.load({name!r}, weights_only=True)['state_dict']"
        )
    if format == 'safetensors':
        return (
            'from safetensors.torch import load_file\n\n'
            f'weights = load_file({name!r})'
        )
    if format == 'onnx':
        return (
            'import onnxruntime\n\n'
            f'session = onnxruntime.InferenceSession({name!r})\n'
            f'outputs = session.run(None, {{{INPUT!r}: images}})'
        )
    return (
        f"import torch\n\nmodel = torch.jit.load({name!r}, 'cpu')\n"
        'outputs = model(images)'
    )


def remarks(
    format: str, options: ExportOptions, source: Source, folded: int
) -> List[str]:
    """What else a reader of the card must know.

    Args:
        format (str): Of the export.
        options (ExportOptions): Of the export.
        source (Source): The checkpoint.
        folded (int): Norms that were folded.

    Returns:
        list[str]: Sentences.
    """
    lines = []
    model = source.config.model
    if format not in GRAPHS and 'mmtat.' in str(model):
        lines.append('Its config names parts of mmtat, which must be there.')
    if format not in GRAPHS and "'SyncBN'" in str(model):
        lines.append('SyncBN became BN in its config; both predict the same.')
    test_cfg = model.get('test_cfg') or {}
    if format in GRAPHS and test_cfg.get('mode') == 'slide':
        lines.append(
            'It segments whole images. The tests of its run slid a window '
            f'of {tuple(test_cfg.get("crop_size", ()))} pixels.'
        )
    if format == 'torchscript' and not options.dynamic:
        lines.append('Other sizes of the image were not compared.')
    if options.fold_norms:
        lines.append(f'{folded} norms are folded into their convolutions.')
    return lines
