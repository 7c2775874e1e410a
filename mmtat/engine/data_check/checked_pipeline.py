"""A pipeline that gives another sample in the place of one that fails."""

from typing import Any, Dict, Optional

import numpy as np
from mmengine.dataset import BaseDataset, Compose

from .checks import expected_of, findings_of, wrong_labels_of_packed
from .checks.finding import FaultyDataError, Finding, Kind
from .checks.pictures import told
from .fault_record import FaultRecord

#: Samples that are tried in the place of one.
_TRIES = 100


class CheckedPipeline(Compose):
    """A dataset's pipeline that gives another sample where one fails.

    Args:
        leaf (BaseDataset): Whose pipeline it is and stays.
        record (FaultRecord): Shared by all datasets of the loader.
        first (int): Place of the dataset's first sample in the record.
        seed (int): Of the choice of other samples.
    """

    def __init__(
        self, leaf: BaseDataset, record: FaultRecord, first: int, seed: int
    ) -> None:
        self.transforms = leaf.pipeline.transforms
        self.record = record
        self._leaf, self._first, self._seed = leaf, first, seed
        self._expected = expected_of(leaf)

    def __call__(self, data: Dict) -> Any:
        """Load a sample, or another in its place.

        Args:
            data (dict): Of ``get_data_info``.

        Returns:
            Any: What the transforms return, never None.

        Raises:
            FaultyDataError: Too many samples failed.
        """
        asked = index = data['sample_idx']
        for attempt in range(_TRIES):
            name, error = _name(data), None
            try:
                fault = self._fault_in_files(data, index)
                sample = None if fault else super().__call__(data)
                fault = fault or self._fault_in(sample, name)
            except MemoryError:
                raise
            except Exception as caught:
                error = caught
                fault = Finding(Kind.UNREADABLE, name, told(error))
            if fault is None:
                return sample
            failed = index
            index = replacement(asked, attempt, self._seed, len(self._leaf))
            data = self._leaf.get_data_info(index)
            self._note(failed, fault, _name(data), error)
        raise FaultyDataError(
            f'{self.record.name}: none of {_TRIES} samples can be used in '
            f'the place of sample {asked}. The last: {fault}'
        )

    def _note(
        self,
        index: int,
        fault: Finding,
        instead: str,
        error: Optional[Exception],
    ) -> None:
        if self._leaf.test_mode:
            raise FaultyDataError(
                f'{self.record.name}: {fault}. Another sample in its place '
                'would change the metric; mend it, or take it out'
            ) from error
        try:
            self.record.add(self._first + index, fault, instead)
        except FaultyDataError as end:
            # For the traceback of what the pipeline raised.
            raise end from error

    def _fault_in_files(self, data: Dict, index: int) -> Optional[Finding]:
        if self.record.is_read(self._first + index):
            return None
        for finding in findings_of(data, self._expected, whole=False):
            if not finding.is_fault:
                continue
            if not (self._leaf.test_mode and finding.kind is Kind.CMYK):
                return finding
            # ImageNet's validation has one; all metrics are with it.
            self.record.warn(f'{finding}; it is used as it is converted')
        self.record.set_read(self._first + index)
        return None

    def _fault_in(self, sample: Any, name: str) -> Optional[Finding]:
        if sample is None:
            reason = 'its pipeline returned None'
            return Finding(Kind.UNREADABLE, name, reason)
        wrong = wrong_labels_of_packed(sample, self._expected)
        return Finding(Kind.LABELS, name, wrong) if wrong else None


def replacement(index: int, attempt: int, seed: int, samples: int) -> int:
    """The sample that is taken in the place of another.

    Args:
        index (int): Of the sample that was asked for.
        attempt (int): Samples that failed in its place so far.
        seed (int): Of the run.
        samples (int): Of the dataset.

    Returns:
        int: Its index, another than ``index`` where there are two.
    """
    if samples < 2:
        return index
    numbers = np.random.SeedSequence((seed, index, attempt))
    step = 1 + int(numbers.generate_state(1)[0]) % (samples - 1)
    return (index + step) % samples


def _name(data: Dict) -> str:
    """The files of a sample, or its index where it has none."""
    paths = [data[key] for key in ('img_path', 'seg_map_path') if key in data]
    paths = [path for path in paths if isinstance(path, str)]
    return ' with '.join(paths) or f'sample {data["sample_idx"]}'
