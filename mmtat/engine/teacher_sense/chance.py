"""What a prediction without looking would score, beside a teacher's metric."""

from typing import Any, Dict, Iterable, Optional, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor

#: Up to this multiple of what a constant prediction scores ...
_MULTIPLE = 1.5
#: ... and up to this part of the way from there to 100 a metric is near it:
#: the first decides for many classes, the second for two.
_WAY = 0.1
#: Labels to a class from which on the share of the largest is no accident.
_ENOUGH = 10
#: Metrics in percent that are judged, by the last part of their names.
_ACCURACY, _MEAN_IOU, _PIXELS = 'top1', 'mIoU', 'aAcc'


class ChanceLevel:
    """Counts labels, to know what one and the same prediction would score.

    That is the least that a teacher must beat. Of classification it is the
    share of the largest class, of segmentation (mIoU) that share over the
    number of classes, as all the others have an IoU of 0.

    Args:
        classes (Sequence[str]): Names of the classes; empty where they are
            not known, and nothing is judged.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.counts = torch.zeros(len(self.classes), dtype=torch.long)
        self.images = torch.zeros((), dtype=torch.long)

    def add(self, samples: Iterable[Any]) -> None:
        """Count the labels of some images.

        Args:
            samples (Iterable[BaseDataElement]): Of mmsegmentation or
                mmpretrain; what has no labels counts as none.
        """
        known = len(self.classes)
        for sample in samples if known else ():
            labels = _labels(sample)
            if labels is None:
                continue
            labels = labels.flatten().long()
            labels = labels[(labels >= 0) & (labels < known)]
            self.counts += torch.bincount(labels.cpu(), minlength=known)
            self.images += 1

    def share(self) -> None:
        """Add up what all processes counted; each must call it."""
        all_reduce(self.counts)
        all_reduce(self.images)

    def warning(self, metrics: Dict[str, float]) -> Optional[str]:
        """What to say of a teacher's metrics.

        Args:
            metrics (dict[str, float]): In percent, by their names.

        Returns:
            str | None: With both numbers; None where the teacher knows more
            than its labels' distribution, or nobody can tell.
        """
        values = {name.split('/')[-1]: name for name in metrics}
        if not self.counts.any():
            return None
        if _ACCURACY in values:
            name = values[_ACCURACY]
            return self._of_accuracy(name, metrics[name])
        if _MEAN_IOU in values:
            pixels = metrics.get(values.get(_PIXELS, ''))
            name = values[_MEAN_IOU]
            return self._of_mean_iou(name, metrics[name], pixels)
        return None

    def _of_accuracy(self, name: str, value: float) -> Optional[str]:
        guess = 100 / len(self.classes)
        most = 100 * self._largest_share()
        # The largest of a few labels is no sign of their distribution.
        if self.counts.sum() >= _ENOUGH * len(self.classes) and most > guess:
            words = f'predicting {self._largest()!r} for every image gives'
            return _said(name, value, most, words, self._seen())
        words = f'guessing among {len(self.classes)} classes gives'
        return _said(name, value, guess, words, self._seen())

    def _of_mean_iou(
        self, name: str, value: float, pixels: Optional[float]
    ) -> Optional[str]:
        most = 100 * self._largest_share()
        words = (
            f'predicting {self._largest()!r} everywhere, which {most:.1f} % '
            'of the pixels are, gives'
        )
        everywhere = most / len(self.classes)
        said = _said(name, value, everywhere, words, self._seen())
        # Classes that are not in these images are in no mean.
        here = most / int((self.counts > 0).sum())
        is_no_better = pixels is not None and pixels <= most
        if said is None and is_no_better and value <= here:
            return _text(name, value, here, words, self._seen())
        return said

    def _largest_share(self) -> float:
        return float(self.counts.max() / self.counts.sum())

    def _largest(self) -> str:
        return self.classes[int(self.counts.argmax())]

    def _seen(self) -> str:
        return f'{int(self.images)} images, {len(self.classes)} classes'


def _said(
    name: str, value: float, chance: float, words: str, seen: str
) -> Optional[str]:
    far = min(_MULTIPLE * chance, chance + _WAY * (100 - chance))
    return _text(name, value, chance, words, seen) if value <= far else None


def _text(
    name: str, value: float, chance: float, words: str, seen: str
) -> str:
    return (
        f'The teacher does not know the task: its {name} is {value:.2f}, and '
        f'{words} {chance:.2f} ({seen}). It would distil noise: check '
        'teacher_ckpt, the order of its classes, and its normalisation'
    )


def _labels(sample: Any) -> Optional[Tensor]:
    """(1, H, W) of a map, or (1, ) of an image."""
    maps = getattr(sample, 'gt_sem_seg', None)
    labels = getattr(sample, 'gt_label', None) if maps is None else maps.data
    return labels if isinstance(labels, Tensor) else None
