"""Data workers that live as long as their run, whatever it is asked."""

import os
import signal
import time
from types import FrameType
from typing import Any, List, Optional

from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader

from .asked_to_leave import ONE_REQUEST, end_as_a_child


def shield_workers(loop: Any, has_ended: Any) -> None:
    """Shield the data workers that a loop will start.

    Args:
        loop (Any): Of a Runner, or its config.
        has_ended (Any): A shared number, see :class:`AskedToLeave`.
    """
    for loader in _loaders_of(loop):
        loader.worker_init_fn = Shielded.around(
            loader.worker_init_fn, has_ended
        )


def _loaders_of(loop: Any) -> List[DataLoader]:
    loaders = [getattr(loop, 'dataloader', None)]
    # Of a ShiftsValLoop.
    loaders += getattr(loop, 'shifted', {}).values()
    return [own for own in loaders if isinstance(own, DataLoader)]


def has_running_workers(loop: Any) -> bool:
    """Whether a training loop has started its data workers already.

    Args:
        loop (BaseLoop): Of a training that is about to begin.

    Returns:
        bool: True of mmengine's ``IterBasedTrainLoop`` with workers, which
        then are as they were when it was built.
    """
    iterator = getattr(loop, 'dataloader_iterator', None)
    is_stock = isinstance(iterator, _InfiniteDataloaderIterator)
    return is_stock and loop.dataloader.num_workers > 0


class Shielded:
    """Lets a data worker outlive what its run is asked.

    Slurm and others send a signal to every process of a job. The run cannot
    finish its step without its workers, so they ignore what is one request,
    as long as the run lasts: after it the signal is that of whoever ends the
    workers.

    Args:
        has_ended (Any): A shared number, see :class:`AskedToLeave`.
        begin (Callable[[int], None], optional): The loader's own
            ``worker_init_fn``.
    """

    def __init__(self, has_ended: Any, begin: Any = None) -> None:
        self._has_ended = has_ended
        self._begin = begin

    @classmethod
    def around(cls, begin: Any, has_ended: Any) -> 'Shielded':
        """Shield once.

        Args:
            begin (Callable[[int], None] | None): Perhaps shielded already.
            has_ended (Any): A shared number, see :class:`AskedToLeave`.

        Returns:
            Shielded: Around what begins a worker.
        """
        if isinstance(begin, cls):
            begin = begin._begin
        return cls(has_ended, begin)

    def __call__(self, worker: int) -> None:  # noqa: D102
        # A fork of a run that was asked would tell its run's thread.
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _WorkerSignal(self._has_ended))
        if self._begin is not None:
            self._begin(worker)


class _WorkerSignal:
    """What a data worker does with signals to end."""

    def __init__(self, has_ended: Any) -> None:
        self._has_ended = has_ended
        self._asked_at: Optional[float] = None

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        if self._has_ended.value:
            # As torch's own handler does, whose place this one has taken:
            # Python asks, which waits for its workers before it exits.
            os._exit(0)
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > ONE_REQUEST:
            end_as_a_child(number)
