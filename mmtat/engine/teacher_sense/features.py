"""Recorded features that hold nothing, seen in the first batch."""

from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import torch
from mmrazor.models.distillers import BaseDistiller
from torch import Tensor
from torch.utils._pytree import tree_flatten

from mmtat.models.utils import module_recorders

#: Share of constant channels from which on they are worth a word.
_MANY = 0.5
#: Values of a channel below which it may be constant by accident.
_FEW = 16
#: In the place of which the look stands for a step.
_COMPUTE = 'compute_distill_losses'


@dataclass
class _Seen:
    """Of one tensor of a layer."""

    role: str
    layer: str
    ranges: Tensor
    values: int
    precision: float


class RecordLook:
    """Looks at what a distiller recorded when it computes its losses.

    What is measured stays on the device, and is read when
    :meth:`warnings` is asked for: no step waits but that one.

    Args:
        distiller (ConfigurableDistiller): Looked at until :meth:`close`.
    """

    def __init__(self, distiller: BaseDistiller) -> None:
        self.distiller = distiller
        self._seen: List[_Seen] = []
        compute = getattr(distiller, _COMPUTE)

        # Compiled, it would be compiled again when it is gone.
        @torch.compiler.disable(recursive=False)
        def look_and_compute() -> Dict[str, Tensor]:
            if not self._seen:
                self._measure()
            return compute()

        setattr(distiller, _COMPUTE, look_and_compute)

    @property
    def has_seen(self) -> bool:
        """Whether losses were computed; not where all weights are 0."""
        return bool(self._seen)

    def close(self) -> None:
        """Leave the distiller as it was."""
        self.distiller.__dict__.pop(_COMPUTE, None)

    def warnings(self) -> List[str]:
        """What to say of the layers; waits for the device.

        Returns:
            list[str]: A line for each layer that holds nothing.
        """
        return [line for seen in self._seen for line in _judged(seen)]

    def _measure(self) -> None:
        known = set()
        for role in ('student', 'teacher'):
            manager = getattr(self.distiller, f'{role}_recorders')
            for recorder in module_recorders(manager).values():
                # The model's own call is recorded for its data samples.
                if recorder.source and (role, recorder.source) not in known:
                    known.add((role, recorder.source))
                    self._note(role, recorder)

    def _note(self, role: str, recorder: Any) -> None:
        for tensor in tree_flatten(recorder.data_buffer[:1])[0]:
            is_feature = isinstance(tensor, Tensor) and tensor.dim() > 1
            if is_feature and tensor.is_floating_point() and tensor.numel():
                ranges = channel_ranges(tensor)
                count = tensor.numel() // ranges.shape[1]
                self._seen.append(
                    _Seen(
                        role,
                        recorder.source,
                        ranges,
                        count,
                        torch.finfo(tensor.dtype).eps,
                    )
                )


@torch.no_grad()
def channel_ranges(feature: Tensor) -> Tensor:
    """The least and the greatest value of each channel of a batch.

    Args:
        feature (Tensor): Map (B, C, H, W), tokens (B, N, C), or vectors
            (B, C), of any floating dtype.

    Returns:
        Tensor: (2, C), float32; float64 for float64.
    """
    channel = feature.dim() - 1 if feature.dim() == 3 else 1
    others = [d for d in range(feature.dim()) if d != channel]
    ranges = torch.stack([feature.amin(others), feature.amax(others)])
    return ranges.to(torch.promote_types(ranges.dtype, torch.float32))


def _judged(seen: _Seen) -> List[str]:
    where = f'the {seen.role} layer {seen.layer!r}'
    lowest, highest = seen.ranges.cpu()
    channels = len(lowest)
    finite = torch.isfinite(lowest) & torch.isfinite(highest)
    broken = channels - int(finite.sum())
    if broken:
        return [
            f'In the first batch {where} holds values that are not finite, '
            f'in {broken} of {channels} channels'
        ]
    if seen.values < 2:
        return []
    largest = torch.maximum(lowest.abs(), highest.abs())
    # Rounding of a norm is no variation.
    constant = highest - lowest <= 4 * seen.precision * largest
    dead = int(((lowest == 0) & (highest == 0)).sum())
    count = int(constant.sum())
    is_all = count == channels
    if not is_all and (count < _MANY * channels or seen.values < _FEW):
        return []
    return [_text(where, seen, (count, channels, dead), lowest)]


def _text(
    where: str, seen: _Seen, counts: Tuple[int, int, int], values: Tensor
) -> str:
    count, channels, dead = counts
    size = f'{seen.values} values each'
    if dead == channels:
        what = f'is 0 everywhere: {channels} channels, {size}'
    elif count == channels:
        what = (
            f'is constant: none of its {channels} channels ({size}) changes, '
            f'from {float(values.min()):.4g} to {float(values.max()):.4g}'
        )
    else:
        what = (
            f'is dead in part: {count} of {channels} channels '
            f'({100 * count / channels:.0f} %, {size}) do not change, and '
            f'{dead} of them are 0'
        )
    return f'In the first batch {where} {what}. {_advice(seen.role)}'


def _advice(role: str) -> str:
    if role == 'teacher':
        return (
            'There is little to be learnt from it: check teacher_ckpt and '
            "the teacher's normalisation, or name another layer"
        )
    return (
        'Little or no gradient reaches the student through it: check its '
        'weights and its normalisation, or name another layer'
    )
