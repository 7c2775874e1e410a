"""What mmtat needs, as its setup.py says, and which versions were tested."""

import ast
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

#: Of a checkout; an installed mmtat lies elsewhere.
ROOT = Path(__file__).resolve().parents[3]
_FOR_DEVELOPERS = ('tests', 'dev')


@dataclass(frozen=True)
class Declared:
    """Requirements, as pip writes them.

    Attributes:
        needed (list[str]): Always.
        extras (dict[str, list[str]]): By the name of the extra.
    """

    needed: List[str]
    extras: Dict[str, List[str]]


def declared(root: Path = ROOT) -> Declared:
    """What a checkout's setup.py declares, else what was installed.

    Args:
        root (Path): Where setup.py may be: the metadata of a checkout are
            as old as its installation.

    Returns:
        Declared: Without what only developers need.

    Raises:
        importlib.metadata.PackageNotFoundError: There is neither.
    """
    path = root / 'setup.py'
    if path.is_file():
        tables = _literals(path)
        needed, extras = tables['INSTALL_REQUIRES'], tables['EXTRAS_REQUIRE']
    else:
        needed, extras = _of_metadata()
    return Declared(
        needed, {k: v for k, v in extras.items() if k not in _FOR_DEVELOPERS}
    )


def tested_versions(root: Path = ROOT) -> Dict[str, str]:
    """The versions that were tested together.

    Args:
        root (Path): Of the checkout.

    Returns:
        dict[str, str]: By package; empty where the file is not there.
    """
    path = root / 'requirements' / 'constraints.txt'
    if not path.is_file():
        return {}
    lines = path.read_text(encoding='utf-8').splitlines()
    pairs = [line.split('==') for line in lines if '==' in line[:60]]
    return {
        name.strip(): version.strip()
        for name, version in pairs
        if not name.startswith('#')
    }


def _literals(path: Path) -> Dict[str, object]:
    tree = ast.parse(path.read_text(encoding='utf-8'))
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ('INSTALL_REQUIRES', 'EXTRAS_REQUIRE')
    }


def _of_metadata() -> tuple:
    needed: List[str] = []
    extras: Dict[str, List[str]] = {}
    for line in importlib.metadata.requires('mmtat') or []:
        requirement, _, marker = line.partition(';')
        extra = re.search(r'extra *== *[\'"]([\w-]+)', marker)
        where = extras.setdefault(extra[1], []) if extra else needed
        where.append(requirement.strip())
    return needed, extras


def version_of(package: str) -> Optional[str]:
    """The installed version of a package.

    Args:
        package (str): Its name in the registry.

    Returns:
        str | None: None where it is not installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
