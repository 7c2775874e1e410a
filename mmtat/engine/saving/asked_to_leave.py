"""Signals that ask a run to leave, and the status that it leaves with."""

import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import threading
import time
import weakref
from pathlib import Path
from types import FrameType
from typing import Any, Dict, Optional

from mmengine.runner import Runner

#: What Slurm, torchrun, systemd and the clouds announce the end with.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

#: Seconds that a data worker has to end when its run is over.
LAST_WORDS = 5.0

#: The status of a run that can go on later: EX_TEMPFAIL of sysexits.h.
STATUS = 75

#: Seconds in which signals are one request: a launcher passes on what the
#: process, in the same group, has just got itself.
ONE_REQUEST = 5.0

#: Names the folder in which processes leave notes for tools/_launch.sh.
NOTES = 'MMTAT_LAUNCH_NOTES'


class Preempted(SystemExit):
    """A run was asked to leave, and can go on later.

    Its code is :data:`STATUS`; where ``tools/dist_train.sh`` started the
    process, 0 and a note: torchrun begins anew what ends with another
    status.
    """

    def __init__(self) -> None:
        folder = os.environ.get(NOTES)
        if folder and os.path.isdir(folder):
            Path(folder, f'asked-{os.getpid()}').touch()
            super().__init__(0)
        else:
            super().__init__(STATUS)


def was_asked_before() -> bool:
    """Whether the launch that this process belongs to was asked to leave.

    Returns:
        bool: True where torchrun has begun anew although it was.
    """
    folder = os.environ.get(NOTES)
    return bool(folder) and any(Path(folder).glob('asked-*'))


class AskedToLeave:
    """Notes signals while a run lasts.

    Before the first step there is nothing to save: the process leaves at
    once. After it the signal is noted. A second one leaves at once, even
    where the main thread waits for another process.

    Args:
        runner (Runner): Of the run.
    """

    def __init__(self, runner: Runner) -> None:
        #: The name of the signal; None as long as there was none.
        self.name: Optional[str] = None
        #: Whether there is something to save.
        self.has_trained = False
        self._runner = weakref.ref(runner)
        self._process = os.getpid()
        self._previous: Dict[int, Any] = {}
        self._note: Optional[Path] = None
        self._second = _SecondSignal()
        #: Not 0 when the run has ended; its data workers see that, too.
        self.has_ended = multiprocessing.RawValue('b', 0)

    def listen(self) -> None:
        """Take the signals over; elsewhere than in the main thread, not."""
        # At the process's exit: before it asks its workers to end and waits
        # for them. atexit would not do it in a process of multiprocessing.
        # The workers of a loader without end outlive a run that ended well.
        multiprocessing.util.Finalize(
            None, self._end_with_workers, exitpriority=0
        )
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._hear)
        if os.environ.get(NOTES):
            self._note = Path(os.environ[NOTES], f'listening-{os.getpid()}')
            self._note.touch()

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        self.has_ended.value = 1
        self._second.forget()
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._hear:
                # None: it was not set by Python.
                signal.signal(number, handler or signal.SIG_DFL)
        self._previous = {}
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.unlink()
            self._note = None

    def _end_with_workers(self) -> None:
        """Python would wait for ever for a worker that is stuck in C."""
        self.has_ended.value = 1
        # It ends them all, and torch may say that one did not end by itself.
        workers = [p for p in multiprocessing.active_children() if p.daemon]
        for worker in workers:
            worker.terminate()
        until = time.monotonic() + LAST_WORDS
        for worker in workers:
            with contextlib.suppress(RuntimeError):
                worker.join(max(0.0, until - time.monotonic()))
                if worker.is_alive():
                    worker.kill()

    def _hear(self, number: int, frame: Optional[FrameType]) -> None:
        if os.getpid() != self._process:
            end_as_a_child(number)
        elif not self._is_running(frame):
            # An error has ended the run, so that no hook was told.
            self.restore()
            os.kill(os.getpid(), number)
        elif self.name is None:
            self.name = signal.Signals(number).name
            self._second.expect()
            if not self.has_trained:
                _say(f'{self.name}: leaving before the first iteration')
                self.restore()
                raise Preempted

    def _is_running(self, frame: Optional[FrameType]) -> bool:
        runner = self._runner()
        while frame is not None:
            if runner is not None and frame.f_locals.get('self') is runner:
                return True
            frame = frame.f_back
        return False


def end_as_a_child(number: int) -> None:
    """In a fork of the process: end by what ends others, and no more.

    Args:
        number (int): Of the signal that came.
    """
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _say(line: str) -> None:
    # A handler may have interrupted a print.
    os.write(2, f'{line}\n'.encode())


class _SecondSignal:
    """Ends the process by the next signal, whatever its main thread does.

    Python's own handlers wait for the main thread, which may wait in turn
    for a process that is gone.
    """

    def __init__(self) -> None:
        self._told: Optional[int] = None

    def expect(self) -> None:
        """Begin to listen; elsewhere another may listen already."""
        heard, told = os.pipe()
        os.set_blocking(told, False)
        previous = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)
            os.close(heard)
            os.close(told)
            return
        self._told = told
        threading.Thread(
            target=_leave_at_the_next,
            args=(heard, time.monotonic()),
            daemon=True,
        ).start()

    def forget(self) -> None:
        """Listen no more."""
        if self._told is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._told)
            self._told = None


def _leave_at_the_next(heard: int, since: float) -> None:
    while True:
        numbers = os.read(heard, 64)
        if not numbers:
            os.close(heard)
            return
        is_another = time.monotonic() - since > ONE_REQUEST
        if is_another and any(number in SIGNALS for number in numbers):
            _say('A second signal: leaving at once')
            os._exit(STATUS)
