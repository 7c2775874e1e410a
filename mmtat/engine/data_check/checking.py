"""Samples looked into by several processes."""

import hashlib
import os
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from .checks import FaultyDataError, Finding, findings_of
from .checks.pictures import Unfit, opened
from .sources import Source

#: Samples that a worker takes at a time.
_BATCH = 16


class Checked(NamedTuple):
    """What was found of one sample.

    Args:
        source (int): Number of its dataset.
        index (int): In its dataset.
        findings (list[Finding]): Faults and notes.
        digest (str, optional): Of the image's bytes, where it was asked for.
    """

    source: int
    index: int
    findings: List[Finding]
    digest: Optional[str]


def checked_samples(
    sources: Sequence[Source],
    workers: Optional[int] = None,
    with_digests: bool = False,
) -> Iterator[List[Checked]]:
    """Look into every sample of some datasets.

    Args:
        sources (Sequence[Source]): The datasets.
        workers (int, optional): Processes that read. Defaults to None, one
            for each core; 0 reads in this one.
        with_digests (bool): Whether images are compared by their bytes.
            Defaults to False.

    Yields:
        list[Checked]: Of some samples, in their order.

    Raises:
        ValueError: A file backend's package is not installed.
    """
    samples = _Samples(sources, with_digests)
    if workers is None:
        workers = _cores()
    # A process takes longer to start than to look into a few samples.
    workers = min(workers, len(samples) // _BATCH)
    loader = DataLoader(samples, _BATCH, num_workers=workers, collate_fn=list)
    try:
        yield from loader
    except FaultyDataError as error:
        raise ValueError(str(error)) from None


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Samples(Dataset):
    """Samples of all datasets; to get one is to look into it."""

    def __init__(self, sources: Sequence[Source], with_digests: bool) -> None:
        self._sources, self._with_digests = sources, with_digests
        self._ends = np.cumsum([len(source.dataset) for source in sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, place: int) -> Checked:
        number = int(np.searchsorted(self._ends, place, side='right'))
        source = self._sources[number]
        index = place - int(self._ends[number]) + len(source.dataset)
        info = source.dataset.get_data_info(index)
        findings = findings_of(info, source.expected)
        digest = self._digest(info, source) if self._with_digests else None
        return Checked(number, index, findings, digest)

    def _digest(self, info: Any, source: Source) -> Optional[str]:
        path = info.get('img_path')
        if source.expected.image is None or not isinstance(path, str):
            return None
        try:
            with opened(path, source.expected.image, whole=True) as stream:
                return hashlib.sha256(stream.read()).hexdigest()
        except Unfit:
            return None
