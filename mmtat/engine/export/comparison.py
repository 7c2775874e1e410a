"""Whether what was written computes what the student computes."""

from dataclasses import dataclass
from typing import Callable, Optional

import torch
from torch import Tensor

#: Largest difference allowed, of the largest score's magnitude: rounding of
#: float32 through a deep network, in another order.
TOLERANCE = 1e-4
#: Scores below are taken for this large: the least of 1000 equal classes.
_LEAST = 1e-3


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images.

    Attributes:
        difference (float | None): Largest absolute difference of the scores;
            None where the export gives labels.
        allowed (float): Largest that is taken for rounding.
        others (int): Labels that differ, all between classes whose scores
            are equal but for rounding.
        labels (int): Labels compared.
    """

    difference: Optional[float]
    allowed: float
    others: int
    labels: int

    def __str__(self) -> str:
        """The line that a user reads."""
        equal = 'equal argmax'
        if self.others:
            equal = (
                f'argmax equal in {self.labels - self.others} of '
                f'{self.labels}, tied in the others'
            )
        if self.difference is None:
            return equal
        return f'max abs difference {self.difference:.3g}, {equal}'


@torch.no_grad()
def compare(
    scores: Tensor,
    label: Callable[[Tensor], Tensor],
    exported: Tensor,
    gives_labels: bool,
) -> Comparison:
    """Compare what an export gave with what the student gives.

    Args:
        scores (Tensor): (N, K, ...), of the student.
        label (Callable[[Tensor], Tensor]): From scores to labels (N, ...).
        exported (Tensor): Scores, or labels, of the export.
        gives_labels (bool): Which of the two.

    Returns:
        Comparison: They agree.

    Raises:
        ValueError: They do not; says by how much.
    """
    if not scores.isfinite().all():
        raise ValueError(
            'the student gives values that are no finite numbers; its '
            'weights are of a run that diverged'
        )
    labels = label(scores)
    wanted = labels if gives_labels else scores
    if exported.shape != wanted.shape:
        raise ValueError(
            f'the export gives {tuple(exported.shape)}, the student '
            f'{tuple(wanted.shape)}'
        )
    allowed = TOLERANCE * max(_LEAST, float(scores.abs().max()))
    difference = None
    if not gives_labels:
        difference = float((exported - scores).abs().max())
        if not difference <= allowed:
            raise ValueError(
                f'the export differs from the student by {difference:.3g}, '
                f'and rounding explains {allowed:.3g}'
            )
    found = exported.long() if gives_labels else label(exported)
    others = found != labels
    if others.any() and not _are_tied(scores, found, labels, allowed):
        raise ValueError(
            f'the export predicts another class than the student in '
            f'{int(others.sum())} of {labels.numel()} cases'
        )
    return Comparison(difference, allowed, int(others.sum()), labels.numel())


def _are_tied(
    scores: Tensor, found: Tensor, labels: Tensor, allowed: float
) -> bool:
    """Whether the classes that differ have one score, but for rounding."""
    if scores.shape[1] == 1:
        return False
    if int(found.min()) < 0 or int(found.max()) >= scores.shape[1]:
        return False
    # (N, ...) -> (N, 1, ...)
    first = scores.gather(1, labels.unsqueeze(1))
    second = scores.gather(1, found.unsqueeze(1))
    return bool((first - second).abs().max() <= 2 * allowed)
