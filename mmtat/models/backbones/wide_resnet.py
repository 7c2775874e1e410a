"""Wide ResNet for 32x32 images."""

from typing import Sequence, Tuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmtat.registry import MODELS

from .stages import (
    INIT_CFG,
    InitCfg,
    blocks_per_stage,
    check_out_indices,
    conv3x3,
)


@MODELS.register_module()
class WideResNet(BaseModule):
    """WRN-d-k for images such as CIFAR's: depth d, k times as wide.

    `Wide Residual Networks <https://arxiv.org/abs/1605.07146>`_: one 3x3
    convolution, three stages of blocks that normalise and rectify before
    each convolution, at strides 1, 2 and 2, and a last norm and ReLU. No
    dropout.

    The stages are ``layer1``, ``layer2`` and ``layer3``, whose maps are bare
    sums; ``final`` is the last norm and ReLU, which the classifier pools.

    Args:
        depth (int): 6n + 4, for n blocks in each stage.
        widen_factor (int): k, by which 16, 32 and 64 channels are widened.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned, from 0;
            that of the last is the one of ``final``. Defaults to (2, ).
        init_cfg (dict | list[dict], optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Another depth, width or stage.
    """

    def __init__(
        self,
        depth: int,
        widen_factor: int,
        in_channels: int = 3,
        out_indices: Sequence[int] = (2,),
        init_cfg: InitCfg = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        blocks = blocks_per_stage(depth, 4)
        if not isinstance(widen_factor, int) or widen_factor < 1:
            raise ValueError(
                'widen_factor must be a positive integer, got '
                f'{widen_factor!r}'
            )
        self.out_indices = check_out_indices(out_indices, 3)
        widths = (16, *(width * widen_factor for width in (16, 32, 64)))
        self.stem = conv3x3(in_channels, widths[0])
        for index in range(3):
            before, width = widths[index : index + 2]
            layer = [WideBlock(before, width, stride=1 if index == 0 else 2)]
            layer += [WideBlock(width, width) for _ in range(blocks - 1)]
            self.add_module(f'layer{index + 1}', nn.Sequential(*layer))
        self.final = _norm_relu(widths[-1])

    def forward(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            inputs (Tensor): (B, in_channels, H, W).

        Returns:
            tuple[Tensor]: Of (B, 16k * 2**i, H / 2**i, W / 2**i) for each
            stage i, sizes rounded up.
        """
        maps = []
        x = self.stem(inputs)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            maps.append(x)
        maps[-1] = self.final(x)
        return tuple(maps[index] for index in self.out_indices)


class WideBlock(nn.Module):
    """Norm, ReLU and 3x3 convolution, twice, and the input added.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Of the first convolution. Defaults to 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.first = _norm_relu(in_channels)
        self.residual = nn.Sequential(
            conv3x3(in_channels, out_channels, stride),
            *_norm_relu(out_channels),
            conv3x3(out_channels, out_channels),
        )
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(
                in_channels, out_channels, 1, stride, bias=False
            )

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the input, or to a projection of it.

        Args:
            x (Tensor): (B, in_channels, H, W).

        Returns:
            Tensor: (B, out_channels, H / stride, W / stride), rounded up.
        """
        active = self.first(x)
        # A projection sees what the convolution sees, an identity the input.
        identity = x if self.shortcut is None else self.shortcut(active)
        return self.residual(active) + identity


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
