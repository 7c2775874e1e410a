"""What computes the loss of a preset, and what is the least that it costs."""

import contextlib
from dataclasses import dataclass
from typing import Any, Callable, ContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.ops import target_aware_loss

from .candidate import Candidate
from .presets import Preset, random_maps
from .released import ReleasedLoss, attention

#: Of the released loss, kept per image: six embedded maps, eight grouped
#: ones, and the output.
_KEPT_MAPS = 15


@dataclass(frozen=True)
class LossCandidate(Candidate):
    """Forward and backward of a loss on maps of noise.

    Attributes:
        name (str): Of its row.
        preset (Preset): The shapes.
        dtype (torch.dtype): Of the maps, and of autocast where that is no
            float32.
    """

    name: str
    preset: Preset
    dtype: torch.dtype = torch.float32

    def load(self, device: torch.device) -> None:
        """Do the same at a size of nothing."""
        kinds = dict(self.__dict__, preset=self.preset.toy())
        with contextlib.suppress(ValueError):
            type(self)(**kinds).build(2, device)()

    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """Maps, weights, and a function of both passes."""
        student, teacher = random_maps(self.preset, batch, device, self.dtype)
        torch.manual_seed(0)
        module = self.module().to(device).train()
        parameters = [student, *module.parameters()]

        def step() -> None:
            for parameter in parameters:
                parameter.grad = None
            with self.autocast(device):
                loss = module(student, teacher)
            sum(loss.values()).backward()

        return step

    def module(self) -> nn.Module:
        """What takes the maps of student and teacher to losses by name."""
        raise NotImplementedError

    def autocast(self, device: torch.device) -> ContextManager:
        """As a training in this dtype would have it."""
        if self.dtype in (torch.float32, torch.float64):
            return contextlib.nullcontext()
        return torch.autocast(device.type, self.dtype)


@dataclass(frozen=True)
class Released(LossCandidate):
    """The released loss, see :class:`ReleasedLoss`."""

    def module(self) -> nn.Module:
        """The plain loss with the preset's own norm."""
        return ReleasedLoss(self.preset, self.preset.norms[0])

    def estimate(self, batch: int) -> int:
        """What is kept for the backward, and three maps of its last step."""
        kept = _KEPT_MAPS * self.preset.map_bytes + self.preset.logits_bytes
        return batch * kept + 2 * self.preset.logits_bytes


@dataclass(frozen=True)
class Layer(LossCandidate):
    """mmtat's :class:`TaTLayer`.

    Attributes:
        norm (str): Of the embeddings.
        backend (str): Of the attention.
    """

    norm: str = 'image'
    backend: str = 'auto'

    def module(self) -> nn.Module:
        """The layer, with the branches of the preset."""
        preset = self.preset
        embedding = dict(kernel_size=preset.kernel_size, norm=self.norm)
        return TaTLayer(
            preset.channels,
            preset.channels,
            formulation='released',
            query=embedding,
            key=embedding if preset.has_key else None,
            value=embedding,
            branches=preset.branches(),
            resize=False,
            backend=self.backend,
        )


@dataclass(frozen=True)
class Operator(LossCandidate):
    """Attention and mean squared error alone, without embeddings.

    Attributes:
        backend (str): mmtat's, or 'eager' for the plainest code there is.
    """

    backend: str = 'eager'

    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """Embedded maps, and a function of both passes."""
        shape = (batch, self.preset.channels, *self.preset.size)
        generator = torch.Generator(device).manual_seed(0)
        query, key, value, target = (
            # Small, so that no row of the attention is one position.
            torch.randn(shape, generator=generator, device=device)
            .mul(0.1)
            .to(self.dtype)
            for _ in range(4)
        )
        leaves = [m.requires_grad_() for m in (query, key, value)]

        def step() -> None:
            for leaf in leaves:
                leaf.grad = None
            self.loss(query, key, value, target).backward()

        return step

    def loss(
        self, query: Tensor, key: Tensor, value: Tensor, target: Tensor
    ) -> Tensor:
        """The loss of maps (B, C, H, W)."""
        if self.backend != 'eager':
            return target_aware_loss(query, key, value, target, self.backend)
        # (B, C, H, W) -> (B, C, L)
        q, k, v, t = (m.flatten(2) for m in (query, key, value, target))
        return F.mse_loss(attention(q, k, v), t.transpose(1, 2))

    def estimate(self, batch: int) -> int:
        """Of the eager form: three attention maps, and the gradients."""
        if self.backend not in ('eager', 'plain'):
            return 0
        preset = self.preset
        return batch * (3 * preset.logits_bytes + 6 * preset.map_bytes)


@dataclass(frozen=True)
class Attention(Operator):
    """The attention's own passes by torch's fused function: a floor."""

    backend: str = 'scaled_dot_product_attention'

    has_memory = False

    def loss(
        self, query: Tensor, key: Tensor, value: Tensor, target: Tensor
    ) -> Tensor:
        """Any scalar: what is measured ends at the attention."""
        # (B, C, H, W) -> (B, 1, L, C), as the fused kernels take it
        q, k, v, t = (
            m.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()
            for m in (query, key, value, target)
        )
        out = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return torch.dot(out.flatten(), t.flatten())
