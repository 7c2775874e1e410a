"""Files of weights: for stock PyTorch and OpenMMLab, and safetensors."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmtat.models.utils import read_checkpoint
from mmtat.version import __version__

from ..inspected import built
from ..plain import to_plain
from .image_input import ImageInput
from .networks import network_of
from .plain_config import read_plain_config

Network = Callable[[Tensor], Tensor]

#: Packages beside torch that a format needs, all of the extra 'export'.
PACKAGES = dict(
    pth=(),
    safetensors=('safetensors',),
    onnx=('onnx', 'onnxruntime'),
    torchscript=(),
)
#: Formats by the ending of a file.
SUFFIXES = {
    '.pth': 'pth',
    '.safetensors': 'safetensors',
    '.onnx': 'onnx',
    '.pt': 'torchscript',
    '.ts': 'torchscript',
    '.torchscript': 'torchscript',
}
#: Formats that hold the computation, not only the weights.
GRAPHS = ('onnx', 'torchscript')


@dataclass
class Content:
    """What goes into a file.

    Attributes:
        model (BaseModel): The student.
        network (nn.Module): The same as a function, as it is exported.
        config (str): Text of the student's config.
        image (ImageInput): What the student takes.
        sample (Tensor): (1, C, H, W), normalised, to try a network on.
        meta (dict): Plain facts, as ``dataset_meta``.
    """

    model: BaseModel
    network: nn.Module
    config: str
    image: ImageInput
    sample: Tensor
    meta: Dict[str, Any]


def choose_format(out: Path, name: Any) -> str:
    """The format of an export, if it can be made.

    Args:
        out (Path): The file to make.
        name (str | None): The format; by default by the ending of ``out``.

    Returns:
        str: A key of :data:`PACKAGES`.

    Raises:
        ValueError: The ending says nothing, or a package is missing.
    """
    if name is None:
        if out.suffix.lower() not in SUFFIXES:
            raise ValueError(
                f'OUT: the ending {out.suffix!r} names no format; end with '
                f'{", ".join(SUFFIXES)}, or give --format '
                f'{", ".join(PACKAGES)}'
            )
        name = SUFFIXES[out.suffix.lower()]
    for package in PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f'--format {name} needs the package {package}, which is not '
                "installed: pip install 'mmtat[export]'"
            )
    return name


def names_of(out: Path, format: str) -> Tuple[str, ...]:
    """The files that an export consists of.

    Args:
        out (Path): The file to make.
        format (str): Its format.

    Returns:
        tuple[str]: Names; the last is that of ``out``.
    """
    names = [f'{out.name}.md', out.name]
    if format == 'pth':
        names.insert(0, config_name(out))
    return tuple(names)


def config_name(out: Path) -> str:
    """The name of the config beside a file of weights.

    Args:
        out (Path): The file.

    Returns:
        str: As ``student.py`` for ``student.pth``.
    """
    return f'{out.stem}.py'


def write_pth(content: Content, path: Path) -> None:
    """Write what ``init_model`` and the Runner load, and a config beside.

    Args:
        content (Content): The student.
        path (Path): The file.
    """
    meta = dict(content.meta, cfg=content.config)
    state_dict = content.model.state_dict()
    torch.save(dict(meta=to_plain(meta), state_dict=state_dict), path)
    text = content.config.rstrip('\n') + '\n'
    Path(path.parent, config_name(path)).write_text(text, encoding='utf-8')


def read_pth(content: Content, path: Path) -> Network:
    """Read it as another process would.

    Args:
        content (Content): For a sample to try it on.
        path (Path): Of :func:`write_pth`.

    Returns:
        Callable: From normalised images to scores.
    """
    text = Path(path.parent, config_name(path)).read_text(encoding='utf-8')
    weights = read_checkpoint(str(path), 'OUT')['state_dict']
    return _rebuilt(text, weights, content)


def write_safetensors(content: Content, path: Path) -> None:
    """Write tensors, with the config and the facts as text beside them.

    Args:
        content (Content): The student.
        path (Path): The file.
    """
    from safetensors.torch import save_file

    tensors = {
        # Two names of one tensor are refused.
        name: tensor.detach().clone().contiguous()
        for name, tensor in content.model.state_dict().items()
    }
    metadata = dict(
        format='pt',
        config=content.config,
        meta=json.dumps(to_plain(content.meta)),
        mmtat_version=__version__,
    )
    save_file(tensors, str(path), metadata)


def read_safetensors(content: Content, path: Path) -> Network:
    """Read it as another process would.

    Args:
        content (Content): For a sample to try it on.
        path (Path): Of :func:`write_safetensors`.

    Returns:
        Callable: From normalised images to scores.
    """
    from safetensors import safe_open

    with safe_open(str(path), 'pt') as file:
        text = file.metadata()['config']
        weights = {name: file.get_tensor(name) for name in file.keys()}
    return _rebuilt(text, weights, content)


def _rebuilt(
    text: str, weights: Dict[str, Tensor], content: Content
) -> Network:
    config: Config = read_plain_config(text, 'of the export')
    model = built(config)
    model.load_state_dict(weights, strict=True)
    network = network_of(model.eval(), content.sample, any_output=True)
    return lambda inputs: network(inputs)
