"""Unpacking the archives that a user downloaded, without trusting them."""

import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Collection, Iterator, Optional

#: What the readers raise for a file that is cut off, broken or no archive,
#: and for a disk that is full.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # of zipfile, for an encrypted member
    ValueError,
)


@dataclass(frozen=True)
class Archive:
    """A file that the user downloads.

    Attributes:
        name (str): Its file name.
        source (str): Where to get it; shown, never fetched.
        md5 (str | None): Of the whole file; None where it is not checked.
    """

    name: str
    source: str
    md5: Optional[str] = None


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal digits.

    Args:
        path (Path): Of the file.

    Returns:
        str: 32 digits, in lower case.
    """
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(
            file, lambda: hashlib.md5(usedforsecurity=False)
        )
    return digest.hexdigest()


@contextmanager
def readable_archive(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong in unpacking into one message.

    Args:
        path (Path): Of the archive.

    Raises:
        ValueError: Anything did.
    """
    try:
        yield
    except _BROKEN as error:
        size = path.stat().st_size if path.is_file() else 0
        raise ValueError(
            f'{path} ({size} bytes) cannot be unpacked: '
            f'{error or type(error).__name__}'
        ) from error


def unpack(path: Path, target: Path, wanted: Collection[str] = ()) -> None:
    """Unpack a tar or zip file.

    Args:
        path (Path): Of the archive.
        target (Path): Folder to unpack into; made if needed.
        wanted (Collection[str]): Names of files and folders, at any depth;
            by default everything is unpacked.

    Raises:
        ValueError: The archive is incomplete or none at all, or has a member
            that is a link or a device or lies outside of the folder.
    """
    with readable_archive(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _extract_zip(archive, target, wanted)
        else:
            with tarfile.open(path) as archive:
                extract_tar(archive, target, wanted)


def extract_tar(
    archive: tarfile.TarFile, target: Path, wanted: Collection[str] = ()
) -> None:
    """Extract an open tar file, of which nothing was read yet.

    Args:
        archive (tarfile.TarFile): Open for reading.
        target (Path): See :func:`unpack`.
        wanted (Collection[str]): See :func:`unpack`.

    Raises:
        ValueError, tarfile.TarError: See :func:`unpack`.
    """
    target.mkdir(parents=True, exist_ok=True)
    # Python before 3.11.4 has no filters; the members are checked anyway.
    safely = dict(filter='data') if hasattr(tarfile, 'data_filter') else {}
    archive.extractall(target, _checked(archive, wanted), **safely)
    check_end(archive)


def check_end(archive: tarfile.TarFile) -> None:
    """Raise unless a tar file that was read to its end has one.

    tarfile takes a file that is cut off between two members for complete,
    and does not read as far as the checksum of a compressed one.

    Args:
        archive (tarfile.TarFile): Read to its end.

    Raises:
        tarfile.ReadError: The mark of the end is missing.
        EOFError, OSError: The compressed file is cut off or damaged.
    """
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError('it is cut off: the mark of its end lacks')
    while archive.fileobj.read(2**20):
        pass


def _checked(
    archive: tarfile.TarFile, wanted: Collection[str]
) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        _check_name(member.name)
        if not (member.isreg() or member.isdir()):
            _refuse(member.name, 'is a link or a device')
        if _is_wanted(member.name, wanted):
            yield member


def _extract_zip(
    archive: zipfile.ZipFile, target: Path, wanted: Collection[str]
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for member in archive.infolist():
        _check_name(member.filename)
        # Systems without modes leave 0.
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            _refuse(member.filename, 'is a link or a device')
    names = [n for n in archive.namelist() if _is_wanted(n, wanted)]
    archive.extractall(target, names)


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or '..' in path.parts:
        _refuse(name, 'lies outside of the folder')


def _refuse(name: str, reason: str) -> None:
    raise ValueError(f'its member {name!r} {reason}, so it is not trusted')


def _is_wanted(name: str, wanted: Collection[str]) -> bool:
    return not wanted or not {*wanted}.isdisjoint(PurePosixPath(name).parts)
