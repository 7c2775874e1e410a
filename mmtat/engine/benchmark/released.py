"""The released loss, written as plainly as it can be: what others run.

The reference that times and memory of the loss are compared with. Each image
by itself, every intermediate kept for the backward, all by autograd; a batch
norm that is called once per image and so sees one (the facts are in
docs/performance.md). No code of mmtat is used.
"""

from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .presets import Preset


class ReleasedLoss(nn.Module):
    """Target-aware losses of a pair of maps as their authors released them.

    Query and value are embeddings of the student's map, the key one of the
    teacher's: a convolution without bias, then batch norm in training mode.
    With maps per image of a norm over the batch (ImageNet) all images are
    embedded and attended together.

    Args:
        preset (Preset): Shapes and branches.
        norm (str): 'image' or 'batch'.
    """

    def __init__(self, preset: Preset, norm: str) -> None:
        super().__init__()
        self.preset = preset
        self.norm = norm
        self.query = _embedding(preset)
        self.key = _embedding(preset) if preset.has_key else nn.Identity()
        self.value = _embedding(preset)

    def forward(self, student: Tensor, teacher: Tensor) -> Dict[str, Tensor]:
        """Compute the branches' losses.

        Args:
            student (Tensor): (B, C, H, W), with gradient.
            teacher (Tensor): (B, C, H, W), without.

        Returns:
            dict[str, Tensor]: Branch to the mean of its images' losses.
        """
        images = 1 if self.norm == 'image' else len(student)
        parts: Dict[str, List[Tensor]] = {}
        for own, other in zip(student.split(images), teacher.split(images)):
            for name, loss in self._losses(own, other).items():
                parts.setdefault(name, []).append(loss)
        return {
            name: torch.stack(losses).mean() for name, losses in parts.items()
        }

    def _losses(self, student: Tensor, teacher: Tensor) -> Dict[str, Tensor]:
        embedded = (
            self.query(student),
            self.key(teacher),
            self.value(student),
        )
        for one in embedded:
            if one.requires_grad:
                # On a CPU torch 2.4 to 2.11 takes the gradient of one image
                # wrong where its strides are not those of the map.
                one.register_hook(Tensor.contiguous)
        maps = (*embedded, teacher)
        preset, losses = self.preset, {}
        if preset.patches:
            cut = [_grouped(m, preset.patches, preset.groups) for m in maps]
            losses['patch_group'] = _attended(*cut)
        if preset.anchors:
            pooled = [_pooled(m, preset.anchors) for m in maps]
            losses['anchor_point'] = _attended(*pooled)
        return losses or dict(whole=_attended(*maps))


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention without a scale, its map written out.

    Args:
        query (Tensor): (N, C, L).
        key (Tensor): (N, C, L).
        value (Tensor): (N, C, L).

    Returns:
        Tensor: (N, L, C).
    """
    # (N, C, L), (N, C, L) -> (N, L, L)
    weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=-1)
    # (N, L, L), (N, C, L) -> (N, L, C)
    return torch.bmm(weights, value.transpose(1, 2))


def _attended(
    query: Tensor, key: Tensor, value: Tensor, target: Tensor
) -> Tensor:
    # (N, C, h, w) -> (N, C, L)
    maps = [m.flatten(2) for m in (query, key, value, target)]
    # (N, C, L) -> (N, L, C)
    return F.mse_loss(attention(*maps[:3]), maps[3].transpose(1, 2))


def _grouped(feature: Tensor, patches: Tuple[int, int], groups: int) -> Tensor:
    batch, channels, height, width = feature.shape
    h, w = height // patches[0], width // patches[1]
    # (B, C, H, W) -> (B, C, n, m, h, w)
    cut = feature.unfold(2, h, h).unfold(3, w, w)
    cut = cut[:, :, : patches[0], : patches[1]]
    # (B, C, n, m, h, w) -> (B, n, m, C, h, w)
    cut = cut.permute(0, 2, 3, 1, 4, 5)
    # (B, n, m, C, h, w) -> (B*g, p*C, h, w)
    return cut.reshape(batch * groups, -1, h, w)


def _pooled(feature: Tensor, anchors: Tuple[int, int]) -> Tensor:
    kernel = [s // a for s, a in zip(feature.shape[2:], anchors)]
    # (B, C, H, W) -> (B, C, a, b)
    return F.avg_pool2d(feature, kernel, kernel)


def _embedding(preset: Preset) -> nn.Module:
    size: Optional[int] = preset.kernel_size
    return nn.Sequential(
        nn.Conv2d(
            preset.channels,
            preset.channels,
            size,
            padding=size // 2,
            bias=False,
        ),
        nn.BatchNorm2d(preset.channels),
    )
