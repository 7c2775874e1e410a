"""One training at a time in a work dir, as two would remove each other's."""

import contextlib
import fcntl
import logging
import os
import socket
from pathlib import Path
from typing import IO, Dict, Union

from mmengine.logging import print_log

_FILE = '.lock'
_held: Dict[str, IO] = {}


def lock_work_dir(folder: Union[str, Path]) -> None:
    """Keep trainings of other processes out of a work dir.

    The lock ends with this process, however that ends, and its forks do not
    have it. Where the file system knows no locks, nothing happens. One that
    is held on another machine is a warning: a network file system may keep
    it for a machine that is gone, and the run must go on.

    Args:
        folder (str | Path): The work dir, which is there.

    Raises:
        ValueError: Another process of this machine trains in it.
    """
    place = os.path.realpath(folder)
    if place in _held:
        return
    try:
        file = open(Path(place, _FILE), 'a+')
    except OSError:
        # What cannot be written is said by whoever has to write.
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        message = (
            f'work_dir: another training is running in {str(folder)!r} '
            f'({holder or "just started"}); wait for its end, or give '
            'another work dir'
        )
        if holder and holder.rpartition(' ')[2] != socket.gethostname():
            print_log(
                f'{message}. If that machine is gone, all is well',
                'current',
                logging.WARNING,
            )
            return
        raise ValueError(message) from error
    except OSError:
        file.close()
        return
    _held[place] = file
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
        file.flush()


def unlock_work_dir(folder: Union[str, Path]) -> None:
    """Let others train in a work dir.

    Args:
        folder (str | Path): Of :func:`lock_work_dir`; one that is not locked
            stays as it is.
    """
    file = _held.pop(os.path.realpath(folder), None)
    if file is not None:
        file.close()
