"""Which samples of a dataset failed, known to all workers of a process."""

import logging
from typing import Any, List, Optional

import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log

from .checks.finding import FaultyDataError, Finding

_UNKNOWN, _READ, _FAULTY = range(3)


class FaultRecord:
    """Samples that failed, in memory that workers share.

    Args:
        samples (int): Of the dataset, at least 1.
        most (float): Share of them that may fail.
        name (str): Of the dataset, for messages.
    """

    def __init__(self, samples: int, most: float, name: str) -> None:
        # A byte for each sample: to set it needs no lock.
        self._states = torch.zeros(samples, dtype=torch.uint8).share_memory_()
        self._changes = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._most, self.name, self._rank = most, name, get_rank()

    def __deepcopy__(self, memo: Any) -> 'FaultRecord':
        return self

    @property
    def samples(self) -> int:
        """Samples of the dataset."""
        return len(self._states)

    @property
    def limit(self) -> int:
        """Samples that may fail."""
        # A tenth of a per mille of 10000 is 1, whatever binary floats say.
        return int(self._most * self.samples + 1e-9)

    @property
    def failed(self) -> int:
        """Samples that failed so far, each once."""
        return int((self._states == _FAULTY).sum())

    @property
    def changes(self) -> int:
        """Another number than before, where a sample failed since."""
        return self._changes.item()

    def failed_indices(self) -> List[int]:
        """The samples that failed so far.

        Returns:
            list[int]: Their indices.
        """
        return (self._states == _FAULTY).nonzero().flatten().tolist()

    def is_read(self, index: int) -> bool:
        """Whether a sample's files were found to be whole.

        Args:
            index (int): Of the sample.

        Returns:
            bool: False of one that failed.
        """
        return self._states[index].item() == _READ

    def set_read(self, index: int) -> None:
        """Note that a sample's files are whole.

        Args:
            index (int): Of the sample; one that failed stays so.
        """
        if self._states[index].item() == _UNKNOWN:
            self._states[index] = _READ

    def add(self, index: int, finding: Finding, instead: str) -> None:
        """Note that a sample failed, and say so when it is the first time.

        Args:
            index (int): Of the sample.
            finding (Finding): Why.
            instead (str): The sample that is taken in its place.

        Raises:
            FaultyDataError: More failed than may.
        """
        is_new = self._states[index].item() != _FAULTY
        self._states[index] = _FAULTY
        # Two workers may add at once; that it changed is all that matters.
        self._changes += is_new
        failed = self.failed
        if failed > self.limit:
            raise FaultyDataError(self.end(failed, finding))
        if is_new:
            self.warn(
                f'{finding}; {instead} is taken in its place. {failed} of '
                f'{self.samples} samples failed, {self.limit} may.'
            )

    def warn(self, message: str) -> None:
        """Say something of these data, from whichever process.

        Args:
            message (str): It.
        """
        where = '' if self._rank == 0 else f'[rank {self._rank}] '
        print_log(
            f'{where}{self.name}: {message}',
            logger='current',
            # Below this, mmengine shows nothing of other ranks.
            level=logging.ERROR if self._rank else logging.WARNING,
        )

    def end(self, failed: int, finding: Optional[Finding] = None) -> str:
        """Why a run ends.

        Args:
            failed (int): Samples that failed.
            finding (Finding, optional): Of the last, unless it was logged.

        Returns:
            str: For the user.
        """
        last = '' if finding is None else f'The last: {finding}. '
        others = '' if failed == 1 else 'The log names them. '
        return (
            f'{self.name}: {failed} of {self.samples} samples cannot be '
            f'used, and {self.limit} may fail (most={self._most:g}). {last}'
            f'{others}tools/check_data.py CONFIG finds all of them; mend '
            'them, take them out, or allow more'
        )
