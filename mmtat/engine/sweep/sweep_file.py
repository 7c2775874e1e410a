"""A sweep from a file."""

import difflib
import os.path as osp
from typing import Any, Dict, Optional

from mmtat.models.utils.config_file import read_config_file

from .grid import Sweep

_NEEDED = ('config', 'grid', 'seeds', 'metric')
_KEYS = (*_NEEDED, 'options', 'data_root')


def is_sweep(path: str) -> bool:
    """Whether a file is a sweep, rather than a config.

    Args:
        path (str): Of the file, or 'mmseg::...'.

    Returns:
        bool: True for a file with no model.

    Raises:
        ValueError: The file is not there, or no config.
    """
    if '::' in path:
        return False
    if not osp.isfile(path):
        raise ValueError(f'config: no file {path!r}; give a sweep or a config')
    return 'model' not in read_config_file(path, 'config')


def read_sweep(
    path: str,
    options: Optional[Dict[str, Any]] = None,
    data_root: Optional[str] = None,
) -> Sweep:
    """Read a sweep's file.

    Args:
        path (str): A file with ``config``, ``grid``, ``seeds`` and
            ``metric``, and perhaps ``options`` and ``data_root``, the
            arguments of :class:`Sweep`; its configs are relative to it.
        options (dict, optional): For every run; win over the file's.
        data_root (str, optional): Wins over the file's.

    Returns:
        Sweep: Named as the file.

    Raises:
        ValueError: A key is unknown or missing, or an axis of the grid sets
            one of ``options``.
    """
    content = read_config_file(path, 'config').to_dict()
    given = {k: v for k, v in content.items() if not k.startswith('_')}
    for key in given:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise ValueError(
                f'{path!r}: unknown key {key!r}; '
                + (f'did you mean {close[0]!r}? ' if close else '')
                + f'a sweep has {", ".join(_KEYS)}'
            )
    missing = [key for key in _NEEDED if key not in given]
    if missing:
        raise ValueError(f'{path!r}: a sweep needs {", ".join(missing)}')
    folder = osp.dirname(path)
    given['config'] = _beside(folder, given['config'])
    given['grid'] = _with_configs(folder, given['grid'])
    given['options'] = {**given.get('options', {}), **(options or {})}
    if data_root is not None:
        given['data_root'] = data_root
    sweep = Sweep(osp.splitext(osp.basename(path))[0], **given)
    check_not_hidden(sweep, options or {})
    return sweep


def check_not_hidden(sweep: Sweep, options: Dict[str, Any]) -> None:
    """Raise where an option that the user gave would have no effect.

    Args:
        sweep (Sweep): With the options.
        options (dict): From the command line.

    Raises:
        ValueError: An axis sets it.
    """
    for axis, values in sweep.grid.items():
        sets = [axis]
        if isinstance(values, dict):
            sets = [key for own in values.values() for key in own]
        for key in options:
            if key in sets:
                raise ValueError(
                    f'--cfg-options: {key!r} is what the axis {axis!r} of '
                    'the grid sets'
                )


def _beside(folder: str, config: Any) -> Any:
    if not isinstance(config, str) or '::' in config:
        return config
    return osp.normpath(osp.join(folder, config))


def _with_configs(folder: str, grid: Any) -> Any:
    """The grid with the paths of its configs from here."""
    if not isinstance(grid, dict):
        return grid
    grid = dict(grid)
    for axis, values in grid.items():
        if axis == 'config' and isinstance(values, (list, tuple)):
            grid[axis] = [_beside(folder, value) for value in values]
        elif isinstance(values, dict):
            grid[axis] = {
                label: {**own, 'config': _beside(folder, own['config'])}
                if isinstance(own, dict) and 'config' in own
                else own
                for label, own in values.items()
            }
    return grid
