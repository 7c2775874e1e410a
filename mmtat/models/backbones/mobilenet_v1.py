"""MobileNet, the first one, for ImageNet."""

from typing import List, Sequence, Tuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmtat.registry import MODELS

from .stages import INIT_CFG, InitCfg, check_out_indices

#: Channels of the blocks of each stage at width 1. The first block of every
#: stage but the first halves the map.
_STAGES = (
    (64,),
    (128, 128),
    (256, 256),
    (512, 512, 512, 512, 512, 512),
    (1024, 1024),
)
_STEM = 32


@MODELS.register_module()
class MobileNetV1(BaseModule):
    """MobileNet: a convolution, then 13 depthwise-separable blocks.

    `MobileNets <https://arxiv.org/abs/1704.04861>`_, Table 1. Neither
    mmpretrain nor mmsegmentation has it. The table gives its last depthwise
    convolution a stride of 2 and its output the size of its input; the sizes
    hold here, so the stride is 1.

    The stages are ``layer1`` to ``layer5``, one for each size of the map;
    each gives its map after the ReLU.

    Args:
        width (float): The paper's width multiplier, by which all channels
            are multiplied and rounded. Defaults to 1.0; the paper also has
            0.75, 0.5 and 0.25.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned, from 0.
            Defaults to (4, ).
        init_cfg (dict | list[dict], optional): Of :class:`BaseModule`.

    Raises:
        ValueError: A width that leaves no channel, or another stage.
    """

    def __init__(
        self,
        width: float = 1.0,
        in_channels: int = 3,
        out_indices: Sequence[int] = (4,),
        init_cfg: InitCfg = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        is_number = isinstance(width, (int, float))
        if not (is_number and 1 / _STEM <= width < float('inf')):
            raise ValueError(
                f'width must be a number from 1/{_STEM} on, such as 1.0 or '
                f'0.5, got {width!r}'
            )
        self.out_indices = check_out_indices(out_indices, len(_STAGES))
        before = round(_STEM * width)
        self.stem = _conv_norm_relu(in_channels, before, 3, stride=2)
        for index, stage in enumerate(_STAGES):
            layer: List[nn.Module] = []
            for channels in stage:
                halve = index > 0 and not layer
                after = round(channels * width)
                layer.append(SeparableBlock(before, after, 2 if halve else 1))
                before = after
            self.add_module(f'layer{index + 1}', nn.Sequential(*layer))

    def forward(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            inputs (Tensor): (B, in_channels, H, W).

        Returns:
            tuple[Tensor]: Of (B, 64 * width * 2**i, H / 2**(i + 1),
            W / 2**(i + 1)) for each stage i, sizes rounded up.
        """
        maps = []
        x = self.stem(inputs)  # (B, C, H, W) -> (B, 32 * width, H/2, W/2)
        for index in range(len(_STAGES)):
            x = getattr(self, f'layer{index + 1}')(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)


class SeparableBlock(nn.Sequential):
    """A 3x3 convolution of each channel by itself, then a 1x1 of all.

    A norm and a ReLU follow each of the two.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Of the first convolution. Defaults to 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__(
            _conv_norm_relu(
                in_channels, in_channels, 3, stride, groups=in_channels
            ),
            _conv_norm_relu(in_channels, out_channels, 1),
        )


def _conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
