"""Runs in processes that are forked, watched and killed."""

import contextlib
import os
import select
import signal
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Optional, Tuple

import torch

from .phases import Stop, Watch
from .runs import train

#: Seconds after which a run hangs, on the slowest machine.
PATIENCE = 300
LOG = 'output.txt'


@dataclass
class Ended:
    """A run that is over.

    Attributes:
        status (int): As ``waitpid`` gives it, as an exit code.
        told (list[tuple[str, int]]): Phases and saves, in their order.
        seconds (float): From its first iteration to its end.
    """

    status: int
    told: List[Tuple[str, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def phase(self) -> str:
        return self.told[-1][0] if self.told else 'not begun'

    def saves(self, *phases: str) -> int:
        """Saves that came to one of some phases."""
        return max((n for phase, n in self.told if phase in phases), default=0)


def run(
    side: str,
    folder: Path,
    keep: int = 2,
    resume: bool = False,
    stop: Optional[Stop] = None,
    after: Optional[float] = None,
    size: int = 0,
    pause: float = 0.0,
    meanwhile: Optional[Callable[[Watch], None]] = None,
) -> Ended:
    """Train in a child, and kill it where it stops or after a while.

    Args:
        side (str): 'mmtat' or 'mmengine'.
        folder (Path): That holds the run's.
        keep (int): Checkpoints that are kept.
        resume (bool): Whether to go on.
        stop (Stop, optional): Where it is killed.
        after (float, optional): Seconds from its first iteration to its
            kill.
        size (int): Bytes of a checkpoint, about.
        pause (float): Seconds between the pieces of a file.
        meanwhile (Callable, optional): Is given the Watch, in the child.
    """
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _be_the_child(
            Watch(sink, stop, size, pause), side, folder, keep, resume,
            meanwhile,
        )  # fmt: skip
    os.close(sink)
    try:
        return _watched(child, source, stop is not None, after)
    finally:
        os.close(source)


def _be_the_child(watch, side, folder, keep, resume, meanwhile) -> None:
    status = 1
    try:
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        watch.install(side)
        if meanwhile is not None:
            meanwhile(watch)
        train(side, folder, keep, resume)
        status = 0
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _watched(
    child: int, source: int, stops: bool, after: Optional[float]
) -> Ended:
    begun, received, deadline = None, b'', time.monotonic() + PATIENCE
    while True:
        now = time.monotonic()
        due = begun is not None and after is not None and now > begun + after
        if due or (stops and b'stopped' in received) or now > deadline:
            os.kill(child, signal.SIGKILL)
        wait = 0.001 if after is not None else 0.1
        if not select.select([source], [], [], wait)[0]:
            continue
        piece = os.read(source, 65536)
        if not piece:
            break
        begun = begun or time.monotonic()
        received += piece
    seconds = time.monotonic() - (begun or now)
    _, status = os.waitpid(child, 0)
    lines = [line.split(',') for line in received.decode().splitlines()]
    told = [(phase, int(n)) for phase, n in lines if phase != 'stopped']
    if now > deadline:
        raise TimeoutError(f'a run did not end: {told[-3:]}')
    return Ended(os.waitstatus_to_exitcode(status), told, seconds)
