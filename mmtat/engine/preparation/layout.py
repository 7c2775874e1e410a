"""Whether the files of a dataset are where they should be."""

import os
from itertools import islice
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence

#: Names that a message lists, of those that are missing.
SHOWN = 3
#: Folders that are looked into for the right one, at each level.
_LOOKED_AT = 50


def find_root(
    folder: Path, entries: Sequence[str], depth: int = 3
) -> Optional[Path]:
    """The folder that has all entries, among a folder and those below.

    Args:
        folder (Path): Where to look first.
        entries (Sequence[str]): Relative paths.
        depth (int): Levels below to look at. Defaults to 3.

    Returns:
        Path | None: The first, nearest to ``folder``.
    """
    level = [folder]
    while True:
        for candidate in level:
            if all((candidate / entry).exists() for entry in entries):
                return candidate
        if depth == 0:
            return None
        depth -= 1
        level = [child for parent in level for child in _folders_in(parent)]


def _folders_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            folders = (Path(e.path) for e in entries if e.is_dir())
            yield from sorted(islice(folders, _LOOKED_AT))
    except OSError:  # not ours to read
        return


def did_you_mean(root: Path, entries: Sequence[str]) -> List[str]:
    """A hint where the dataset lies a little below or above.

    Args:
        root (Path): The folder that the user named.
        entries (Sequence[str]): Relative paths that it should have.

    Returns:
        list[str]: The hint, if there is one.
    """
    below = find_root(root, entries, depth=2)
    above = [*root.absolute().parents][:2]
    candidates = [below, *(find_root(p, entries, depth=0) for p in above)]
    return [
        f"did you mean '{found}'?"
        for found in candidates
        if found not in (None, root)
    ][:1]


def missing_entries(root: Path, entries: Sequence[str]) -> List[str]:
    """Which files and folders a dataset lacks.

    Args:
        root (Path): Of the dataset.
        entries (Sequence[str]): Relative paths that it should have; a folder
            should hold something.

    Returns:
        list[str]: A problem for each, and a hint at the right folder.
    """
    problems = []
    for entry in entries:
        path = root / entry
        if not path.exists():
            problems.append(f"'{path}' is missing")
        elif path.is_dir() and not any(os.scandir(path)):
            problems.append(f"the folder '{path}' is empty")
    return problems + (did_you_mean(root, entries) if problems else [])


def missing_files(paths: Iterable[Path], what: str, of: str = '') -> List[str]:
    """How many of some files are missing, and the first names.

    Args:
        paths (Iterable[Path]): Of the files.
        what (str): What one is, such as 'image'.
        of (str): What says that they should be there. Defaults to ''.

    Returns:
        list[str]: One problem, or none.
    """
    paths = [str(path) for path in paths]
    missing = [path for path in paths if not os.path.isfile(path)]
    if not missing:
        return []
    verb = 'is' if len(missing) == 1 else 'are'
    return [
        f'{len(missing)} of the {len(paths)} {what}s{of and " " + of} {verb} '
        f'missing, as {shown(missing)}'
    ]


def wrong_number(found: int, expected: int, what: str) -> List[str]:
    """A problem where a number of things is not the expected one.

    Args:
        found (int): How many there are.
        expected (int): How many there should be.
        what (str): What they are, such as "images in 'train'".

    Returns:
        list[str]: One problem, or none.
    """
    if found == expected:
        return []
    return [f'{found} {what}, expected {expected}']


def shown(names: Iterable[object]) -> str:
    """The first few of some names, quoted.

    Args:
        names (Iterable[object]): Names or paths.

    Returns:
        str: At most :data:`SHOWN` of them.
    """
    return ', '.join(f"'{name}'" for name in islice(names, SHOWN))


def read_names(path: Path) -> List[str]:
    """Names of files without their suffix, a line each.

    Args:
        path (Path): Of the list.

    Returns:
        list[str]: In the order of the list, without blank lines.

    Raises:
        ValueError: The list cannot be read, or has a name with a folder.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the list '{path}' cannot be read: {error}") from (
            error
        )
    names = [line.strip() for line in lines if line.strip()]
    wrong = [name for name in names if Path(name).name != name]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of the {len(names)} lines of '{path}' are no names "
            f'of files, as {shown(wrong)}'
        )
    return names


def raise_problems(title: str, problems: Sequence[str]) -> None:
    """Raise where there are problems.

    Args:
        title (str): Begins the message.
        problems (Sequence[str]): All of them.

    Raises:
        ValueError: Lists all of them.
    """
    if problems:
        lines = ''.join(f'\n  - {problem}' for problem in problems)
        raise ValueError(f'{title}:{lines}')
