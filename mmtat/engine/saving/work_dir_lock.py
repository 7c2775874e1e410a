"""One training at a time in a work dir, as two would remove each other's."""

import contextlib
import fcntl
import logging
import os
import socket
import time
from pathlib import Path
from typing import Dict, Optional, Union

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

_FILE = '.lock'
_held: Dict[str, int] = {}


def lock_work_dir(folder: Union[str, Path]) -> None:
    """Keep trainings of other processes out of a work dir.

    The first process locks, and all are told. The lock ends with the process,
    however that ends; its forks do not have it. Where the file system knows
    no locks, nothing happens. One that is held on another machine is a
    warning: a network file system may keep it for a machine that is gone,
    and the run must go on.

    Args:
        folder (str | Path): The work dir, which is there.

    Raises:
        ValueError: Another process of this machine trains in it.
    """
    holder = [_lock(folder) if is_main_process() else None]
    broadcast_object_list(holder)
    if holder[0] is None:
        return
    message = (
        f'work_dir: another training is running in {str(folder)!r} '
        f'({holder[0]}); wait for its end, or give another work dir'
    )
    if holder[0].rpartition(' ')[2] == socket.gethostname():
        raise ValueError(message)
    print_log(
        f'{message}. If that machine is gone, all is well',
        'current',
        logging.WARNING,
    )


def _lock(folder: Union[str, Path]) -> Optional[str]:
    """Take the lock, unless another process has it, which is named."""
    place = os.path.realpath(folder)
    if place in _held:
        return None
    try:
        file = os.open(os.path.join(place, _FILE), os.O_RDWR | os.O_CREAT)
    except OSError:
        # What cannot be written is said by whoever has to write.
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        # Whoever has just got it writes down who that is.
        time.sleep(0.2)
        name = os.pread(file, 1000, 0).decode(errors='replace').strip()
        os.close(file)
        return name or f'a process on {socket.gethostname()}'
    except OSError:
        os.close(file)
        return None
    _held[place] = file
    _write(file, f'process {os.getpid()} on {socket.gethostname()}')
    return None


def _write(file: int, text: str) -> None:
    # A full disk is said by whoever has to write.
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, text.encode(), 0)


def unlock_work_dir(folder: Union[str, Path]) -> None:
    """Let others train in a work dir.

    Args:
        folder (str | Path): Of :func:`lock_work_dir`; one that is not locked
            stays as it is.
    """
    file = _held.pop(os.path.realpath(folder), None)
    if file is not None:
        _write(file, '')
        os.close(file)
