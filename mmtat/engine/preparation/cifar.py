"""CIFAR-100, as mmpretrain reads it."""

from pathlib import Path
from typing import Dict, List

from .archives import Archive, md5_of, unpack
from .layout import did_you_mean, find_root, shown
from .parts import Part

FOLDER = 'cifar-100-python'
# The address and the MD5s are those that mmpretrain and torchvision state.
FILES = {
    'train': '16019d7e3df5f24257cddd939b257f8d',
    'test': 'f0ef6b0ae62326f3e7ffdfab6717acfc',
    'meta': '7973b15100ade9c7d40fb424638fde48',
}
ARCHIVE = Archive(
    'cifar-100-python.tar.gz',
    'https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',
    'eb9058c3a382ffc7106e4002c42a8d85',
)


def _make(path: Path, folder: Path, out: Path) -> None:
    """Unpack the folder; see :attr:`Part.make`."""
    unpack(path, folder / 'unpacked', (FOLDER,))
    root = find_root(folder / 'unpacked', (FOLDER,))
    if root is not None:
        (root / FOLDER).rename(folder / 'ready' / FOLDER)


PARTS = (Part(ARCHIVE, (FOLDER,), _make),)


def check_cifar100(root: Path, files: Dict[str, str] = FILES) -> List[str]:
    """What is wrong with a folder of CIFAR-100.

    The files are pickles, which could run anything: their MD5s are checked
    before anyone loads them.

    Args:
        root (Path): The folder that holds ``cifar-100-python``.
        files (dict[str, str]): MD5 of each file. Defaults to :data:`FILES`.

    Returns:
        list[str]: A problem each.
    """
    return check_files(root, FOLDER, files)


def check_files(root: Path, folder: str, files: Dict[str, str]) -> List[str]:
    """Which files of CIFAR are missing or not the known ones.

    Args:
        root (Path): Of the dataset.
        folder (str): Its only folder.
        files (dict[str, str | None]): MD5 of each file in it.

    Returns:
        list[str]: A problem each, and a hint at the right folder.
    """
    missing = [n for n in files if not (root / folder / n).is_file()]
    other = [
        name
        for name, md5 in files.items()
        if name not in missing and md5 and md5_of(root / folder / name) != md5
    ]
    problems = [
        f"{len(names)} of the {len(files)} files of '{root / folder}' {what}: "
        f'{shown(names)}'
        for names, what in (
            (missing, 'are missing'),
            (other, 'have another MD5 than the known one'),
        )
        if names
    ]
    if missing:
        hint = did_you_mean(root, [f'{folder}/{name}' for name in files])
        if not hint and all((root / name).is_file() for name in files):
            hint = [f"they are in '{root}': move them to '{folder}'"]
        problems += hint
    return problems
