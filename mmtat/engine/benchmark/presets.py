"""Shapes of the published experiments, at which the loss is measured."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

Pair = Tuple[int, int]


@dataclass(frozen=True)
class Preset:
    """One distilled pair of maps, and what is done with it.

    Attributes:
        name (str): Of the preset.
        channels (int): Of both maps.
        size (tuple[int, int]): Height and width of both maps.
        patches (tuple[int, int] | None): Of the patch-group branch.
        groups (int): Likewise.
        anchors (tuple[int, int] | None): Of the anchor-point branch; with
            neither branch the whole map is attended.
        kernel_size (int): Of the embeddings.
        has_key (bool): Whether the key is embedded, or the raw map.
        norms (tuple[str, ...]): 'image' or 'batch', the released one first.
        batches (tuple[int, int]): Images at a time on a CPU and on a GPU.
    """

    name: str
    channels: int = 256
    size: Pair = (128, 128)
    patches: Optional[Pair] = None
    groups: int = 1
    anchors: Optional[Pair] = None
    kernel_size: int = 1
    has_key: bool = True
    norms: Tuple[str, ...] = ('image', 'batch')
    batches: Pair = (4, 16)

    @property
    def map_bytes(self) -> int:
        """Of one image's map in float32."""
        return 4 * self.channels * self.size[0] * self.size[1]

    @property
    def attentions(self) -> Tuple[Tuple[int, int, int], ...]:
        """For each branch (maps per image, tokens, width)."""
        height, width = self.size
        found = []
        if self.patches:
            n, m = self.patches
            tokens = (height // n) * (width // m)
            stacked = n * m // self.groups * self.channels
            found.append((self.groups, tokens, stacked))
        if self.anchors:
            tokens = self.anchors[0] * self.anchors[1]
            found.append((1, tokens, self.channels))
        return tuple(found) or ((1, height * width, self.channels),)

    @property
    def logits_bytes(self) -> int:
        """Of one image's attention maps in float32, all branches."""
        return sum(4 * n * tokens**2 for n, tokens, _ in self.attentions)

    def branches(self) -> Dict[str, Dict[str, Any]]:
        """Branches as :class:`TaTDistiller` takes them.

        Returns:
            dict[str, dict]: Arguments by branch, all of weight 1.
        """
        found: Dict[str, Dict[str, Any]] = {}
        if self.patches:
            found['patch_group'] = dict(
                patches=self.patches, groups=self.groups
            )
        if self.anchors:
            found['anchor_point'] = dict(anchors=self.anchors)
        return found or dict(whole=dict())

    def scaled(self, factor: float) -> 'Preset':
        """The same with maps of another image size.

        Args:
            factor (float): Of the sides.

        Returns:
            Preset: It; patches and anchors stay as many as they were.
        """
        height, width = self.size
        return replace(
            self, size=(round(height * factor), round(width * factor))
        )

    def toy(self) -> 'Preset':
        """The same work on next to nothing, to load code by."""
        return replace(
            self,
            channels=8,
            size=(8, 8),
            patches=self.patches and (4, 4),
            groups=4 if self.patches else 1,
            anchors=self.anchors and (4, 4),
        )


#: As the authors ran them, but exact: one-to-all on a map of 128x128. The
#: maps of 513 pixels are 129x129, of which the cut drops a row and a column.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset('voc-r18', patches=(16, 16), groups=64, anchors=(32, 32)),
        Preset('voc-mbv2', patches=(32, 32), groups=1024, anchors=(64, 64)),
        Preset('coco-r18', patches=(32, 32), groups=512, anchors=(32, 32)),
        Preset(
            'in1k-r18',
            channels=512,
            size=(7, 7),
            kernel_size=3,
            has_key=False,
            norms=('batch',),
            batches=(64, 256),
        ),
        Preset('exact', norms=('image',), batches=(1, 16)),
    )
}


def check_preset(name: str) -> Preset:
    """The preset of a name.

    Args:
        name (str): One of :data:`PRESETS`.

    Returns:
        Preset: It.

    Raises:
        ValueError: There is none; names those that there are.
    """
    if name not in PRESETS:
        raise ValueError(
            f'preset must be one of {", ".join(PRESETS)}, got {name!r}'
        )
    return PRESETS[name]


@lru_cache(maxsize=4)
def random_maps(
    preset: Preset, batch: int, device: torch.device, dtype: torch.dtype
) -> Tuple[Tensor, Tensor]:
    """Maps of noise; equal calls give the same tensors, not copies.

    Args:
        preset (Preset): Whose maps.
        batch (int): Images.
        device (torch.device): Where.
        dtype (torch.dtype): Floating.

    Returns:
        tuple[Tensor, Tensor]: Student's, a leaf that takes a gradient, and
        teacher's, both (batch, channels, height, width).
    """
    shape = (batch, preset.channels, *preset.size)
    generator = torch.Generator(device).manual_seed(0)
    student, teacher = (
        torch.randn(shape, generator=generator, device=device).to(dtype)
        for _ in range(2)
    )
    return student.requires_grad_(), teacher
