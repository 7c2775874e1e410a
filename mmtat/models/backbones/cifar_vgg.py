"""VGG with batch normalisation for 32x32 images."""

from typing import List, Sequence, Tuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmtat.registry import MODELS

from .stages import INIT_CFG, InitCfg, check_out_indices

#: Convolutions per stage. Depths count the three linear layers of the paper,
#: of which these networks keep one.
_CONVOLUTIONS = {8: 1, 13: 2}
_WIDTHS = (64, 128, 256, 512, 512)


@MODELS.register_module()
class CIFARVGG(BaseModule):
    """VGG-8 or VGG-13 with batch normalisation, for images such as CIFAR's.

    `Very Deep Convolutional Networks <https://arxiv.org/abs/1409.1556>`_:
    five stages of 3x3 convolutions (with biases) and ReLUs. The maps are
    halved between the first four stages only, as in RepDistiller's networks
    on images of 32x32: the last is of 4x4 where the paper's five poolings
    would leave one position.

    The stages are ``layer1`` to ``layer5``; each gives its map after the
    ReLU and before the pooling.

    Args:
        depth (int): 8 or 13: one or two convolutions in each stage.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned, from 0.
            Defaults to (4, ).
        init_cfg (dict | list[dict], optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Another depth or stage.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        out_indices: Sequence[int] = (4,),
        init_cfg: InitCfg = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in _CONVOLUTIONS:
            raise ValueError(
                f'depth must be one of {tuple(_CONVOLUTIONS)}, got {depth!r}'
            )
        self.out_indices = check_out_indices(out_indices, len(_WIDTHS))
        for index, width in enumerate(_WIDTHS):
            layer: List[nn.Module] = []
            for _ in range(_CONVOLUTIONS[depth]):
                layer += [
                    nn.Conv2d(in_channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                in_channels = width
            self.add_module(f'layer{index + 1}', nn.Sequential(*layer))
        self.pool = nn.MaxPool2d(2)

    def forward(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            inputs (Tensor): (B, in_channels, H, W), at least 8x8.

        Returns:
            tuple[Tensor]: (B, 64, H, W), (B, 128, H/2, W/2), (B, 256, H/4,
            W/4), and two of (B, 512, H/8, W/8), sizes rounded down.
        """
        maps = []
        x = inputs
        for index in range(len(_WIDTHS)):
            if index in (1, 2, 3):
                x = self.pool(x)  # (B, C, H, W) -> (B, C, H // 2, W // 2)
            x = getattr(self, f'layer{index + 1}')(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)
