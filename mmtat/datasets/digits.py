"""Handwritten digits as a classification data set that nobody downloads."""

from typing import Any, Dict, List, Optional

import cv2
import numpy as np
from mmpretrain.datasets import BaseDataset

from mmtat.registry import DATASETS

from .scenes import DIGIT_SHARES, split_digits

#: Label of an image without one: what PyTorch's cross-entropy leaves out.
UNLABELLED = -100
#: Side of an image in pixels; scikit-learn's have 8.
SIDE = 32


@DATASETS.register_module()
class Digits(BaseDataset):
    """scikit-learn's 1797 handwritten digits, enlarged to 32x32.

    The images, 8x8 in 17 greys (UCI Optical Recognition of Handwritten
    Digits), come with scikit-learn. A sample holds ``img``, (32, 32, 3) uint8
    with three equal channels, and ``gt_label``, 0 to 9, so that a pipeline
    needs no loading. The splits are those whose digits the digit scenes of
    seed 0 show: 1078 images to train, 270 to tune, 449 to validate on.

    Args:
        split (str): 'train', 'tuning' or 'val'.
        labelled (float, optional): Share of the training images that keep
            their label, in (0, 1]; the others get -100, for which
            cross-entropy is 0 but still averages over the whole batch. A
            larger share adds to the labels of a smaller one. Defaults to
            None, all.
        only (str, optional): 'labelled' or 'unlabelled' leaves the other
            training images out; needs ``labelled``. Defaults to None.
        **kwargs: ``pipeline`` and what else mmpretrain's ``BaseDataset``
            takes, but files: there are none.

    Raises:
        ValueError: An argument is out of its range or does not fit the
            split.
    """

    METAINFO = {'classes': tuple('0123456789')}

    def __init__(
        self,
        split: str,
        labelled: Optional[float] = None,
        only: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        _check(split, labelled, only)
        self.split = split
        self.labelled = labelled
        self.only = only
        # So small that copies for workers cost less than serializing does.
        kwargs.setdefault('serialize_data', False)
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> List[Dict]:
        """Enlarge the images of the split.

        Returns:
            list[dict]: ``img``, ``gt_label`` and ``img_path``, a name that is
            no file, of each, in random order that is always the same.
        """
        images, labels = split_digits(seed=0)[self.split]
        labels = labels.copy()
        kept = len(labels)
        if self.labelled is not None:
            kept = max(1, round(self.labelled * kept))
        labels[kept:] = UNLABELLED
        chosen = {
            None: slice(None),
            'labelled': slice(kept),
            'unlabelled': slice(kept, None),
        }[self.only]
        return [
            dict(
                img=_enlarge(images[number]),
                gt_label=int(labels[number]),
                img_path=f'{self.split}_{number:04d}',
            )
            for number in range(len(images))[chosen]
        ]

    def extra_repr(self) -> List[str]:
        """What ``repr`` says of the data set.

        Returns:
            list[str]: A line for each argument.
        """
        return [
            f'{name}: \t{getattr(self, name)}'
            for name in ('split', 'labelled', 'only')
        ]


def _enlarge(image: np.ndarray) -> np.ndarray:
    """(8, 8) float32 in [0, 1] -> (SIDE, SIDE, 3) uint8."""
    # A cubic overshoots the range of what it interpolates.
    large = cv2.resize(
        image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    ).clip(0, 1)
    grey = (large * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _check(split: str, labelled: Optional[float], only: Optional[str]) -> None:
    if split not in DIGIT_SHARES:
        raise ValueError(
            f'split must be one of {", ".join(DIGIT_SHARES)}, got {split!r}'
        )
    if labelled is None:
        if only is not None:
            raise ValueError(
                f'only={only!r} needs labelled, the share of the training '
                'images that keep their label'
            )
        return
    if split != 'train':
        raise ValueError(
            f'labelled is for the split train alone, got {labelled!r} for '
            f'{split!r}'
        )
    is_number = isinstance(labelled, (int, float))
    if isinstance(labelled, bool) or not is_number or not 0 < labelled <= 1:
        raise ValueError(
            f'labelled must be a number in (0, 1], got {labelled!r}'
        )
    if only not in (None, 'labelled', 'unlabelled'):
        raise ValueError(
            f"only must be 'labelled', 'unlabelled' or None, got {only!r}"
        )
