"""What a dataset's pipeline takes its files for."""

from dataclasses import dataclass
from typing import Any, List, Optional

from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine.dataset import BaseDataset

#: What mmsegmentation's losses and metrics leave out.
IGNORED = 255
#: What PyTorch's cross-entropy leaves out.
UNLABELLED = -100


@dataclass
class Expected:
    """How a dataset's samples are read, and what their labels may be.

    Args:
        image (LoadImageFromFile, optional): The transform that reads images;
            None where the pipeline has none.
        mask (LoadAnnotations, optional): The transform that reads masks.
        classes (int, optional): Their number, where the dataset names them.
        ignored (int): The label of pixels that are left out.
    """

    image: Optional[LoadImageFromFile]
    mask: Optional[LoadAnnotations]
    classes: Optional[int]
    ignored: int = IGNORED

    @property
    def is_colour(self) -> bool:
        """Whether images are turned into three channels of 8 bits."""
        flag = getattr(self.image, 'color_type', 'color')
        decoder = getattr(self.image, 'imdecode_backend', 'cv2')
        return flag.startswith('color') and decoder != 'tifffile'

    @property
    def labels(self) -> str:
        """The labels that there may be, in words."""
        return f'0 to {(self.classes or 0) - 1}, and {self.ignored} to ignore'


def expected_of(dataset: BaseDataset) -> Expected:
    """How a dataset reads its samples.

    Args:
        dataset (BaseDataset): Of mmengine, mmsegmentation or mmpretrain; no
            wrapper.

    Returns:
        Expected: Of its pipeline and its classes.
    """
    transforms = getattr(dataset.pipeline, 'transforms', [])
    images = [
        t
        for t in transforms
        # Its subclass takes arrays.
        if isinstance(t, LoadImageFromFile)
        and 'NDArray' not in type(t).__name__
    ]
    masks = [
        t for t in transforms if isinstance(t, LoadAnnotations) and t.with_seg
    ]
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    return Expected(
        image=_first(images),
        mask=_first(masks),
        classes=len(classes) if isinstance(classes, (list, tuple)) else None,
        ignored=getattr(dataset, 'ignore_index', IGNORED),
    )


def _first(items: List[Any]) -> Optional[Any]:
    return items[0] if items else None
