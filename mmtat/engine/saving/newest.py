"""The newest checkpoint of a run that can be read."""

import logging
import re
from pathlib import Path
from typing import List, Optional

from mmengine.logging import print_log

from mmtat.models.utils import read_checkpoint

_STEP = re.compile(r'(?:iter|epoch)_(\d+)\.pth$')


def newest_loadable(folder: Path) -> Optional[Path]:
    """The newest checkpoint of a run that can be read.

    Newest is what the file ``last_checkpoint`` names, then the highest step.
    What cannot be read is skipped, and the log says why.

    Args:
        folder (Path): Of the run.

    Returns:
        Path | None: Of the file; None where there is no checkpoint at all.

    Raises:
        ValueError: There are some, and none can be read.
    """
    skipped = []
    for path in _candidates(folder):
        try:
            # Mapped, its weights are not read, only that they are there.
            read_checkpoint(str(path), '--resume', is_mapped=True)
            return path
        except ValueError as error:
            skipped.append(str(error))
            print_log(f'skipped: {error}', 'current', logging.WARNING)
    if skipped:
        raise ValueError(
            f'--resume: no checkpoint in {str(folder)!r} can be read, of '
            f'{len(skipped)}. The newest: {skipped[0]}'
        )
    return None


def _candidates(folder: Path) -> List[Path]:
    steps = {
        path: int(match[1])
        for path in folder.glob('*.pth')
        if (match := _STEP.match(path.name))
    }
    paths = sorted(steps, key=lambda path: steps[path], reverse=True)
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        written = Path(pointer.read_text().strip())
        # By its name first: the folder may have been copied since.
        named = folder / written.name
        named = named if named.is_file() else written
        if named.is_file():
            paths = [named, *(path for path in paths if path != named)]
    return paths
