"""The decode head of DeepLabV3+ with plain convolutions."""

from collections import OrderedDict
from typing import Any, Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import ASPPHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmtat.ops import check_positive
from mmtat.registry import MODELS


@MODELS.register_module()
class DeepLabV3PlusHead(ASPPHead):
    """DeepLabV3+ as TaT's authors run it: plain convolutions and dropout.

    `Encoder-Decoder with Atrous Separable Convolution
    <https://arxiv.org/abs/1802.02611>`_. Unlike mmsegmentation's
    ``DepthwiseSeparableASPPHead`` its 3x3 convolutions are not depth-wise
    separable, the five outputs of ASPP are projected by a 1x1 convolution
    (as in `DeepLabV3 <https://arxiv.org/abs/1706.05587>`_), there is dropout
    in three places, and it drops elements, not channels.

    The map before the last ReLU, which TaT distils, is the output of
    ``decoder.conv2.bn``.

    Args:
        c1_in_channels (int): Channels of the low-level map.
        c1_channels (int): Channels that it is projected to. Defaults to 48.
        c1_in_index (int): Index of the low-level map. Defaults to 0.
        aspp_dropout_ratio (float): Behind ASPP's projection. Defaults
            to 0.5.
        decoder_dropout_ratio (float): Between the decoder's convolutions.
            Defaults to 0.5.
        dropout_ratio (float): Before the classifier. Defaults to 0.1.
        **kwargs: Of mmsegmentation's ``ASPPHead``: ``in_channels``,
            ``channels``, ``num_classes``, ``dilations`` and others.

    Raises:
        ValueError: Channels that are not positive, or a ratio of dropout
            outside [0, 1].
    """

    def __init__(
        self,
        c1_in_channels: int,
        c1_channels: int = 48,
        c1_in_index: int = 0,
        aspp_dropout_ratio: float = 0.5,
        decoder_dropout_ratio: float = 0.5,
        dropout_ratio: float = 0.1,
        **kwargs: Any,
    ) -> None:
        check_positive('c1_in_channels', c1_in_channels, whole=True)
        check_positive('c1_channels', c1_channels, whole=True)
        for name, ratio in (
            ('aspp_dropout_ratio', aspp_dropout_ratio),
            ('decoder_dropout_ratio', decoder_dropout_ratio),
            ('dropout_ratio', dropout_ratio),
        ):
            _check_ratio(name, ratio)
        super().__init__(dropout_ratio=dropout_ratio, **kwargs)
        self.c1_in_index = c1_in_index
        self.bottleneck = self._conv(
            (len(self.dilations) + 1) * self.channels, self.channels, 1
        )
        self.aspp_dropout = nn.Dropout(aspp_dropout_ratio)
        self.c1_bottleneck = self._conv(c1_in_channels, c1_channels, 1)
        self.decoder = nn.Sequential(
            OrderedDict(
                conv1=self._conv(self.channels + c1_channels, self.channels),
                dropout=nn.Dropout(decoder_dropout_ratio),
                conv2=self._conv(self.channels, self.channels),
            )
        )
        # mmsegmentation's own drops whole channels.
        self.dropout = nn.Dropout(dropout_ratio)

    def _conv(
        self, in_channels: int, out_channels: int, kernel: int = 3
    ) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            kernel,
            padding=kernel // 2,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        """The map that is classified.

        Args:
            inputs (Sequence[Tensor]): Maps of the backbone; of these the
                low-level one is (N, c1_in_channels, H, W).

        Returns:
            Tensor: (N, channels, H, W).
        """
        low_level = self.c1_bottleneck(inputs[self.c1_in_index])
        aspp = self.aspp_dropout(super()._forward_feature(inputs))
        # (N, channels, h, w) -> (N, channels, H, W)
        aspp = resize(
            aspp,
            size=low_level.shape[2:],
            mode='bilinear',
            align_corners=self.align_corners,
        )
        # (N, channels, H, W) -> (N, channels + c1_channels, H, W)
        return self.decoder(torch.cat([aspp, low_level], dim=1))


def _check_ratio(name: str, ratio: Any) -> None:
    is_number = isinstance(ratio, (int, float)) and ratio is not True
    if not is_number or not 0 <= ratio <= 1:
        raise ValueError(f'{name} must be a number from 0 to 1, got {ratio!r}')
