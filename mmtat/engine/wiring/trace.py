"""Which module made which tensor, found by a run on no data."""

import contextlib
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from mmtat.models.utils.zero_image import run_model, zero_image
from mmtat.ops.tokens import token_map_shape

Size = Tuple[int, int]


@dataclass(frozen=True)
class Call:
    """A call of a module.

    Attributes:
        name (str): Of the module.
        module (nn.Module): It.
        inputs (tuple[Tensor]): Tensors that it was called with.
        output (Tensor | None): What it returned, where that is one tensor.
        map (tuple[int, int, int] | None): Channels, height and width of the
            map that the output is, where it is one of (B, C, H, W) or of
            tokens (B, N, C).
    """

    name: str
    module: nn.Module
    inputs: Tuple[Tensor, ...]
    output: Optional[Tensor]
    map: Optional[Tuple[int, int, int]]

    @property
    def is_tokens(self) -> bool:
        """Whether the map is of tokens."""
        return self.output is not None and self.output.dim() == 3


def trace(model: nn.Module, size: Size) -> List[Call]:
    """Run a model on an image of zeros, and note every module's call.

    Args:
        model (nn.Module): A segmentor or a classifier; not to be used
            further, as modules may keep what they computed.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        list[Call]: In the order in which the calls ended; tensors that are
        the same object are one.

    Raises:
        ValueError: The model cannot run on such an image.
    """
    with contextlib.suppress(Exception):
        return _run(model, size, fake=True)
    try:
        return _run(model, size, fake=False)
    except Exception as error:
        raise ValueError(f'{type(error).__name__}: {error}') from error


def _run(model: nn.Module, size: Size, fake: bool) -> List[Call]:
    calls: List[Call] = []
    handles = [
        module.register_forward_hook(
            _note(calls, name, size), with_kwargs=True
        )
        for name, module in model.named_modules()
        if name
    ]
    try:
        with zero_image(model, size, fake) as image:
            run_model(model, image, calls_heads=False)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _note(calls: List[Call], name: str, size: Size) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        inputs = tuple(
            value
            for value in tree_flatten((args, kwargs))[0]
            if isinstance(value, Tensor)
        )
        if isinstance(output, (tuple, list)) and len(output) == 1:
            output = output[0]
        output = output if isinstance(output, Tensor) else None
        calls.append(Call(name, module, inputs, output, _map(output, size)))

    return hook


def _map(output: Optional[Tensor], size: Size) -> Optional[Tuple]:
    if output is None or not output.is_floating_point():
        return None
    shape = tuple(output.shape)
    if len(shape) == 3 and shape[0] == 1:
        try:
            shape = token_map_shape(shape, size)
        except ValueError:
            return None
    is_map = len(shape) == 4 and shape[0] == 1 and min(shape[2:]) > 1
    return shape[1:] if is_map else None
