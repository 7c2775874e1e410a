"""Config strings of the zoos without pkg_resources."""

import importlib.metadata
import importlib.util
import os.path as osp
import sys
from typing import Any

from .workaround import Workaround


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
        return True
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None


def _package2module(package: str) -> str:
    top_level = importlib.metadata.distribution(package).read_text(
        'top_level.txt'
    )
    if not top_level:
        raise ValueError(f'can not infer the module name of {package}')
    return top_level.split('\n')[0]


def _get_installed_path(package: str) -> str:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise
        return osp.dirname(spec.origin)
    path = osp.join(str(distribution.locate_file('')), package)
    if osp.exists(path):
        return path
    # An editable install keeps its metadata away from its package.
    spec = importlib.util.find_spec(_package2module(package))
    return osp.dirname(spec.origin)


def _package_lookups_needed() -> bool:
    # find_spec, because importing pkg_resources takes a third of a second.
    return importlib.util.find_spec('pkg_resources') is None


def _rebind(package: str, old: Any, new: Any) -> None:
    """Replace ``old`` by ``new`` wherever a module of ``package`` binds it."""
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + '.'):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def _apply_package_lookups() -> None:
    from mmengine.utils import package_utils

    for new in (_is_installed, _package2module, _get_installed_path):
        old = getattr(package_utils, new.__name__[1:])
        _rebind('mmengine', old, new)


WORKAROUND = Workaround(
    'pkg-resources',
    '"mmseg::..." config strings need pkg_resources, which setuptools '
    '82 removed',
    'mmengine looks packages up by importlib.metadata',
    _package_lookups_needed,
    _apply_package_lookups,
)
