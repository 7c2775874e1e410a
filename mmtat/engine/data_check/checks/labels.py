"""Whether labels are of the classes, before a GPU's assertion says so."""

from typing import Any, Optional

import numpy as np
import torch

from .expected import UNLABELLED, Expected


def wrong_pixels(mask: np.ndarray, expected: Expected) -> Optional[str]:
    """What is wrong with a mask as it was loaded.

    Args:
        mask (np.ndarray): (H, W), integers.
        expected (Expected): Of its dataset.

    Returns:
        str | None: The labels that are no class, how often they are there,
        and what there may be.
    """
    if expected.classes is None:
        return None
    labels, counts = _labels(mask)
    is_wrong = (labels < 0) | (labels >= expected.classes)
    is_wrong &= labels != expected.ignored
    if not is_wrong.any():
        return None
    found = ', '.join(map(str, labels[is_wrong][:5]))
    more = ', ...' if is_wrong.sum() > 5 else ''
    return (
        f'label {found}{more} at {counts[is_wrong].sum()} of {mask.size} '
        f'pixels; there may be {expected.labels}'
    )


def is_all_ignored(mask: np.ndarray, expected: Expected) -> bool:
    """Whether no pixel of a mask has a label.

    Args:
        mask (np.ndarray): (H, W), integers.
        expected (Expected): Of its dataset.

    Returns:
        bool: Every pixel has the label to ignore.
    """
    return bool((mask == expected.ignored).all())


def _labels(mask: np.ndarray) -> tuple:
    if mask.dtype != np.uint8:
        return np.unique(mask, return_counts=True)
    # Many times faster than sorting all pixels.
    counts = np.bincount(mask.ravel(), minlength=256)
    labels = np.flatnonzero(counts)
    return labels, counts[labels]


def wrong_label(label: Any, expected: Expected) -> Optional[str]:
    """What is wrong with the label of an image.

    Args:
        label (int | Sequence[int] | np.ndarray | Tensor): One, or several.
        expected (Expected): Of its dataset.

    Returns:
        str | None: The label and what there may be. -100 stands for none.
    """
    if expected.classes is None:
        return None
    if torch.is_tensor(label):
        label = label.numpy()
    array = np.atleast_1d(np.asarray(label))
    if array.dtype.kind not in 'iu':
        return None
    wrong = array[(array < 0) | (array >= expected.classes)]
    wrong = wrong[wrong != UNLABELLED]
    if not wrong.size:
        return None
    return f'label {wrong[0]}; there may be 0 to {expected.classes - 1}'


def wrong_labels_of_packed(sample: Any, expected: Expected) -> Optional[str]:
    """What is wrong with the labels of a sample that a pipeline returned.

    Args:
        sample (dict): Packed, with ``data_samples``, or the results of
            transforms alone, with ``gt_seg_map`` or ``gt_label``.
        expected (Expected): Of its dataset.

    Returns:
        str | None: What :func:`wrong_pixels` or :func:`wrong_label` says;
        None of a sample that holds neither.
    """
    if expected.classes is None or not isinstance(sample, dict):
        return None
    packed = sample.get('data_samples')
    pixels = getattr(getattr(packed, 'gt_sem_seg', None), 'data', None)
    if pixels is None:
        pixels = sample.get('gt_seg_map')
    if pixels is not None:
        return _wrong_tensor(torch.as_tensor(pixels), expected)
    label = getattr(packed, 'gt_label', sample.get('gt_label'))
    return None if label is None else wrong_label(label, expected)


def _wrong_tensor(pixels: torch.Tensor, expected: Expected) -> Optional[str]:
    if pixels.is_floating_point():
        return None
    is_wrong = (pixels < 0) | (pixels >= expected.classes)
    is_wrong &= pixels != expected.ignored
    if not is_wrong.any():
        return None
    return wrong_pixels(pixels.numpy(), expected)
