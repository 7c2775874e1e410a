"""Files that are there whole, or not at all."""

import contextlib
import errno
import os
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Callable, Iterator, Optional, Union

import torch

_REASONS = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'the quota of the disk is used up',
    errno.EROFS: 'the file system is read-only',
    errno.EACCES: 'this user may not write there',
    errno.EPERM: 'this user may not write there',
}
#: What zipfile raises of an archive in which something was changed.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, RuntimeError, ValueError, OverflowError),
)
#: Of a process, beside the file that it was to become.
_TEMPORARY = re.compile(r'\.(?:.+\.pth|last_checkpoint)\.(\d+)\.tmp')


def write_atomically(
    path: Union[str, Path], content: Union[str, bytes]
) -> None:
    """Write a file, whole or not at all.

    Args:
        path (str | Path): Of the file.
        content (str | bytes): Text is written as UTF-8.

    Raises:
        ValueError: It cannot be written; what was there stays.
    """
    if isinstance(content, str):
        content = content.encode()
    replace_file(path, lambda file: file.write(content))


def save_atomically(value: Any, path: Union[str, Path]) -> None:
    """``torch.save`` a file, read it back, and only then put it in place.

    Args:
        value (Any): What is saved.
        path (str | Path): Of the file.

    Raises:
        ValueError: It cannot be written, or does not read back; what was
            there stays.
    """
    replace_file(path, lambda file: torch.save(value, file), check_archive)


def remove_left_over(folder: Path) -> None:
    """Remove temporary files of checkpoints whose writer was killed.

    Those of a process that lives on this machine stay. Of a run one process
    writes, so that no other machine is writing into its folder.

    Args:
        folder (Path): Of a run.
    """
    for path in folder.glob('.*.tmp'):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or _is_another(int(match[1])):
            continue
        with contextlib.suppress(OSError):
            path.unlink()


def _is_another(process: int) -> bool:
    """Whether a process lives that is not this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # Of another user.
        return True
    return True


def check_archive(path: Path) -> None:
    """Read a file of ``torch.save`` and compare its checksums.

    Args:
        path (Path): Of the file.

    Raises:
        OSError: It is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except _DAMAGED as error:
        raise OSError(errno.EIO, f'it reads back damaged: {error}') from error
    if damaged is not None:
        raise OSError(errno.EIO, f'it reads back damaged: {damaged}')


def replace_file(
    path: Union[str, Path],
    write: Callable[[IO[bytes]], Any],
    check: Optional[Callable[[Path], None]] = None,
) -> None:
    """Write beside a file, flush to the disk, check, and rename over it.

    Killed at any point it leaves the old file or the new one, and perhaps
    one that ends in ``.tmp``.

    Args:
        path (str | Path): Of the file.
        write (Callable[[IO[bytes]], Any]): Writes the content.
        check (Callable[[Path], None], optional): Reads what was written.

    Raises:
        ValueError: It cannot be written; what was there stays.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    with _told(path), _removed(temporary):
        with open(temporary, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    handled = sys.exc_info()[1]
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch's writer has errors of its own for a full disk, of which some
        # only come after the system's.
        cause = _of_the_system(error, handled)
        if cause is None and 'write' not in str(error):
            raise
        reason = _REASONS.get(getattr(cause, 'errno', None), str(error))
        kept = (
            'what was there is unchanged'
            if path.exists()
            else ('nothing was left there')
        )
        raise ValueError(
            f'{str(path)!r} cannot be written: {reason}; {kept}'
        ) from error


def _of_the_system(
    error: Optional[BaseException], handled: Optional[BaseException]
) -> Optional[OSError]:
    """The OSError that an error is, or that it followed in the writing."""
    while error is not None and error is not handled:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def _removed(temporary: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    # Else a power failure may forget the renaming.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
