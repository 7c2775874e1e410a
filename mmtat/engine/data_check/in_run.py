"""Samples that cannot be trained on: named, counted, bounded."""

from typing import Any, List, Optional

from mmengine.dataset import BaseDataset

from .checked_pipeline import CheckedPipeline
from .fault_record import FaultRecord

#: Share of a dataset that may fail before a run ends.
MOST = 0.001


def check_samples(
    dataset: Any, most: float = MOST, seed: int = 0, name: str = 'dataset'
) -> Optional[FaultRecord]:
    """Let a dataset name and count the samples that fail, within limits.

    What else happens (mmengine 0.10.7, mmcv 2.1.0, mmsegmentation 1.2.2):

    - An exception of the pipeline ends the run with a traceback of the
      worker that names neither the sample nor, if Pillow raises it, the file.
    - A pipeline that returns None makes ``BaseDataset.__getitem__`` take a
      random other sample, up to ``max_refetch`` (1000) times, and say
      nothing. ``LoadImageFromFile(ignore_empty=True)`` returns None for
      whatever it cannot read. Only when all of them fail does it raise
      'Cannot find valid image after 1000!'.
    - OpenCV 4 decodes a JPEG that is cut off, and OpenCV 4 and 5 one whose
      end is zeros: what lacks is grey. They keep the upper 8 of 16 bits, and
      turn CMYK into RGB without its profile.
    - ``LoadAnnotations`` keeps one byte of a label: 300 becomes 44. A mask of
      another size than its image is resized and cropped beside it. A label
      that is no class is an assertion of CUDA, or a wrong loss.

    Here each of them is a fault, found in the worker: a warning names the
    sample, its files, the reason and the sample that is taken in its place.
    That one depends on the seed and on the sample's index alone, so that a
    resumed run takes the same. Headers and last bytes of local files are
    read once, before a sample is first used; labels are compared whenever.
    Once more than ``most`` of the samples failed, the run ends. In a dataset
    of ``test_mode`` the first ends it, as a replacement would change the
    metric; CMYK is only named there, as published metrics are with it.

    Args:
        dataset (Dataset): Changed in place: a ``BaseDataset``, or wrappers
            around several; others in it stay as they are. Its samples are
            those of all of them, each once however often it is repeated.
        most (float): Share of the samples, in [0, 1]. Defaults to 0.001; of
            less than 1000 samples none.
        seed (int): Of the run, at least 0. Defaults to 0.
        name (str): In the messages. Defaults to 'dataset'.

    Returns:
        FaultRecord | None: Of what failed, shared with all workers that are
        started later; None where there is nothing to check.

    Raises:
        ValueError: ``most`` is out of its range.
    """
    checked_share(most)
    leaves = [d for d in leaves_of(dataset) if _is_checkable(d)]
    if not leaves:
        return None
    record = FaultRecord(sum(map(len, leaves)), most, name)
    first = 0
    for leaf in leaves:
        leaf.pipeline = CheckedPipeline(leaf, record, first, seed)
        first += len(leaf)
    return record


def checked_share(most: Any) -> float:
    """A share as it is, if it is one.

    Args:
        most (float): Given by a user.

    Returns:
        float: In [0, 1].

    Raises:
        ValueError: It is no number, or out of its range.
    """
    is_number = isinstance(most, (int, float)) and not isinstance(most, bool)
    if not is_number or not 0 <= most <= 1:
        raise ValueError(f'most must be a share, from 0 to 1, got {most!r}')
    return most


def leaves_of(dataset: Any) -> List[Any]:
    """The datasets inside of wrappers, each once.

    Args:
        dataset (Dataset): A dataset, or a wrapper whose ``dataset`` or
            ``datasets`` it wraps.

    Returns:
        list[Dataset]: In their order; the dataset itself if it is no wrapper.
    """
    if isinstance(dataset, BaseDataset):
        return [dataset]
    inner = getattr(dataset, 'datasets', None)
    if inner is None:
        inner = [dataset.dataset] if hasattr(dataset, 'dataset') else None
    if inner is None:
        return [dataset]
    leaves: List[Any] = []
    for item in inner:
        leaves += [
            d for d in leaves_of(item) if all(d is not x for x in leaves)
        ]
    return leaves


def _is_checkable(leaf: Any) -> bool:
    if not isinstance(leaf, BaseDataset):
        return False
    return not isinstance(leaf.pipeline, CheckedPipeline)
