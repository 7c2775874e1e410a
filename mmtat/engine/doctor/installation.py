"""Versions of what is installed, by metadata alone."""

import importlib.metadata
import platform
import re
from typing import Any, Dict, Iterator, List, Optional

from .declared import declared, tested_versions, version_of
from .findings import NOTE, OK, PROBLEM, Finding

#: Packages whose versions matter, beside the module that each brings.
STACK = {
    'torch': 'torch',
    'torchvision': 'torchvision',
    'mmengine': 'mmengine',
    'mmpretrain': 'mmpretrain',
    'mmsegmentation': 'mmseg',
    'mmrazor': 'mmrazor',
}
_MMCV = ('mmcv', 'mmcv-lite')
#: Python's range is checked by pip; which were tried is said by compat.
_PYTHON = (3, 11)


def look_at_python() -> Iterator[Finding]:
    """Python, and that it is not too old.

    Yields:
        Finding: One.
    """
    version = platform.python_version()
    if tuple(map(int, version.split('.')[:2])) < _PYTHON:
        yield Finding(
            PROBLEM,
            f'python {version} is too old',
            'make an environment of Python 3.11 or 3.12',
        )
    else:
        yield Finding(OK, f'python {version}')


def look_at_packages() -> Iterator[Finding]:
    """What mmtat needs: installed, in its range, and as tested.

    Yields:
        Finding: For each package.
    """
    tested = tested_versions()
    for line in declared().needed:
        name = _name_of(line)
        version = version_of(name)
        if version is None:
            yield Finding(
                PROBLEM, f'{name} is not installed', _pip(line, name, tested)
            )
        elif not _admits(line, version):
            yield Finding(
                PROBLEM,
                f'{name} {version} is outside {line[len(name) :]}',
                _pip(line, name, tested),
            )
        elif name in STACK:
            yield from _beside_tested(name, version, tested)
    yield from _look_at_mmcv(tested)
    own = version_of('mmtat')
    if own is None:
        yield Finding(
            PROBLEM,
            'mmtat is not installed in this environment',
            "pip install -e '.[lite]' in its checkout",
        )
    else:
        yield Finding(OK, f'mmtat {own}')


def look_at_torchvision() -> Iterator[Finding]:
    """Whether torchvision was built for this torch.

    Yields:
        Finding: Where it was not.
    """
    torch = version_of('torch')
    if torch is None or version_of('torchvision') is None:
        return
    for line in importlib.metadata.requires('torchvision') or []:
        built_for = re.match(r'torch *\(?== *([\d.]+)', line)
        if built_for and torch.split('+')[0] != built_for[1]:
            yield Finding(
                PROBLEM,
                f'torchvision {version_of("torchvision")} was built for torch '
                f'{built_for[1]}, and this is torch {torch}',
                f"pip install 'torch=={torch.split('+')[0]}' --upgrade "
                'torchvision',
            )


def look_at_foreigners() -> Iterator[Finding]:
    """Packages that bring the modules of the stack under another name.

    Yields:
        Finding: For each.
    """
    owners = importlib.metadata.packages_distributions()
    expected = {module: [name] for name, module in STACK.items()}
    expected['mmcv'] = list(_MMCV)
    for module, names in expected.items():
        for other in sorted(set(owners.get(module, [])) - set(names)):
            yield Finding(
                PROBLEM,
                f'{other} {version_of(other)} brings the module {module}, as '
                f'{names[-1]} does, which mmtat is for',
                f'pip uninstall {other}, then pip install --force-reinstall '
                f"--no-deps '{_tested(names[-1], tested_versions())}'",
            )


def look_at_extras() -> Iterator[Finding]:
    """Packages of the optional extras.

    Yields:
        Finding: For each extra.
    """
    for extra, lines in declared().extras.items():
        if extra == 'lite':
            continue
        names = [_name_of(line) for line in lines]
        missing = [name for name in names if version_of(name) is None]
        if missing:
            yield Finding(
                NOTE,
                f'{extra}: {", ".join(missing)} not installed',
                f"pip install 'mmtat[{extra}]'",
            )
        else:
            found = ', '.join(f'{n} {version_of(n)}' for n in names)
            yield Finding(OK, f'{extra}: {found}')


def _look_at_mmcv(tested: Dict[str, str]) -> Iterator[Finding]:
    """One of mmcv and mmcv-lite, in the range that both have."""
    found = {name: version_of(name) for name in _MMCV}
    found = {name: version for name, version in found.items() if version}
    (line,) = declared().extras['lite']
    bounds = line[len('mmcv-lite') :]
    if not found:
        yield Finding(
            PROBLEM,
            'neither mmcv nor mmcv-lite is installed',
            _pip(line, 'mmcv-lite', tested),
        )
    elif len(found) == 2:
        yield Finding(
            PROBLEM,
            'mmcv and mmcv-lite are both installed, and overwrite each other',
            'pip uninstall mmcv mmcv-lite, then '
            + _pip(line, 'mmcv-lite', tested),
        )
    for name, version in found.items():
        if not _admits(line, version):
            pinned = tested.get('mmcv-lite')
            wanted = f'{name}=={pinned}' if pinned else name + bounds
            yield Finding(
                PROBLEM,
                f'{name} {version} is outside {bounds}',
                f"pip install '{wanted}'",
            )
        else:
            yield Finding(OK, f'{name} {version}')


def _beside_tested(
    name: str, version: str, tested: Dict[str, str]
) -> Iterator[Finding]:
    """Whether it is what the tests ran with; compat speaks for torch."""
    wanted = tested.get(name, version)
    if version.split('+')[0] == wanted or name in ('torch', 'torchvision'):
        yield Finding(OK, f'{name} {version}')
    else:
        yield Finding(
            NOTE,
            f'{name} {version}, where {wanted} was tested',
            f"pip install '{name}=={wanted}'",
        )


def _name_of(requirement: str) -> str:
    return re.match(r'[\w.-]+', requirement)[0]


def _tested(name: str, tested: Dict[str, str]) -> str:
    return f'{name}=={tested[name]}' if name in tested else name


def _pip(requirement: str, name: str, tested: Dict[str, str]) -> str:
    """The line that installs what was tested, else what is admitted."""
    if name == 'torchvision':
        # Each is for one torch; pip finds the one for that which is there.
        torch = (version_of('torch') or tested.get('torch', '')).split('+')[0]
        return f"pip install torchvision 'torch=={torch}'"
    wanted = _tested(name, tested) if name in tested else requirement
    return f"pip install '{wanted}'"


def _admits(requirement: str, version: str) -> bool:
    """Whether a version is in the range of a requirement."""
    parsed = _requirement(requirement)
    return parsed is None or parsed.specifier.contains(
        version, prereleases=True
    )


def _requirement(text: str) -> Optional[Any]:
    """It, by the library that pip carries where there is no other."""
    modules: List[str] = ['packaging', 'pip._vendor.packaging']
    for module in modules:
        try:
            found = importlib.import_module(f'{module}.requirements')
        except ImportError:
            continue
        return found.Requirement(text)
    return None
