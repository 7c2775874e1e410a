"""Where the processes of a sweep run, and how they come into being."""

import contextlib
import os
import signal
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any, Iterable, List, Optional, Sequence

import torch

from .grid import Run
from .options import base_config

#: What building and training import late, outside the scopes.
_LATE = (
    *('mmtat.engine.sweep.worker', 'mmtat.engine.hooks', 'mmtat.datasets'),
    *('torchvision', 'torch._dynamo', 'matplotlib.pyplot'),
)
#: Modules of a scope that building a run imports.
_PARTS = ('models', 'datasets', 'engine', 'evaluation', 'visualization')


@dataclass(frozen=True)
class Place:
    """What one process at a time may use.

    Attributes:
        threads (int): Of torch, on the CPU.
        devices (str | None): ``CUDA_VISIBLE_DEVICES``; None leaves them.
    """

    threads: int
    devices: Optional[str] = None


def places_of(jobs: int, gpus: Optional[Sequence[int]]) -> List[Place]:
    """Share cores and GPUs.

    Args:
        jobs (int): Processes at a time, or for each GPU.
        gpus (list[int], optional): Numbers of the GPUs, from 0.

    Returns:
        list[Place]: One for each process at a time.

    Raises:
        TypeError, ValueError: Numbers that are none, or GPUs that are not
            there.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f'jobs must be a positive integer, got {jobs!r}')
    if gpus is None:
        devices: List[Optional[str]] = [None]
    else:
        devices = [_device(gpu) for gpu in gpus]
        if not devices or len(set(devices)) < len(devices):
            raise ValueError(f'gpus must be different numbers, got {gpus!r}')
    # Each GPU before the second process on any.
    devices = devices * jobs
    threads = max(1, len(os.sched_getaffinity(0)) // len(devices))
    chosen = os.environ.get('OMP_NUM_THREADS', '')
    if chosen.isdigit() and int(chosen) > 0:
        threads = int(chosen)
    return [Place(threads, device) for device in devices]


def _device(gpu: int) -> str:
    # Counted without starting CUDA, which no fork would survive.
    count = torch.cuda.device_count()
    if isinstance(gpu, bool) or not isinstance(gpu, int):
        raise TypeError(f'gpus must be numbers, got {gpu!r}')
    if not 0 <= gpu < count:
        raise ValueError(
            f'gpus: there is no GPU {gpu}; this machine has {count}'
            + (f', 0 to {count - 1}' if count else ' that torch can use')
        )
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    return visible.split(',')[gpu].strip() if visible else str(gpu)


def start_server(runs: Iterable[Run]) -> None:
    """Start the process whose forks the runs are, if there is none yet.

    It imports what the runs need, so that they need not: that takes longer
    than a short run does.

    Args:
        runs (list[Run]): What will run.
    """
    scopes = {base_config(run).get('default_scope') for run in runs}
    scopes = sorted(filter(None, scopes | {'mmtat', 'mmrazor'}))
    modules = [f'{scope}.{part}' for scope in scopes for part in _PARTS]
    # What is not there is passed over.
    forkserver.set_forkserver_preload([*_LATE, *modules])
    with _without_interrupt(), _without_cuda():
        forkserver.ensure_running()


@contextlib.contextmanager
def _without_interrupt() -> Any:
    """Ctrl-C must not reach the server; signal masks are inherited."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_cuda() -> Any:
    """Let imports count GPUs without starting CUDA, which forks cannot use."""
    name = 'PYTORCH_NVML_BASED_CUDA_CHECK'
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
