"""Running a model on an image of zeros, to see what its layers give."""

import contextlib
from typing import Any, Iterator, Optional, Tuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

DEFAULT_SIZE = (224, 224)


def input_size(model: nn.Module) -> Tuple[Tuple[int, int], bool]:
    """Height and width of a model's training input, and if they are known.

    Args:
        model (nn.Module): With a ``data_preprocessor`` that has a ``size``,
            or a backbone that has an ``img_size``; else 224x224 is assumed.

    Returns:
        tuple[tuple[int, int], bool]: (height, width) in pixels, known.
    """
    size = getattr(getattr(model, 'data_preprocessor', None), 'size', None)
    if size is None:
        size = getattr(getattr(model, 'backbone', None), 'img_size', None)
    if size is None:
        return DEFAULT_SIZE, False
    if isinstance(size, int):
        size = (size, size)
    return (int(size[0]), int(size[1])), True


def run_model(
    model: nn.Module,
    inputs: Tensor,
    data_samples: Any = None,
    heads: Optional[Tuple[str, ...]] = None,
    calls_heads: bool = True,
) -> None:
    """Run a model's layers without its losses or its predictions.

    Args:
        model (nn.Module): A :class:`BaseModel`.
        inputs (Tensor): (N, C, H, W), preprocessed images.
        data_samples (list, optional): Passed on to ``mode='tensor'``.
        heads (tuple[str], optional): Run ``extract_feat`` and these heads
            in the place of ``mode='tensor'``, which leaves auxiliary heads
            out.
        calls_heads (bool): Whether the heads are called as modules, with
            their hooks, or by ``forward`` as mmsegmentation does. Defaults
            to True.
    """
    if heads is None:
        model(inputs, data_samples, mode='tensor')
        return
    features = model.extract_feat(inputs)
    for name in heads:
        head = getattr(model, name)
        for part in head if isinstance(head, nn.ModuleList) else [head]:
            (part if calls_heads else part.forward)(features)


@contextlib.contextmanager
def zero_image(
    model: nn.Module, size: Tuple[int, int], fake: bool
) -> Iterator[Tensor]:
    """An image of zeros to run a model on, which leaves no trace.

    In the block the model is in eval mode and builds no graph; training
    flags and random state return with its end.

    Args:
        model (nn.Module): It.
        size (tuple[int, int]): Height and width of the image.
        fake (bool): Whether tensors have shapes but no values, so that
            nothing is computed. Some models cannot run so.

    Yields:
        Tensor: (1, C, H, W), on the model's device; C is what its first
        convolution takes.
    """
    channels = next(
        (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3
    )
    device = next((p.device for p in model.parameters()), None)
    mode = (
        FakeTensorMode(allow_non_fake_inputs=True)
        if fake
        else contextlib.nullcontext()
    )
    with _undisturbed(model), mode:
        yield torch.zeros(1, channels, *size, device=device)


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; training flags and random state return."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in flags:
            module.training = training
