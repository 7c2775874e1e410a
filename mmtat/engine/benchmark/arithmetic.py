"""The floor of the loss: its arithmetic at the speed of this machine."""

import math
from dataclasses import dataclass
from typing import Any, Callable, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_candidates import LossCandidate
from .presets import Preset

#: Of the images that are embedded together on a CPU.
_POSITIONS = 128 * 128
Product = Tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Arithmetic(LossCandidate):
    """Matrix products and convolutions of both passes and nothing else.

    No norm, no softmax, no pooling, no copy between layouts. A 1x1
    convolution is a product; a larger one is torch's own, which needs fewer
    operations than its products.
    """

    has_memory = False

    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """Matrices and maps, and a function that does the arithmetic."""
        # On a CPU as many images as fit its caches; on a GPU all at once.
        together = batch
        if device.type == 'cpu':
            positions = self.preset.size[0] * self.preset.size[1]
            together = max(1, min(batch, _POSITIONS // positions))
        rounds = math.ceil(batch / together)
        work = self._products(together, device)
        if self.preset.kernel_size > 1:
            work.append(self._convolutions(together, device))

        def step() -> None:
            for _ in range(rounds):
                for function in work:
                    function()

        return step

    def _products(
        self, images: int, device: torch.device
    ) -> List[Callable[[], Any]]:
        found = attention_products(self.preset, images)
        if self.preset.kernel_size == 1:
            found += embedding_products(self.preset, images)
        return [self._product(product, device) for product in found]

    def _product(
        self, product: Product, device: torch.device
    ) -> Callable[[], Any]:
        times, n, a, b, c = product
        left, right, out = (
            torch.randn(n, *shape, device=device, dtype=self.dtype)
            for shape in ((a, b), (b, c), (a, c))
        )

        def multiply() -> None:
            for _ in range(times):
                torch.bmm(left, right, out=out)

        return multiply

    def _convolutions(
        self, images: int, device: torch.device
    ) -> Callable[[], Any]:
        preset = self.preset
        options = dict(device=device, dtype=self.dtype)
        feature = torch.randn(images, preset.channels, *preset.size, **options)
        weight = torch.randn(
            preset.channels,
            preset.channels,
            preset.kernel_size,
            preset.kernel_size,
            **options,
        )
        padding = [preset.kernel_size // 2] * 2

        def backward(of_map: bool) -> Tuple[Tensor, ...]:
            return torch.ops.aten.convolution_backward(
                feature,
                feature,
                weight,
                None,
                [1, 1],
                padding,
                [1, 1],
                False,
                [0, 0],
                1,
                [of_map, True, False],
            )

        def convolve() -> None:
            # The teacher's map takes no gradient.
            for of_map in (True, True, False)[: 2 + preset.has_key]:
                F.conv2d(feature, weight, padding=tuple(padding))
                backward(of_map)

        return convolve


def embedding_products(preset: Preset, images: int = 1) -> List[Product]:
    """The matrix products of the embeddings, both passes.

    Args:
        preset (Preset): The shapes.
        images (int): That are embedded together. Defaults to 1.

    Returns:
        list[tuple]: (how often, n, a, b, c): n products of matrices (a, b)
        and (b, c) each time.
    """
    channels = preset.channels
    positions = preset.size[0] * preset.size[1] * images
    inner = channels * preset.kernel_size**2
    embeddings = 2 + preset.has_key
    return [
        # Forward, gradient of the weight, and, of the student's two, of
        # the map.
        (embeddings, 1, channels, inner, positions),
        (embeddings, 1, channels, positions, inner),
        (2, 1, inner, channels, positions),
    ]


def attention_products(preset: Preset, images: int = 1) -> List[Product]:
    """The matrix products of the branches' attention, both passes.

    Args:
        preset (Preset): The shapes.
        images (int): At a time. Defaults to 1.

    Returns:
        list[tuple]: As of :func:`embedding_products`.
    """
    found = []
    for maps, tokens, width in preset.attentions:
        # Logits and the attention's gradient; then output and the gradients
        # of value, query and, where it is embedded, key.
        found.append((2, maps * images, tokens, width, tokens))
        found.append(
            (3 + preset.has_key, maps * images, tokens, tokens, width)
        )
    return found


def flops_of(preset: Preset) -> int:
    """Floating point operations of all products of one image.

    Args:
        preset (Preset): The shapes.

    Returns:
        int: Multiplications and additions.
    """
    products = embedding_products(preset) + attention_products(preset)
    return sum(2 * t * n * a * b * c for t, n, a, b, c in products)
