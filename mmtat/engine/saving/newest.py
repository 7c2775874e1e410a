"""The newest checkpoint of a run that can be read."""

import logging
import re
import zipfile
from pathlib import Path
from typing import List, Optional, Tuple

from mmengine.logging import print_log

from mmtat.files import check_archive
from mmtat.models.utils import read_checkpoint

_STEP = re.compile(r'(iter|epoch)_(\d+)\.pth')


def newest_loadable(folder: Path, since: float = 0.0) -> Optional[Path]:
    """The newest checkpoint of a run that can be read, and is undamaged.

    Newest is what the file ``last_checkpoint`` names, unless one of a higher
    step was written after it: a kill came between the two. Then the highest
    step. What cannot be read is skipped, and the log says why.

    Args:
        folder (Path): Of the run.
        since (float): Seconds since the epoch; files that were written
            before do not count. Defaults to 0.0.

    Returns:
        Path | None: Of the file; None where there is no checkpoint at all.

    Raises:
        ValueError: There are some, and none can be read.
    """
    skipped = []
    for path in _candidates(folder):
        if path.stat().st_mtime < since:
            continue
        try:
            check_undamaged(path)
            return path
        except ValueError as error:
            skipped.append(str(error))
            _say(str(error))
    if skipped:
        raise ValueError(
            f'--resume: no checkpoint in {str(folder)!r} can be read, of '
            f'{len(skipped)}. The newest: {skipped[0]}'
        )
    return None


def check_undamaged(path: Path) -> None:
    """Raise where a checkpoint to go on from cannot be read, or is damaged.

    Args:
        path (Path): Of the file.

    Raises:
        ValueError: It says why.
    """
    # Mapped, its weights are not kept, only that they are there.
    read_checkpoint(str(path), '--resume', is_mapped=True)
    if not zipfile.is_zipfile(path):
        return
    try:
        # torch does not compare them: a changed bit would go on silently.
        check_archive(path)
    except OSError as error:
        raise ValueError(
            f'--resume: {str(path)!r}: {error.strerror}'
        ) from error


def _candidates(folder: Path) -> List[Path]:
    """Newest first."""
    paths = [path for path in folder.glob('*.pth') if _place(path)]
    kinds = {_place(path)[0] for path in paths}
    # Steps of one kind are sure; iterations and epochs are not comparable.
    order = _place if len(kinds) == 1 else _written_at
    paths.sort(key=order, reverse=True)
    named = _named(folder)
    if named is None:
        return paths
    written_at = _written_at(folder / 'last_checkpoint')
    later = [
        path
        for path in paths
        if _written_at(path) > written_at and _is_later(path, named)
    ]
    return list(dict.fromkeys([*later, named, *paths]))


def _place(path: Path) -> Optional[Tuple[str, int]]:
    """Kind and number of a step; None where it is no such file."""
    match = _STEP.fullmatch(path.name)
    return match and (match[1], int(match[2]))


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_later(path: Path, named: Path) -> bool:
    """Whether a file goes on from the named one, not from an older run."""
    (kind, step), other = _place(path), _place(named)
    return other is not None and (kind != other[0] or step > other[1])


def _named(folder: Path) -> Optional[Path]:
    """What the pointer names, if it is there."""
    pointer = folder / 'last_checkpoint'
    if not pointer.exists():
        return None
    try:
        written = Path(pointer.read_text(errors='replace').strip())
        # By its name first: the folder may have been copied since.
        for path in (folder / written.name, written):
            if path.is_file():
                return path
    except OSError as error:
        _say(f'{str(pointer)!r} cannot be read: {error.strerror}')
        return None
    _say(f'{str(pointer)!r} names {str(written)!r}, which is not there')
    return None


def _say(reason: str) -> None:
    print_log(f'skipped: {reason}', 'current', logging.WARNING)
