"""How well label maps agree, class by class."""

from typing import Dict, List, Optional, Sequence

import numpy as np

#: Label of pixels that count nowhere.
IGNORED = 255
#: Of :func:`verdicts`, in their order: what is said of a pixel, its colour.
VERDICTS: Dict[str, str] = {
    'change: both wrong': '#3d3d42',
    'change: only {first} right': '#e69f00',
    'change: only {last} right': '#2f7fc1',
    'change: both right': '#e9e9ec',
    'change: not counted': '#ffffff',
}


def class_ious(
    predictions: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    count: int,
) -> List[Optional[float]]:
    """Intersection over union of each class, over all images together.

    Args:
        predictions (Sequence[np.ndarray]): (H, W) classes of each image.
        references (Sequence[np.ndarray]): What they are compared with; 255
            is left out.
        count (int): Number of classes.

    Returns:
        list[float | None]: In [0, 1] for each class; None for one that is
        in neither.
    """
    both, either = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for prediction, reference in zip(predictions, references):
        counted = reference != IGNORED
        predicted, wanted = prediction[counted], reference[counted]
        hits = np.bincount(wanted[predicted == wanted], minlength=count)
        sizes = np.bincount(predicted, minlength=count) + np.bincount(
            wanted, minlength=count
        )
        both += hits[:count]
        either += (sizes - hits)[:count]
    return [
        float(hit / union) if union else None
        for hit, union in zip(both, either)
    ]


def mean_of(values: Sequence[Optional[float]]) -> Optional[float]:
    """The mean of what is known.

    Args:
        values (Sequence[float | None]): Of classes.

    Returns:
        float | None: None where nothing is.
    """
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def verdicts(
    first: np.ndarray, last: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Who of two is right, pixel by pixel.

    Args:
        first (np.ndarray): (H, W) classes.
        last (np.ndarray): (H, W) classes.
        reference (np.ndarray): (H, W) classes; 255 is left out.

    Returns:
        np.ndarray: (H, W), int64, index into :data:`VERDICTS`.
    """
    right = (first == reference).astype(np.int64)
    right += 2 * (last == reference)
    return np.where(reference == IGNORED, 4, right)
