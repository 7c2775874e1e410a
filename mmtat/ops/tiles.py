"""Channels of a map side by side, as a picture."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def scaled_channels(feature: Tensor, count: int = 64) -> Tensor:
    """The first channels of a map, each from its least to its largest value.

    Args:
        feature (Tensor): (C, H, W), a floating dtype.
        count (int): Channels to take, at most. Defaults to 64, as in Fig. 4
            of the paper.

    Returns:
        Tensor: (min(C, count), H, W), float32 in [0, 1]; a constant channel
        is 0.
    """
    chosen = feature[:count].detach().float()
    low = chosen.amin(dim=(1, 2), keepdim=True)
    span = chosen.amax(dim=(1, 2), keepdim=True) - low
    return (chosen - low) / span.where(span > 0, torch.ones_like(span))


def tiled(channels: Tensor, gap: int = 1) -> Tensor:
    """Lay channels out in a square of rows and columns.

    Args:
        channels (Tensor): (C, H, W), a floating dtype.
        gap (int): Pixels between two, and around all. Defaults to 1.

    Returns:
        Tensor: (r*(H+gap)+gap, c*(W+gap)+gap) with c = ceil(sqrt(C)) and
        r = ceil(C/c); NaN in the gaps and where no channel is left.
    """
    count, height, width = channels.shape
    across = math.ceil(math.sqrt(count))
    down = -(-count // across)
    empty = float('nan')
    padding = (0, gap, 0, gap, 0, across * down - count)
    # (C, H, W) -> (r*c, H+gap, W+gap)
    cells = F.pad(channels, padding, value=empty)
    h, w = height + gap, width + gap
    # (r*c, h, w) -> (r, c, h, w) -> (r, h, c, w) -> (r*h, c*w)
    rows = cells.reshape(down, across, h, w).transpose(1, 2)
    return F.pad(
        rows.reshape(down * h, across * w), (gap, 0, gap, 0), value=empty
    )
