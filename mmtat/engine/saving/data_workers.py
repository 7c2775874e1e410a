"""Data workers that live as long as their run, whatever it is asked."""

import os
import signal
from types import FrameType
from typing import Any, Optional

from .asked_to_leave import end_as_a_child


class Shielded:
    """Lets a data worker outlive what its run is asked.

    Slurm and others send a signal to every process of a job. The run cannot
    finish its step without its workers, so they ignore the first, as long as
    the run lasts: after it the signal is that of whoever ends the workers.

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
        self._was_asked = False

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        if self._has_ended.value:
            # As torch's own handler does, whose place this one has taken:
            # Python asks, which waits for its workers before it exits.
            os._exit(0)
        if self._was_asked:
            end_as_a_child(number)
        self._was_asked = True
