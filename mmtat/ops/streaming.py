"""Losses whose gradients are taken in the forward, some images at a time."""

from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from .embedded_pass import EmbeddedPass
from .image_pass import ImagePass

#: Bytes of an image's map from which its losses are streamed: below, what
#: they keep is little beside the networks.
_LARGE = 2**20
#: Bytes of maps at a time: on a CPU more would leave its caches.
_AT_A_TIME = dict(cpu=2**24)


def is_large(feature: Tensor) -> bool:
    """Whether losses of a map are worth to be streamed.

    Args:
        feature (Tensor): (B, C, H, W).

    Returns:
        bool: From 1 MiB for an image on.
    """
    return feature[0].numel() * feature.element_size() >= _LARGE


def images_at_a_time(feature: Tensor) -> int:
    """How many images to take together.

    Args:
        feature (Tensor): (B, C, H, W).

    Returns:
        int: From 1 on; maps of 16 MiB on a CPU, of 64 MiB elsewhere.
    """
    size = feature[0].numel() * feature.element_size()
    return max(1, _AT_A_TIME.get(feature.device.type, 2**26) // size)


class HalfScale:
    """Scale of gradients in float16, halved after a step that overflows.

    Gradients of a mean would vanish in float16, and those of a large loss
    overflow by the scale that saves them. A ``GradScaler`` cannot know, as
    it comes after these were taken; like its steps, those that overflow are
    lost. No value is read, for which a GPU would have to wait.
    """

    def __init__(self) -> None:
        self._value: Optional[Tensor] = None

    def on(self, device: torch.device) -> Tensor:
        """The scale now.

        Args:
            device (torch.device): Where it is needed.

        Returns:
            Tensor: A float32 scalar, from 1 to 65536.
        """
        if self._value is None or self._value.device != device:
            self._value = torch.full((), 2.0**16, device=device)
        return self._value

    def settle(self, gradients: Sequence[Optional[Tensor]]) -> None:
        """Halve it where a gradient is not finite.

        Args:
            gradients (Sequence[Tensor | None]): By the scale.
        """
        largest = [
            torch.linalg.vector_norm(gradient, float('inf')).float()
            for gradient in gradients
            if gradient is not None
        ]
        lower = (self._value / 2).clamp_min(1)
        is_finite = torch.stack(largest).isfinite().all()
        self._value = torch.where(is_finite, self._value, lower)


@torch.compiler.disable
def streamed_losses(
    images: Union[ImagePass, EmbeddedPass],
    student: Tensor,
    teacher: Tensor,
    half_scale: Optional[HalfScale] = None,
) -> Tuple[Tensor, ...]:
    """Take losses and their gradients of a few images at a time.

    What the losses keep for their backward lives for these images alone;
    what stays is one gradient of the student's map, of the sum of the
    losses. Where the backward asks for other than equal parts of them, or
    comes again, the losses are computed again; on another device than the
    CPU unequal parts of all are an assertion of the device, as to look at
    them would stop its queue.

    Args:
        images (ImagePass | EmbeddedPass): What is computed.
        student (Tensor): (B, Cs, Hs, Ws), any floating dtype.
        teacher (Tensor): (B, Ct, Ht, Wt); gets no gradient.
        half_scale (HalfScale, optional): Kept from step to step; by default
            one of this step alone.

    Returns:
        tuple[Tensor]: The scalars as means over the batch.

    Raises:
        RuntimeError: In a backward with ``create_graph=True``.
    """
    half_scale = half_scale or HalfScale()
    return _Streamed.apply(
        images, half_scale, student, teacher, *images.parameters
    )


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Union[ImagePass, EmbeddedPass],
        half_scale: HalfScale,
        student: Tensor,
        teacher: Tensor,
        *parameters: Tensor,
    ) -> Tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.images = images
        device = student.device.type
        ctx.autocast = dict(
            device_type=device,
            enabled=torch.is_autocast_enabled(device),
            dtype=torch.get_autocast_dtype(device),
        )
        dtypes = [student.dtype, ctx.autocast['dtype']]
        is_half = torch.float16 in dtypes[: 1 + ctx.autocast['enabled']]
        ctx.scale = half_scale.on(student.device) if is_half else 1.0
        ctx.save_for_backward(student, teacher, *parameters)
        values, ctx.gradients = images.run(
            student, teacher, _needs(ctx), ctx.scale
        )
        if is_half:
            half_scale.settle(ctx.gradients)
        return tuple(values)

    @staticmethod
    @torch.compiler.disable
    def backward(ctx: Any, *outer: Optional[Tensor]) -> Tuple:
        if torch.is_grad_enabled():
            raise RuntimeError(
                'streamed losses have no second derivative, as their first '
                'is taken in the forward: set stream=False'
            )
        gradients, ctx.gradients = ctx.gradients, None
        factor = _common(outer)
        if gradients is None or factor is None:
            student, teacher, *_ = ctx.saved_tensors
            with torch.autocast(**ctx.autocast):
                _, gradients = ctx.images.run(
                    student, teacher, _needs(ctx), ctx.scale, outer
                )
            factor = 1.0
        factor = factor / ctx.scale
        for gradient in gradients:
            if gradient is not None:
                gradient.mul_(factor)
        student, *parameters = gradients
        return None, None, student, None, *parameters


def _needs(ctx: Any) -> List[bool]:
    """Whether the student's map, and each parameter, gets a gradient."""
    _, _, student, _, *parameters = ctx.needs_input_grad
    return [student, *parameters]


def _common(outer: Sequence[Optional[Tensor]]) -> Optional[Tensor]:
    """The gradient that all losses get, or None where they differ."""
    first = outer[0]
    if any(gradient is None for gradient in outer):
        return None
    if len(outer) == 1:
        return first
    same = (torch.stack(list(outer)) == first).all()
    if first.device.type == 'cpu':
        return first if bool(same) else None
    torch._assert_async(
        same,
        'the losses of a TaT layer were weighted unequally after the '
        'forward: set their loss_weight, or stream=False',
    )
    return first
