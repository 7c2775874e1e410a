"""Means over seeds, and whether two methods differ."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean difference and where it lies with 95 % confidence.

    Attributes:
        mean (float): Of the differences.
        low (float): Lower end.
        high (float): Upper end.
        pairs (int): Number of differences.
    """

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def covers_zero(self) -> bool:
        """Whether no difference is among the plausible ones."""
        return self.low <= 0 <= self.high


def mean_and_std(values: Sequence[float]) -> Tuple[float, float]:
    """Mean and sample standard deviation.

    Args:
        values (Sequence[float]): By seed.

    Returns:
        tuple[float, float]: The deviation of one value is nan, and both are
        of none.
    """
    mean = float(np.mean(values)) if len(values) else np.nan
    std = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
    return mean, std


def paired_interval(
    values: Sequence[float],
    baseline: Sequence[float],
    confidence: float = 0.95,
) -> Interval:
    """Confidence interval of the mean of paired differences.

    Student's t, as few seeds leave the deviation uncertain.

    Args:
        values (Sequence[float]): Of a method, by seed.
        baseline (Sequence[float]): Of the baseline, by the same seeds.
        confidence (float): In (0, 1). Defaults to 0.95.

    Returns:
        Interval: Of ``values - baseline``; infinite for one pair.

    Raises:
        ValueError: No pairs, or not as many of one as of the other.
    """
    if len(values) != len(baseline) or not len(values):
        raise ValueError(
            'values and baseline must be of the same seeds, got '
            f'{len(values)} and {len(baseline)}'
        )
    differences = np.subtract(values, baseline)
    count = len(differences)
    mean = float(differences.mean())
    if count == 1:
        return Interval(mean, -np.inf, np.inf, 1)
    error = float(differences.std(ddof=1)) / np.sqrt(count)
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Interval(mean, mean - reach, mean + reach, count)
