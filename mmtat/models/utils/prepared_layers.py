"""Layers of a frozen teacher, with weights that are made ready for them."""

import contextlib
from typing import Any, Callable, Collection, Dict, Iterator, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .norm_watch import CONVOLUTIONS, can_fold, is_plain

Weights = Tuple[Tensor, Optional[Tensor]]

#: Layers whose weights autocast casts.
_CAST = (*CONVOLUTIONS, nn.Linear)


class Scratch:
    """One buffer for weights that are needed for one call each.

    A fresh tensor of megabytes costs a CPU more than what is written to it.
    Between the forwards of the teacher, when the student's graph is there,
    it is given back: it is as large as the largest layer.
    """

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def like(self, weight: Tensor, channels_last: bool) -> Tensor:
        """A tensor to write to; it is good until the next call.

        Args:
            weight (Tensor): Of any shape and floating dtype.
            channels_last (bool): Memory format of 4-dimensional ones.

        Returns:
            Tensor: Of its shape, dtype and device, uninitialised.
        """
        buffer = self._buffer
        fits = buffer.dtype == weight.dtype and buffer.device == weight.device
        if not fits or buffer.numel() < weight.numel():
            self._buffer = buffer = weight.new_empty(weight.numel())
        buffer = buffer[: weight.numel()]
        if not channels_last or weight.dim() != 4:
            return buffer.view(weight.shape)
        out, into, height, width = weight.shape
        # (O, H, W, I) -> (O, I, H, W)
        return buffer.view(out, height, width, into).permute(0, 3, 1, 2)

    def release(self) -> None:
        """Give the buffer back, until the next call."""
        self._buffer = torch.empty(0)


