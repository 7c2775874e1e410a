"""ResNet for 32x32 images, as in section 4.2 of its paper."""

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
class CIFARResNet(BaseModule):
    """ResNet-8, 14, 20, 32, 44, 56 or 110 for images such as CIFAR's.

    `Deep Residual Learning for Image Recognition
    <https://arxiv.org/abs/1512.03385>`_, section 4.2: one 3x3 convolution,
    then three stages of basic blocks at strides 1, 2 and 2. Where the paper
    pads a shortcut with zeros, this one projects by a 1x1 convolution and a
    norm (its option B), as RepDistiller's networks do.

    The stages are ``layer1``, ``layer2`` and ``layer3``; each gives its map
    after the ReLU.

    Args:
        depth (int): 6n + 2, for n blocks in each stage.
        widths (Sequence[int]): Channels of the stem and of the three stages.
            Defaults to (16, 16, 32, 64); (32, 64, 128, 256) for the "x4"
            of ResNet-8x4 and 32x4.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned, from 0.
            Defaults to (2, ).
        init_cfg (dict | list[dict], optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Another depth, number of widths, or stage.
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        in_channels: int = 3,
        out_indices: Sequence[int] = (2,),
        init_cfg: InitCfg = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        blocks = blocks_per_stage(depth, 2)
        if len(widths) != 4:
            raise ValueError(
                'widths must be four numbers, of the stem and three stages, '
                f'got {widths!r}'
            )
        self.out_indices = check_out_indices(out_indices, 3)
        self.stem = nn.Sequential(
            conv3x3(in_channels, widths[0]),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        for index in range(3):
            before, width = widths[index : index + 2]
            layer = [BasicBlock(before, width, stride=1 if index == 0 else 2)]
            layer += [BasicBlock(width, width) for _ in range(blocks - 1)]
            self.add_module(f'layer{index + 1}', nn.Sequential(*layer))

    def forward(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            inputs (Tensor): (B, in_channels, H, W).

        Returns:
            tuple[Tensor]: Of (B, widths[i + 1], H / 2**i, W / 2**i) for each
            stage i, sizes rounded up.
        """
        maps = []
        x = self.stem(inputs)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Of the first convolution. Defaults to 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv3x3(in_channels, out_channels, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            conv3x3(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual and rectify.

        Args:
            x (Tensor): (B, in_channels, H, W).

        Returns:
            Tensor: (B, out_channels, H / stride, W / stride), rounded up.
        """
        return self.relu(self.residual(x) + self.shortcut(x))
