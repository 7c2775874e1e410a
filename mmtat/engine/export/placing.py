"""Files that appear together, whole, or not at all."""

import contextlib
import os
import os.path as osp
import tempfile
from pathlib import Path
from typing import Iterator, Sequence


def check_targets(
    out: Path, names: Sequence[str], checkpoint: str, force: bool
) -> None:
    """Refuse to write where it would be a mistake.

    Args:
        out (Path): The file to make.
        names (Sequence[str]): All files that will appear in its folder.
        checkpoint (str): Path or URL of what is read.
        force (bool): Whether files may be replaced.

    Raises:
        ValueError: The folder is not there, a file is, or it is the
            checkpoint.
    """
    folder = out.parent
    if not folder.is_dir():
        raise ValueError(f'OUT: no folder {str(folder)!r}; make it first')
    if out.is_dir():
        raise ValueError(f'OUT: {str(out)!r} is a folder; give a file')
    paths = [folder / name for name in names]
    for path in paths:
        if path.exists() and osp.exists(checkpoint):
            if path.samefile(checkpoint):
                raise ValueError(
                    f'OUT: {str(path)!r} is the checkpoint itself; give '
                    'another name'
                )
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise ValueError(
            f'OUT: {", ".join(map(repr, there))} exists; give another name, '
            'or --force to replace it'
        )


@contextlib.contextmanager
def placed(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Make files aside, and put them in place when all went well.

    Args:
        folder (Path): Where they go.
        names (Sequence[str]): Their names, the most important last.

    Yields:
        Path: Where to make them, on the same disk.
    """
    with tempfile.TemporaryDirectory(
        prefix='.export_', dir=folder
    ) as temporary:
        yield Path(temporary)
        for name in names:
            os.replace(Path(temporary, name), folder / name)
