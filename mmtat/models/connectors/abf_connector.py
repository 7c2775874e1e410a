"""Attention based fusion of several maps, from deep to shallow."""

from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmrazor.models.architectures.connectors.base_connector import (
    BaseConnector,
)
from torch import Tensor, nn

from mmtat.ops import check_feature, check_positive, fuse_by_attention
from mmtat.registry import MODELS

Sizes = Sequence[Tuple[int, int]]


@MODELS.register_module()
class ABFConnector(BaseConnector):
    """Fuse a student's maps into what is compared with the teacher's.

    The attention based fusion modules (ABF) of `Distilling Knowledge via
    Knowledge Review <https://arxiv.org/abs/2104.09044>`_, one for each
    map: the deepest is embedded, and every shallower one is fused with
    what the deeper ones gave, so that a teacher's map supervises all that
    lies behind it. All of it is **trained** with the student.

    In a ``ConfigurableDistiller`` it works on the record of a layer that
    returns several maps; :class:`ReviewKDDistiller` records several layers
    for it and finds the channels.

    Args:
        in_channels (Sequence[int]): Channels of the student's maps, from
            shallow to deep.
        out_channels (Sequence[int]): Channels of the teacher's.
        mid_channels (int, optional): Channels in which maps are fused; by
            default those of the student's deepest map, at most 512.
        init_cfg (dict, optional): Of :class:`BaseModule`.

    Raises:
        ValueError: Numbers that are not positive, or not as many of
            ``in_channels`` as of ``out_channels``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        mid_channels: Optional[int] = None,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        _check_channels('in_channels', in_channels)
        _check_channels('out_channels', out_channels)
        if len(in_channels) != len(out_channels):
            raise ValueError(
                'out_channels must be as many as in_channels: expected '
                f'{len(in_channels)}, got {len(out_channels)}'
            )
        mid = min(512, in_channels[-1])
        if mid_channels is not None:
            check_positive('mid_channels', mid_channels, whole=True)
            mid = mid_channels
        deepest = len(in_channels) - 1
        self.blocks = nn.ModuleList(
            _FusionBlock(inside, mid, outside, fuses=index < deepest)
            for index, (inside, outside) in enumerate(
                zip(in_channels, out_channels)
            )
        )

    def forward(
        self, feature: Sequence[Tensor], sizes: Optional[Sizes] = None
    ) -> Tuple[Tensor, ...]:
        """See :meth:`forward_train`."""
        return self.forward_train(feature, sizes)

    def forward_train(
        self, feature: Sequence[Tensor], sizes: Optional[Sizes] = None
    ) -> Tuple[Tensor, ...]:
        """Fuse the maps.

        Args:
            feature (Sequence[Tensor]): From shallow to deep, each
                (N, in_channels[i], H_i, W_i).
            sizes (Sequence[tuple[int, int]], optional): (height, width) of
                the teacher's maps; by default those of the student's.

        Returns:
            tuple[Tensor]: From shallow to deep, each
            (N, out_channels[i], *sizes[i]).

        Raises:
            TypeError: A map is not a tensor.
            ValueError: Not as many maps as ``in_channels``, or of other
                channels.
        """
        self._check(feature)
        if sizes is None:
            sizes = [tuple(one.shape[2:]) for one in feature]
        residual, outputs = None, []
        for index in reversed(range(len(self.blocks))):
            output, residual = self.blocks[index](
                feature[index], residual, sizes[index]
            )
            outputs.append(output)
        return tuple(reversed(outputs))

    def _check(self, feature: Sequence[Tensor]) -> None:
        if not isinstance(feature, (list, tuple)):
            raise TypeError(
                'feature must be a list of maps, from shallow to deep, got '
                f'{type(feature)}'
            )
        if len(feature) != len(self.blocks):
            raise ValueError(
                'feature must have one map for each of in_channels: expected '
                f'{len(self.blocks)}, got {len(feature)}'
            )
        for index, (one, block) in enumerate(zip(feature, self.blocks)):
            check_feature(f'feature[{index}]', one, (4,))
            channels = block.embed[0].in_channels
            if one.shape[1] != channels:
                raise ValueError(
                    f'feature[{index}] must have in_channels[{index}]='
                    f'{channels} channels, got {tuple(one.shape)}'
                )


class _FusionBlock(nn.Module):
    """One ABF: embeds a map, fuses it with the deeper level, and projects."""

    def __init__(
        self, in_channels: int, mid: int, out_channels: int, fuses: bool
    ) -> None:
        super().__init__()
        self.embed = _conv_norm(in_channels, mid, 1)
        self.attention = None
        if fuses:
            self.attention = nn.Sequential(
                nn.Conv2d(2 * mid, 2, 1), nn.Sigmoid()
            )
        self.project = _conv_norm(mid, out_channels, 3)

    def forward(
        self, feature: Tensor, deeper: Optional[Tensor], size: Tuple[int, int]
    ) -> Tuple[Tensor, Tensor]:
        # (N, C, H, W) -> (N, mid, H, W)
        fused = self.embed(feature)
        if self.attention is not None:
            deeper = _resize(deeper, fused.shape[2:])
            # (N, 2*mid, H, W) -> (N, 2, H, W)
            attention = self.attention(torch.cat([fused, deeper], dim=1))
            fused = fuse_by_attention(fused, deeper, attention)
        # (N, mid, H, W) -> (N, mid, *size) -> (N, out, *size)
        fused = _resize(fused, size)
        return self.project(fused), fused


def _conv_norm(
    in_channels: int, out_channels: int, kernel: int
) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, padding=kernel // 2, bias=False
    )
    # No activation follows that would call for the default's gain.
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def _resize(feature: Tensor, size: Tuple[int, int]) -> Tensor:
    if tuple(feature.shape[2:]) == tuple(size):
        return feature
    return F.interpolate(feature, tuple(size), mode='nearest')


def _check_channels(name: str, channels: List[int]) -> None:
    if not isinstance(channels, (list, tuple)) or not channels:
        raise ValueError(
            f'{name} must be a list of numbers of channels, from shallow to '
            f'deep, got {channels!r}'
        )
    for number in channels:
        check_positive(f'each of {name}', number, whole=True)
