"""Embedding connector: the paper's linear functions gamma, phi and theta."""

from typing import Dict, Optional

from mmrazor.models.architectures.connectors.base_connector import (
    BaseConnector,
)
from torch import Tensor, nn

from mmtat.registry import MODELS

_NORMS = {
    # The released segmentation code calls BatchNorm once per image: that is
    # instance normalisation with an affine.
    'image': lambda channels: nn.InstanceNorm2d(channels, affine=True),
    'batch': nn.BatchNorm2d,
    None: lambda channels: nn.Identity(),
}


@MODELS.register_module()
class EmbeddingConnector(BaseConnector):
    """Embed a map by a convolution without bias and a normalisation.

    The released code uses 1x1 with a norm per image for segmentation, and
    3x3 with a norm over the batch for ImageNet.

    Args:
        in_channels (int): Channels of the map.
        out_channels (int): Channels of the embedding.
        kernel_size (int): 1 or 3; 3 is padded to keep the size. Defaults
            to 1.
        norm (str, optional): 'image' (statistics of each image), 'batch'
            (of the batch), or None. Defaults to 'image'.
        init_cfg (dict, optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Any other kernel size, norm or channel number.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        norm: Optional[str] = 'image',
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, number in (
            ('in_channels', in_channels),
            ('out_channels', out_channels),
        ):
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f'{name} must be a positive integer, got {number!r}'
                )
        if kernel_size not in (1, 3):
            raise ValueError(
                f'kernel_size must be 1 or 3, got {kernel_size!r}'
            )
        if not isinstance(norm, (str, type(None))) or norm not in _NORMS:
            raise ValueError(
                f"norm must be 'image', 'batch' or None, got {norm!r}"
            )
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            bias=False,
        )
        self.norm = _NORMS[norm](out_channels)

    def forward_train(self, feature: Tensor) -> Tensor:
        """Embed a map.

        Args:
            feature (Tensor): (B, in_channels, H, W).

        Returns:
            Tensor: (B, out_channels, H, W).
        """
        return self.norm(self.conv(feature))
