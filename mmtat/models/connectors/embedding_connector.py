"""Embedding connector: the paper's linear functions gamma, phi and theta."""

from typing import Dict, Optional

import torch
from mmrazor.models.architectures.connectors.base_connector import (
    BaseConnector,
)
from torch import Tensor, nn

from mmtat.ops import (
    Statistics,
    mix_channels,
    normalise_by,
    normalise_images,
)
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

    @property
    def observes_batch(self) -> bool:
        """Whether it normalises by what it sees of the whole batch now."""
        return type(self.norm) is nn.BatchNorm2d and self.training

    def forward_train(self, feature: Tensor) -> Tensor:
        """Embed a map.

        Args:
            feature (Tensor): (B, in_channels, H, W).

        Returns:
            Tensor: (B, out_channels, H, W), contiguous, as losses that
            view it need.
        """
        return self.normalise(self.mix(feature)).contiguous()

    def mix(self, feature: Tensor) -> Tensor:
        """Convolve a map, without the norm.

        Args:
            feature (Tensor): (B, in_channels, H, W).

        Returns:
            Tensor: (B, out_channels, H, W).
        """
        if self.conv.kernel_size == (1, 1):
            return mix_channels(feature, self.conv.weight[:, :, 0, 0])
        return self.conv(feature)

    def normalise(
        self, mixed: Tensor, statistics: Optional[Statistics] = None
    ) -> Tensor:
        """Normalise what :meth:`mix` gave.

        Args:
            mixed (Tensor): (B, out_channels, H, W).
            statistics (tuple[Tensor, Tensor], optional): Mean and variance
                of a batch of which these are some images, (out_channels,)
                each; by default those of ``mixed`` itself.

        Returns:
            Tensor: (B, out_channels, H, W).
        """
        norm = self.norm
        if statistics is not None:
            return normalise_by(
                mixed, statistics, norm.weight, norm.bias, norm.eps
            )
        if isinstance(norm, nn.InstanceNorm2d):
            return normalise_images(mixed, norm.weight, norm.bias, norm.eps)
        return norm(mixed)

    @torch.no_grad()
    def remember(self, statistics: Statistics, count: int) -> None:
        """Update the running statistics, as the norm does by itself.

        Args:
            statistics (tuple[Tensor, Tensor]): Mean and variance of a batch,
                (out_channels,) each.
            count (int): Elements of a channel in it.
        """
        norm = self.norm
        norm.num_batches_tracked.add_(1)
        mean, var = statistics
        norm.running_mean.lerp_(mean.to(norm.running_mean), norm.momentum)
        unbiased = var * (count / max(1, count - 1))
        norm.running_var.lerp_(unbiased.to(norm.running_var), norm.momentum)
