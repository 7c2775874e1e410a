"""The models of the zoos by name, with their weights and reported results."""

import difflib
import functools
import importlib.util
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmengine.fileio import load

PACKAGES = ('mmseg', 'mmpretrain')
#: Names that a package had once, or goes by.
_OTHER_NAMES = dict(
    mmsegmentation='mmseg', mmcls='mmpretrain', mmclassification='mmpretrain'
)
#: What a metafile's result is called in a sentence.
_METRICS = {
    'Top 1 Accuracy': 'top-1',
    'mIoU': 'mIoU',
    'mIoU(single scale)': 'mIoU',
    'mIoU(ss)': 'mIoU',
}


def zoo_root(package: str) -> Path:
    """The folder of a zoo's configs.

    Args:
        package (str): One of :data:`PACKAGES`.

    Returns:
        Path: ``.mim/configs`` in the package.

    Raises:
        ValueError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f'{package!r} is not installed')
    return Path(spec.origin).parent / '.mim' / 'configs'


@functools.lru_cache(maxsize=None)
def zoo_configs(package: str, of_bases: bool = False) -> List[str]:
    """Names of a zoo's configs, as ``'fcn/fcn_r50-d8_...py'``.

    Args:
        package (str): One of :data:`PACKAGES`.
        of_bases (bool): Those of ``_base_/datasets`` in the place of the
            models'. Defaults to False.

    Returns:
        list[str]: Sorted.
    """
    root = zoo_root(package)
    start = root / '_base_' / 'datasets' if of_bases else root
    return sorted(
        path.relative_to(root).as_posix()
        for path in start.rglob('*.py')
        if of_bases or '_base_' not in path.parts
    )


def find_config(source: str, role: str) -> str:
    """The whole name of a zoo's config.

    Args:
        source (str): ``'mmseg::NAME'`` or ``'mmpretrain::NAME'``, with or
            without its folder and ``.py``; a folder only has to say which
            of several is meant.
        role (str): Name of the argument, for messages.

    Returns:
        str: Such as ``'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes.py'``.

    Raises:
        ValueError: No such zoo or config (names close matches), or several.
    """
    package, _, name = source.partition('::')
    package = _OTHER_NAMES.get(package, package)
    if package not in PACKAGES:
        close = difflib.get_close_matches(package, [*PACKAGES, 'timm'], n=1)
        hint = f'did you mean {close[0]}::{name}? ' if close else ''
        raise ValueError(
            f'{role}: there is no zoo {package!r}; {hint}Models are named '
            'mmseg::NAME, mmpretrain::NAME, timm::NAME, or by the path of a '
            'config'
        )
    wanted = name.removesuffix('.py').split('/')
    known = zoo_configs(package)
    found = [
        config
        for config in known
        if config.removesuffix('.py').split('/')[-len(wanted) :] == wanted
    ]
    if not found and len(wanted) > 1:
        # The folder is wrong, and the name may be right.
        stem = [c for c in known if Path(c).stem == wanted[-1]]
        found = stem if len(stem) == 1 else []
    # A folder for deployment or a benchmark repeats names.
    shortest = [c for c in found if c.count('/') == 1]
    found = shortest if len(shortest) == 1 else found
    if len(found) == 1:
        return f'{package}::{found[0]}'
    if found:
        raise ValueError(
            f'{role}: {source!r} is the name of several configs; say which: '
            + ', '.join(f'{package}::{config}' for config in found)
        )
    raise ValueError(
        f'{role}: no config {source!r}; {close_configs(wanted[-1], package)}'
    )


def close_configs(name: str, *packages: str) -> str:
    """What a misspelt name may have meant, for a message.

    Args:
        name (str): Of a config, without folder and ``.py``.
        *packages (str): Zoos to look in; by default both.

    Returns:
        str: 'close matches: ...', or where to look.
    """
    known = {
        Path(config).stem: f'{package}::{Path(config).stem}'
        for package in packages or PACKAGES
        for config in zoo_configs(package)
    }
    close = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
    begin = [stem for stem in known if stem.startswith(name)]
    close = list(dict.fromkeys([*begin[:3], *close]))[:4]
    if not close:
        folders = sorted(
            {
                config.split('/')[0]
                for package in packages or PACKAGES
                for config in zoo_configs(package)
            }
        )
        return f'the folders of the zoo are {", ".join(folders)}'
    return 'close matches: ' + ', '.join(known[stem] for stem in close)


def zoo_entry(name: str) -> Dict[str, Any]:
    """What the zoo's metafile says of a config.

    Args:
        name (str): Of :func:`find_config`.

    Returns:
        dict: Its entry, or an empty one.
    """
    package, _, config = name.partition('::')
    root = zoo_root(package)
    folder = (root / config).parent
    while folder != root:
        for path in sorted(folder.glob('metafile.y*ml')):
            for entry in load(str(path)).get('Models', []):
                if entry.get('Config') == f'configs/{config}':
                    return entry
        folder = folder.parent
    return {}


def reported(entry: Dict[str, Any]) -> Optional[str]:
    """A metafile's result in words.

    Args:
        entry (dict): Of :func:`zoo_entry`.

    Returns:
        str | None: Such as 'mIoU 37.41 on ADE20K', if there is one.
    """
    results = entry.get('Results') or []
    results = [results] if isinstance(results, dict) else results
    for result in results:
        metrics = result.get('Metrics') or {}
        metrics = metrics if isinstance(metrics, dict) else metrics[0]
        for key, name in _METRICS.items():
            if key in metrics:
                return f'{name} {metrics[key]} on {result.get("Dataset")}'
    return None
