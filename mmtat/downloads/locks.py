"""One process at a time, and no lock that outlives its process."""

import contextlib
import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Callable, Iterator, Optional

from .transfer import TransferError

#: File systems that cannot lock answer so.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_LOOK_EVERY = 0.1


@contextlib.contextmanager
def only_one(
    lock: Path,
    watched: Path,
    stalled_after: float,
    say: Callable[[str], None],
) -> Iterator[bool]:
    """Let one process, or thread, of all in.

    The kernel drops the lock of a process that ends in whatever way.

    Args:
        lock (Path): The file that is locked; gone afterwards.
        watched (Path): What the one inside makes grow.
        stalled_after (float): Seconds without growth until waiting ends.
        say (Callable[[str], None]): Is told, once, that this one waits.

    Yields:
        bool: False where the file system knows no locks: others may be
        inside as well.

    Raises:
        TransferError: The one inside makes no progress.
        OSError: The lock's file cannot be made.
    """
    descriptor = _locked(lock, watched, stalled_after, say)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        # Whoever waits on this file finds that it is gone, and begins anew.
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _locked(
    lock: Path,
    watched: Path,
    stalled_after: float,
    say: Callable[[str], None],
) -> Optional[int]:
    patience = None
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(descriptor, lock):
                os.truncate(descriptor, 0)
                os.write(descriptor, _own_name())
                return descriptor
            os.close(descriptor)
            continue
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors='replace')
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                return None
            raise
        if patience is None:
            patience = _Patience(watched, stalled_after)
            say(f'waiting for {holder or "another process"}, which fetches it')
        patience.look(lock, holder)
        time.sleep(_LOOK_EVERY)


class _Patience:
    """Ends the waiting for one that makes no progress."""

    def __init__(self, watched: Path, stalled_after: float) -> None:
        self.watched, self.stalled_after = watched, stalled_after
        self.seen, self.since = self._size(), time.monotonic()

    def look(self, lock: Path, holder: str) -> None:
        size, now = self._size(), time.monotonic()
        if size != self.seen:
            self.seen, self.since = size, now
        elif now - self.since > self.stalled_after:
            raise TransferError(
                f'{holder or "another process"} holds {str(lock)!r} and has '
                f'fetched nothing for {now - self.since:.0f} s; end it, or '
                'wait for it'
            )

    def _size(self) -> int:
        with contextlib.suppress(OSError):
            return self.watched.stat().st_size
        return -1


def _is_same(descriptor: int, lock: Path) -> bool:
    """Whether the file that was locked is still the one of that name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    return False


def _own_name() -> bytes:
    return f'process {os.getpid()} on {socket.gethostname()}'.encode()