class PreparedLayer:
    """Computes a convolution or a linear layer, and the norm behind it.

    The layer stays as it is, and this follows its weights: the layer may
    be loaded again, or moved. What the norm does is folded into the weights
    in each call, without keeping a second copy of them; in half precision
    they are kept in it, where autocast would cast them in each call.

    Args:
        layer (nn.Module): A convolution or a linear layer.
        norm (nn.Module, optional): The batch norm behind it.
        scratch (Scratch): Shared by the layers of a model.
    """

    def __init__(
        self, layer: nn.Module, norm: Optional[nn.Module], scratch: Scratch
    ) -> None:
        self.layer = layer
        self.norm = norm
        self.channels_last = False
        self._scratch = scratch
        self._kept: Optional[Weights] = None
        self._key: Any = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """The layer's output, or that of its norm.

        Args:
            inputs (Tensor): What the layer takes.

        Returns:
            Tensor: What the last of them gives.
        """
        weight, bias = self._weights()
        if isinstance(self.layer, nn.Linear):
            return F.linear(inputs, weight, bias)
        return self.layer._conv_forward(inputs, weight, bias)

    def _weights(self) -> Weights:
        if torch.compiler.is_compiling():
            return self._plain()
        weight = self.layer.weight
        dtype = autocast_dtype(weight)
        if dtype != weight.dtype:
            return self._in_half_precision(dtype)
        self._kept = self._key = None
        if self.norm is None:
            return self._plain()
        return self._folded(self._scratch.like(weight, self.channels_last))

    def _in_half_precision(self, dtype: torch.dtype) -> Weights:
        parts = [self.layer]
        if self.norm is not None:
            parts.append(self.norm)
        tensors = [
            tensor
            for part in parts
            for tensor in (*part.parameters(False), *part.buffers(False))
        ]
        key = [(id(t), t.data_ptr(), t._version) for t in tensors]
        key += [dtype, self.channels_last]
        if key != self._key:
            weight, bias = self._plain()
            layout = torch.preserve_format
            if self.channels_last and weight.dim() == 4:
                layout = torch.channels_last
            self._kept = (
                weight.detach().to(dtype, memory_format=layout),
                None if bias is None else bias.detach().to(dtype),
            )
            self._key = key
        return self._kept

    def _plain(self) -> Weights:
        if self.norm is None:
            return self.layer.weight, self.layer.bias
        return self._folded()

    def _folded(self, out: Optional[Tensor] = None) -> Weights:
        weight, bias, norm = self.layer.weight, self.layer.bias, self.norm
        # A norm in half precision computes in float32 inside.
        dtype = torch.promote_types(weight.dtype, torch.float32)
        mean, variance = norm.running_mean.to(dtype), norm.running_var
        scale = torch.rsqrt(variance.to(dtype) + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = (-mean if bias is None else bias - mean) * scale
        if norm.bias is not None:
            shift = shift + norm.bias
        # (O, ) -> (O, 1, 1, 1)
        factor = scale.view(-1, *[1] * (weight.dim() - 1))
        folded = torch.mul(weight, factor, out=out)
        return folded.to(weight.dtype), shift.to(weight.dtype)


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype that autocast now computes in; it leaves float64 alone.

    Args:
        tensor (Tensor): Any shape; an argument of the computation.

    Returns:
        torch.dtype: The tensor's own, without autocast.
    """
    kind = tensor.device.type
    if tensor.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return tensor.dtype


class PreparedLayers:
    """The layers of a model that are prepared, and forwards that use them.

    Args:
        pairs (dict[str, str]): Names of convolutions to those of the norms
            that are folded into them.
        called (Collection[str]): Names of the modules that run.
    """

    def __init__(self, pairs: Dict[str, str], called: Collection[str]) -> None:
        self._pairs = pairs
        self._called = called
        self._scratch = Scratch()
        self._layers: Dict[str, PreparedLayer] = {}

    def forwards(
        self, model: nn.Module, is_half: bool, channels_last: bool
    ) -> Dict[nn.Module, Callable]:
        """Forwards of what is prepared in one run.

        Args:
            model (nn.Module): As it is now, with its hooks.
            is_half (bool): Whether it runs in half precision.
            channels_last (bool): Memory format of the inputs.

        Returns:
            dict[nn.Module, Callable]: See :func:`with_forwards`.
        """
        modules = dict(model.named_modules())
        norms = {
            name: modules[norm]
            for name, norm in self._pairs.items()
            if can_fold(modules.get(name), modules.get(norm))
        }
        names = {*norms}
        if is_half:
            names |= {
                name
                for name in modules
                if name in self._called and is_plain(modules[name], _CAST)
            }
        forwards: Dict[nn.Module, Callable] = dict.fromkeys(
            norms.values(), _same
        )
        for name in names:
            layer = modules[name]
            forwards[layer] = self._prepared(name, layer, norms.get(name))
        self.set_channels_last(channels_last)
        return forwards

    def set_channels_last(self, channels_last: bool) -> None:
        """Let weights be laid out as maps are.

        Args:
            channels_last (bool): Memory format of the inputs.
        """
        for layer in self._layers.values():
            layer.channels_last = channels_last

    def release(self) -> None:
        """Give back what is only needed while the model runs."""
        self._scratch.release()

    def _prepared(
        self, name: str, layer: nn.Module, norm: Optional[nn.Module]
    ) -> PreparedLayer:
        kept = self._layers.get(name)
        if kept is None or kept.layer is not layer or kept.norm is not norm:
            kept = PreparedLayer(layer, norm, self._scratch)
            self._layers[name] = kept
        return kept


def _same(feature: Tensor) -> Tensor:
    return feature


@contextlib.contextmanager
def with_forwards(forwards: Dict[nn.Module, Callable]) -> Iterator[None]:
    """Let modules compute something else; hooks stay, and all else.

    Args:
        forwards (dict[nn.Module, Callable]): In the place of their
            ``forward``.
    """
    for module, forward in forwards.items():
        module.__dict__['forward'] = forward
    try:
        yield
    finally:
        for module in forwards:
            module.__dict__.pop('forward', None)
