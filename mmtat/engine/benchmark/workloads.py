"""Which networks, layers and sizes belong to a preset."""

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import torch

from .networks import Workload


@dataclass(frozen=True)
class _Networks:
    """Config, layers, and (side, images) on a CPU and on a GPU."""

    config: str
    layers: Tuple[str, ...]
    on_cpu: Tuple[int, int] = (256, 2)
    on_gpu: Tuple[int, int] = (512, 4)


_ZOO_LAYERS = ('decode_head.bottleneck', 'backbone.layer4')

#: By preset of the loss. The stock way cannot record in front of a ReLU that
#: works in place, so the zoo's heads are recorded behind it.
NETWORKS = {
    'voc-r18': _Networks('tat_deeplabv3_r101_r18_voc.py', _ZOO_LAYERS),
    'voc-mbv2': _Networks(
        'voc/tat_deeplabv3plus_r101_mobilenetv2_zoo.py',
        ('decode_head.sep_bottleneck',),
    ),
    'coco-r18': _Networks(
        'coco_stuff10k/tat_deeplabv3_r101_r18_zoo.py', _ZOO_LAYERS
    ),
    'in1k-r18': _Networks(
        'tat_resnet34_resnet18_in1k.py',
        ('backbone.layer4',),
        on_cpu=(224, 16),
        on_gpu=(224, 128),
    ),
    'exact': _Networks(
        'voc/tat_deeplabv3plus_r101_r18_exact.py',
        ('decode_head.decoder.conv2.bn',),
        on_cpu=(257, 2),
        on_gpu=(513, 16),
    ),
}


def workloads_of(
    preset: str,
    configs: Path,
    device: torch.device,
    layers: Optional[List[str]] = None,
    size: Optional[int] = None,
) -> List[Workload]:
    """The workloads of a preset.

    Args:
        preset (str): Name of one of the loss.
        configs (Path): Folder of the configs.
        device (torch.device): A CPU gets smaller images.
        layers (list[str], optional): In the place of the preset's.
        size (int, optional): Side of the images, likewise.

    Returns:
        list[Workload]: One for each layer.
    """
    networks = NETWORKS[preset]
    side = size or _place(networks, device)[0]
    return [
        Workload(str(configs / networks.config), layer, side)
        for layer in layers or networks.layers
    ]


def table_name(
    part: str, preset: str, device: torch.device, layer: str = ''
) -> str:
    """What the place of a table is called.

    Args:
        part (str): What is measured, as 'step'.
        preset (str): Name of one of the loss.
        device (torch.device): A CPU or a GPU.
        layer (str): Where there are several. Defaults to ''.

    Returns:
        str: As 'step-voc-r18-backbone.layer4-cpu'.
    """
    return '-'.join(filter(None, (part, preset, layer, device.type)))


def default_batch(preset: str, device: torch.device) -> int:
    """Images at a time of a preset's networks.

    Args:
        preset (str): Name of one of the loss.
        device (torch.device): Where.

    Returns:
        int: Images.
    """
    return _place(NETWORKS[preset], device)[1]


def _place(networks: _Networks, device: torch.device) -> Tuple[int, int]:
    return networks.on_cpu if device.type == 'cpu' else networks.on_gpu
