"""Passes over a batch, some images at a time, that add up gradients."""

from itertools import compress
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from .embedding import Statistics, mean_and_var

#: Losses of some images, each a mean over them, by the maps of student and
#: teacher and the statistics of what is observed.
Compute = Callable[[Tensor, Tensor, List[Statistics]], Sequence[Tensor]]


class ImagePass:
    """Takes any losses and their gradients, some images at a time.

    Args:
        compute (Callable): Takes maps of some images, (b, Cs, Hs, Ws) and
            (b, Ct, Ht, Wt), and a list of :data:`Statistics`; returns
            scalars, each a mean over these images.
        parameters (Sequence[Tensor]): Leaves that get a gradient.
        images (int): At a time, from 1 on.
        observe (Callable, optional): Takes the maps of some images; returns
            those (b, C, H, W) that are normalised over the whole batch.
        remember (Callable, optional): Takes the list of the statistics once
            in each forward.
    """

    def __init__(
        self,
        compute: Compute,
        parameters: Sequence[Tensor],
        images: int,
        observe: Optional[Callable[[Tensor, Tensor], List[Tensor]]] = None,
        remember: Optional[Callable[[List[Statistics]], None]] = None,
    ) -> None:
        self.compute = compute
        self.parameters = list(parameters)
        self.images = images
        self.observe = observe
        self.remember = remember

    def run(
        self,
        student: Tensor,
        teacher: Tensor,
        needs: Sequence[bool],
        scale: Union[float, Tensor] = 1.0,
        outer: Optional[Sequence[Optional[Tensor]]] = None,
    ) -> Tuple[List[Tensor], List[Optional[Tensor]]]:
        """Losses, and the gradients of their sum.

        Args:
            student (Tensor): (B, Cs, Hs, Ws).
            teacher (Tensor): (B, Ct, Ht, Wt).
            needs (Sequence[bool]): Whether the student's map, and each of
                the parameters, gets a gradient.
            scale (float | Tensor): Of the gradients, against underflow.
            outer (Sequence[Tensor | None], optional): Weights of the losses
                in the sum; None for those that are not in it.

        Returns:
            tuple[list[Tensor], list[Tensor | None]]: The losses as means
            over the batch; the gradients, in the order of ``needs``.
        """
        statistics = self._statistics(student, teacher)
        if outer is None and statistics:
            self.remember(statistics)
        leaves = [one.requires_grad_() for pair in statistics for one in pair]
        trained = [p for p, need in zip(self.parameters, needs[1:]) if need]
        sums = _Sums(student if needs[0] else None, [*trained, *leaves])
        values: List[Tensor] = []
        for part, own, other, share in self._parts(student, teacher, needs):
            with torch.enable_grad():
                parts = self.compute(own, other, statistics)
                total = _weighted(parts, outer) * (share * scale)
            sums.add([total], part, own)
            parts = [value.detach() * share for value in parts]
            values = [a + b for a, b in zip(values, parts)] or parts
        if statistics:
            outside = sums.forget(len(trained))
            for part, own, other, share in self._parts(
                student, teacher, needs
            ):
                with torch.enable_grad():
                    observed = self.observe(own, other)
                slopes = _through(observed, statistics, outside, share)
                kept = [one.requires_grad for one in observed]
                sums.add(
                    list(compress(observed, kept)),
                    part,
                    own,
                    list(compress(slopes, kept)),
                )
        found = iter(sums.shared)
        return values, [
            sums.student,
            *(next(found) if need else None for need in needs[1:]),
        ]

    def _parts(
        self, student: Tensor, teacher: Tensor, needs: Sequence[bool]
    ) -> Iterator[Tuple[slice, Tensor, Tensor, float]]:
        """Some images at a time: where, both maps, share of the batch."""
        for start in range(0, len(student), self.images):
            part = slice(start, start + self.images)
            own = student[part].detach().requires_grad_(needs[0])
            yield part, own, teacher[part], len(own) / len(student)

    @torch.no_grad()
    def _statistics(
        self, student: Tensor, teacher: Tensor
    ) -> List[Statistics]:
        """Mean and variance of what is observed, over all images."""
        if self.observe is None:
            return []
        shares, pairs = [], []
        for _, own, other, share in self._parts(student, teacher, [False]):
            shares.append(share)
            pairs.append(
                [mean_and_var(one) for one in self.observe(own, other)]
            )
        return [_merged(shares, own) for own in zip(*pairs)]


class _Sums:
    """Gradients added up over the parts."""

    def __init__(
        self, student: Optional[Tensor], leaves: List[Tensor]
    ) -> None:
        self.student = None if student is None else torch.empty_like(student)
        self.leaves = leaves
        self.shared = [torch.zeros_like(leaf) for leaf in leaves]
        self._begun = 0

    def add(
        self,
        outputs: Sequence[Tensor],
        part: slice,
        own: Tensor,
        slopes: Optional[Sequence[Tensor]] = None,
    ) -> None:
        """Add gradients of outputs, which are of the images ``own``."""
        if not outputs:
            return
        targets = (
            [*self.leaves] if self.student is None else [own, *self.leaves]
        )
        gradients = list(
            torch.autograd.grad(outputs, targets, slopes, allow_unused=True)
        )
        if self.student is not None:
            self._add_student(part, gradients.pop(0))
        for total, gradient in zip(self.shared, gradients):
            if gradient is not None:
                total += gradient

    def forget(self, count: int) -> List[Tensor]:
        """Drop all leaves after the first ``count``; return their sums."""
        dropped = self.shared[count:]
        del self.leaves[count:], self.shared[count:]
        return dropped

    def _add_student(self, part: slice, gradient: Optional[Tensor]) -> None:
        # The first to come to an image has nothing to be added to.
        if part.start >= self._begun:
            self._begun = part.stop
            if gradient is None:
                self.student[part] = 0
            else:
                self.student[part] = gradient
        elif gradient is not None:
            self.student[part] += gradient


def _weighted(
    values: Sequence[Tensor], weights: Optional[Sequence[Optional[Tensor]]]
) -> Tensor:
    if weights is None:
        return sum(values)
    return sum(v * w for v, w in zip(values, weights) if w is not None)


def _merged(shares: Sequence[float], pairs: Sequence[Statistics]):
    """Statistics of the batch from those of its parts."""
    mean = sum(share * own for share, (own, _) in zip(shares, pairs))
    var = sum(
        share * (own_var + (own - mean).square())
        for share, (own, own_var) in zip(shares, pairs)
    )
    return mean, var


@torch.no_grad()
def _through(
    observed: Sequence[Tensor],
    statistics: Sequence[Statistics],
    outside: Sequence[Tensor],
    share: float,
) -> List[Tensor]:
    """The gradients that come through mean and variance of the batch.

    Args:
        observed (Sequence[Tensor]): (b, C, H, W) each.
        statistics (Sequence[Statistics]): Of the batch.
        outside (Sequence[Tensor]): Gradients of means and variances in turn.
        share (float): Of these images in the batch.

    Returns:
        list[Tensor]: (b, C, H, W) each.
    """
    slopes = []
    for index, (one, (mean, _)) in enumerate(zip(observed, statistics)):
        part = share / one[:, 0].numel()
        to_mean, to_var = outside[2 * index : 2 * index + 2]
        factor = 2 * part * to_var
        shift = part * to_mean - factor * mean
        # (C,) -> (C, 1, 1)
        slope = torch.addcmul(
            shift[:, None, None], one, factor[:, None, None].to(one.dtype)
        )
        slopes.append(slope.to(one.dtype))
    return slopes
