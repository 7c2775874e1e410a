"""What the backbones share."""

from typing import Dict, List, Sequence, Tuple, Union

from torch import nn

#: Of BaseModule: one config, several, or none.
InitCfg = Union[Dict, List[Dict], None]

#: Convolutions from N(0, 2 / fan_out) with biases of 0.
INIT_CFG: List[Dict] = [
    dict(type='Kaiming', layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm']),
]


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Defaults to 1.

    Returns:
        nn.Conv2d: (B, in_channels, H, W) -> (B, out_channels, H', W').
    """
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


def check_out_indices(out_indices: Sequence[int], stages: int) -> Tuple:
    """Raise unless every index is that of a stage.

    Args:
        out_indices (Sequence[int]): Stages whose maps are returned, from 0.
        stages (int): Number of stages.

    Returns:
        tuple[int]: The same.

    Raises:
        ValueError: Not a sequence, an empty one, or another index.
    """
    is_sequence = isinstance(out_indices, (list, tuple))
    if not (is_sequence and out_indices) or any(
        index not in range(stages) for index in out_indices
    ):
        raise ValueError(
            f'out_indices must be a sequence of stages from 0 to '
            f'{stages - 1}, got {out_indices!r}'
        )
    return tuple(out_indices)


def blocks_per_stage(depth: int, other_layers: int) -> int:
    """Blocks in each of three stages, at two convolutions a block.

    Args:
        depth (int): Of the whole classifier.
        other_layers (int): Layers that the depth counts beside the blocks'.

    Returns:
        int: At least 1.

    Raises:
        ValueError: The depth leaves no whole number of blocks.
    """
    is_int = isinstance(depth, int)
    if not is_int or depth <= other_layers or (depth - other_layers) % 6:
        raise ValueError(
            f'depth must be 6n + {other_layers} with n = 1, 2, ..., got '
            f'{depth!r}'
        )
    return (depth - other_layers) // 6
