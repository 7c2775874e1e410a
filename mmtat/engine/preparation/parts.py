"""Putting a dataset together, part by part."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Sequence, Tuple

from .archives import Archive, md5_of
from .layout import raise_problems

#: Folder in the dataset's own, where a part is made; see :func:`prepare`.
#: Inside, so that a finished part is renamed and never copied.
PARTIAL = '.partial'


def _never(out: Path) -> bool:
    return False


@dataclass(frozen=True)
class Part:
    """One archive, and what becomes of it.

    Attributes:
        archive (Archive): To be unpacked.
        entries (tuple[str, ...]): Files and folders that the part consists
            of, relative to the dataset's folder; done where all exist.
        make (Callable): Called with the archive, a folder to work in, and
            the dataset's folder; leaves the entries in ``ready/`` of the
            second.
        is_needless (Callable): Whether a dataset's folder does without.
        resumes (bool): Whether ``make`` goes on with what it left in its
            folder. Defaults to False.
    """

    archive: Archive
    entries: Tuple[str, ...]
    make: Callable[[Path, Path, Path], None]
    is_needless: Callable[[Path], bool] = _never
    resumes: bool = False

    def is_done(self, out: Path) -> bool:
        """Whether a dataset's folder has all that the part would bring."""
        has_all = all((out / entry).exists() for entry in self.entries)
        return has_all or self.is_needless(out)


def prepare(parts: Sequence[Part], downloads: Path, out: Path) -> None:
    """Unpack what a dataset still lacks.

    Each part is made in a hidden folder of the dataset's own, and renamed
    when it is complete; an entry that exists is never replaced.

    Args:
        parts (Sequence[Part]): In the order in which they are made.
        downloads (Path): Folder of the archives.
        out (Path): Folder of the dataset; made if needed.

    Raises:
        ValueError: Archives are missing (all are named, and nothing is
            unpacked) or broken, or the folder cannot be written.
    """
    # Renaming does not work across the end of a link to another disk.
    out = out.resolve()
    todo = [part for part in parts if not part.is_done(out)]
    raise_problems(
        f"'{out}' cannot be prepared",
        missing_archives([part.archive for part in todo], downloads),
    )
    raise_problems(
        f"'{out}' cannot be prepared", _other_archives(todo, downloads)
    )
    for part in todo:
        print(f'Unpacking {part.archive.name}', flush=True)
        try:
            _make(part, downloads / part.archive.name, out)
        except OSError as error:
            raise ValueError(
                f"{part.archive.name}: '{out}' cannot be written: {error}"
            ) from error


def missing_archives(
    archives: Sequence[Archive], downloads: Path
) -> List[str]:
    """Which archives are not there, and where each is to be had.

    Args:
        archives (Sequence[Archive]): To look for.
        downloads (Path): Folder to look in.

    Returns:
        list[str]: A problem for each.
    """
    return [
        f"{archive.name} is not in '{downloads}'; get it from {archive.source}"
        for archive in archives
        if not (downloads / archive.name).is_file()
    ]


def _other_archives(parts: Sequence[Part], downloads: Path) -> List[str]:
    """Archives whose content is not the known one."""
    problems = []
    for archive in (part.archive for part in parts):
        if archive.md5 is None:
            continue
        path = downloads / archive.name
        print(f'Checking {archive.name}', flush=True)
        found = md5_of(path)
        if found != archive.md5:
            problems.append(
                f"'{path}' ({path.stat().st_size} bytes) is incomplete or "
                f'another file: its MD5 is {found}, not {archive.md5}; get '
                f'it from {archive.source}'
            )
    return problems


def _make(part: Part, path: Path, out: Path) -> None:
    folder = out / PARTIAL / part.archive.name
    ready = folder / 'ready'
    if not part.resumes:
        # Of a process that was killed.
        shutil.rmtree(folder, ignore_errors=True)
    is_done = False
    try:
        ready.mkdir(parents=True, exist_ok=True)
        part.make(path, folder, out)
        _move(part, ready, out)
        is_done = True
    finally:
        keep = part.resumes and any(p.is_file() for p in folder.rglob('*'))
        if is_done or not keep:
            shutil.rmtree(folder, ignore_errors=True)
        # Those that hold nothing else.
        for parent in (folder.parent, out):
            with suppress(OSError):
                parent.rmdir()


def _move(part: Part, ready: Path, out: Path) -> None:
    absent = [entry for entry in part.entries if not (ready / entry).exists()]
    if absent:
        raise ValueError(
            f'{part.archive.name} holds no {" and no ".join(absent)}'
        )
    for entry in part.entries:
        target = out / entry
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(ready / entry, target)
