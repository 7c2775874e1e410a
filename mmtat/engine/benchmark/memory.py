"""Peak memory: of a process on a CPU, of the allocator on a GPU.

On a CPU each measurement is a process of its own, as freed memory stays with
a process and would hide the next candidate's.
"""

import contextlib
import ctypes
import gc
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

import torch

from ..timing import synchronize
from .candidate import Candidate
from .child import OutOfMemory, call_in_child, out_of_memory_named
from .settings import Settings

MIB = 2**20
#: Parameter of glibc's ``mallopt``.
_MMAP_THRESHOLD = -3
#: The first step allocates what stays (momenta), the next what a run needs.
_STEPS = 2


@dataclass(frozen=True)
class MemoryUse:
    """Peaks at two batch sizes, and what follows from them.

    Attributes:
        batches (tuple[int, int]): Images, the smaller first.
        peaks (tuple[int, int]): Bytes above what was there before.
    """

    batches: Tuple[int, int]
    peaks: Tuple[int, int]

    @property
    def growth(self) -> float:
        """Bytes for each further image."""
        small, large = self.batches
        return (self.peaks[1] - self.peaks[0]) / (large - small)

    @property
    def workspace(self) -> float:
        """Bytes that are needed whatever the batch."""
        return self.peaks[0] - self.growth * self.batches[0]

    def at(self, batch: int) -> float:
        """Bytes of a batch, on the line through both peaks.

        Args:
            batch (int): Images.

        Returns:
            float: Bytes.
        """
        return self.workspace + self.growth * batch


def batches_for(
    batch: int, device: torch.device, least: int = 1
) -> Tuple[int, int]:
    """The two batch sizes that memory is measured at.

    Args:
        batch (int): That of the times, at least 1.
        device (torch.device): Where.
        least (int): The smallest that can be. Defaults to 1.

    Returns:
        tuple[int, int]: Half of it, and on a GPU the batch; on a CPU as
        much above it as the smaller is below: what its allocator keeps in
        holes is less beside a longer stretch.
    """
    half = max(batch // 2, least)
    above = 0 if device.type == 'cuda' else half
    return half, max(batch + above, half + 1)


def memory_use(candidate: Candidate, settings: Settings) -> MemoryUse:
    """Peak memory at two batch sizes, see :func:`batches_for`.

    Args:
        candidate (Candidate): What is measured.
        settings (Settings): How.

    Returns:
        MemoryUse: The peaks.

    Raises:
        OutOfMemory: The message says about how much is needed.
        ValueError: The candidate cannot do this.
    """
    batches = batches_for(
        settings.batch, settings.device, candidate.least_batch
    )
    peaks = []
    for images in batches:
        try:
            peaks.append(peak_memory(candidate, images, settings))
        except OutOfMemory as error:
            known = dict(zip(batches, peaks))
            need = _needed(candidate, images, settings, known)
            raise OutOfMemory(f'{images} images: {error}; {need}') from error
    return MemoryUse(batches, (peaks[0], peaks[1]))


def peak_memory(candidate: Candidate, batch: int, settings: Settings) -> int:
    """Bytes that a candidate needs at most above what was there before.

    Args:
        candidate (Candidate): What is measured.
        batch (int): Images.
        settings (Settings): How; its batch does not count.

    Returns:
        int: Bytes.

    Raises:
        OutOfMemory: There is less.
        ValueError: The candidate cannot do this.
        RuntimeError: It failed otherwise; the message is its traceback.
    """
    if settings.device.type == 'cuda':
        with out_of_memory_named():
            return _peak_on_gpu(candidate, batch, settings.device)
    is_exact = settings.allocator == 'exact'
    return call_in_child(_peak_on_cpu, candidate, batch, is_exact)


def _needed(
    candidate: Candidate,
    batch: int,
    settings: Settings,
    known: Dict[int, int],
) -> str:
    """Say about what a batch needs: from smaller ones, or by arithmetic."""
    peaks = dict(known)
    least = candidate.least_batch
    for images in (least, least + 1):
        if images >= batch or len(peaks) == 2:
            break
        if images not in peaks:
            try:
                peaks[images] = peak_memory(candidate, images, settings)
            except OutOfMemory:
                break
    if len(peaks) == 2:
        small, large = sorted(peaks)
        use = MemoryUse((small, large), (peaks[small], peaks[large]))
        return (
            f'about {use.at(batch) / 2**30:.1f} GiB are needed (from '
            f'{small} and {large} images)'
        )
    if candidate.estimate(batch):
        gib = candidate.estimate(batch) / 2**30
        return f'about {gib:.1f} GiB are needed (by arithmetic)'
    return 'not even fewer images fit, so that no estimate can be had'


def _peak_on_gpu(
    candidate: Candidate, batch: int, device: torch.device
) -> int:
    candidate.load(device)
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    step = candidate.build(batch, device)
    if not candidate.counts_build:
        before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(_STEPS):
        step()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(candidate: Candidate, batch: int, is_exact: bool) -> int:
    device = torch.device('cpu')
    if is_exact:
        _give_back_at_once()
    candidate.load(device)
    before = resident_bytes()
    step = candidate.build(batch, device)
    if not candidate.counts_build:
        before = resident_bytes()
    _forget_peak()
    for _ in range(_STEPS):
        step()
    return peak_resident_bytes() - before


def resident_bytes() -> int:
    """Memory that this process holds now.

    Returns:
        int: Bytes; where the system does not tell, the most it ever held.
    """
    value = _status('VmRSS')
    return peak_resident_bytes() if value is None else value


def peak_resident_bytes() -> int:
    """The most memory that this process held.

    Linux hands ``ru_maxrss`` on from the parent to a process that it
    starts, so that a child's would be at least its parent's.

    Returns:
        int: Bytes.
    """
    value = _status('VmHWM')
    if value is not None:
        return value
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024


def _give_back_at_once() -> None:
    """Let glibc map what is large by itself, where it is glibc.

    Else it keeps freed maps, between which others then do not fit: peaks
    of equal runs differ by tens of MiB, and more for more images.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, MIB)


def _forget_peak() -> None:
    """Let the peak begin from what is held now, where the system can."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        # The peak of building then counts where it is higher.
        return


def _status(key: str) -> Optional[int]:
    path = Path('/proc/self/status')
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith(f'{key}:'):
                return int(line.split()[1]) * 1024
    return None
