"""What a run left behind, and whether it ends as if undisturbed."""

import contextlib
import io
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import torch

from .runs import WORK_DIR

#: Lets torch load what mmengine saved, whatever it holds.
UNSAFE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
#: Say where and when a file was written, not what was trained.
_PLACES = (
    *('cfg', 'config', 'experiment_name', 'last_ckpt', 'settings'),
    # Of undisturbed runs, which keep all of theirs.
    'keep_ckpt_ids',
)


@dataclass
class Found:
    """What a resume finds in a folder.

    Attributes:
        step (int): That it would go on from; 0 is from the beginning.
        error (str): Why it cannot go on at all; '' where it can.
        skipped (list[str]): What was said of files that were left out.
        temporary (int): Files that were left over.
        loadable (int): Newest step of any whole file, taken or not.
    """

    step: int = 0
    error: str = ''
    skipped: List[str] = field(default_factory=list)
    temporary: int = 0
    loadable: int = 0


@contextlib.contextmanager
def unsafe_loading(is_unsafe: bool = True) -> Iterator[None]:
    """Load as torch before 2.6 did, or as it does now."""
    os.environ.update({UNSAFE: '1'} if is_unsafe else {})
    try:
        yield
    finally:
        os.environ.pop(UNSAFE, None)


@contextlib.contextmanager
def restored(folder: Path) -> Iterator[None]:
    """Leave a folder as it was; what a run wrote names its own place."""
    kept = folder.with_name(f'{folder.name}_kept')
    _copy(folder, kept)
    try:
        yield
    finally:
        empty(folder)
        _copy(kept, folder)
        empty(kept)
        kept.rmdir()


def _copy(source: Path, target: Path) -> None:
    # With the times of the files, which a resume looks at.
    shutil.copytree(source, target, dirs_exist_ok=True)


def empty(folder: Path) -> None:
    """Remove what is in a folder; of a mounted disk, its files."""
    for path in sorted(folder.rglob('*'), reverse=True):
        is_disk = path.is_mount()
        if path.is_dir() and not path.is_symlink() and not is_disk:
            path.rmdir()
        elif not is_disk:
            path.unlink()


def step_of(path: Optional[Path]) -> int:
    """Of a checkpoint, by its name."""
    match = re.search(r'iter_(\d+)\.pth$', str(path))
    return int(match[1]) if match else 0


def found(side: str, folder: Path) -> Found:
    """Look as a resume does, without going on."""
    result = dict(mmtat=_by_mmtat, mmengine=_by_mmengine)[side](folder)
    run = folder / WORK_DIR
    result.temporary = len(list(run.glob('.*.tmp')))
    for path in run.glob('iter_*.pth'):
        with contextlib.suppress(Exception):
            torch.load(path, weights_only=False)
            result.loadable = max(result.loadable, step_of(path))
    return result


def _by_mmtat(folder: Path) -> Found:
    from mmtat.engine.saving import newest

    result, say = Found(), newest.print_log
    newest.print_log = lambda line, *_: result.skipped.append(line)
    try:
        with contextlib.chdir(folder):
            result.step = step_of(newest.newest_loadable(Path(WORK_DIR)))
    except Exception as error:
        result.error = f'{type(error).__name__}: {error}'
    finally:
        newest.print_log = say
    return result


def _by_mmengine(folder: Path) -> Found:
    from mmengine.runner import checkpoint

    result = Found()
    try:
        quiet = contextlib.redirect_stdout(io.StringIO())
        with contextlib.chdir(folder), quiet:
            path = checkpoint.find_latest_checkpoint(WORK_DIR)
            if path is not None:
                checkpoint._load_checkpoint(path, 'cpu')
                result.step = step_of(path)
    except Exception as error:
        result.error = type(error).__name__
    return result


def last(folder: Path, step: int) -> Any:
    """What the checkpoint of a step holds."""
    path = folder / WORK_DIR / f'iter_{step}.pth'
    return torch.load(path, weights_only=False)


def difference(one: Any, other: Any, name: str = 'checkpoint') -> str:
    """The first thing that is not bitwise the same; '' if all is."""
    if torch.is_tensor(one) and torch.is_tensor(other):
        same = one.dtype == other.dtype and torch.equal(one, other)
        return '' if same else name
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return '' if np.array_equal(one, other) else name
    if type(one) is not type(other):
        return f'{name}: {type(one).__name__}, {type(other).__name__}'
    if isinstance(one, dict):
        one, other = (_without_places(values) for values in (one, other))
        if list(one) != list(other):
            return f'{name}: other keys'
        pairs = [(one[key], other[key], key) for key in one]
    elif isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return f'{name}: other length'
        pairs = [(*pair, i) for i, pair in enumerate(zip(one, other))]
    elif hasattr(one, '__dict__'):
        pairs = [(vars(one), vars(other), '')]
    else:
        return '' if one == other else name
    found = (difference(a, b, f'{name}.{key}') for a, b, key in pairs)
    return next(filter(None, found), '')


def _without_places(values: Dict) -> Dict:
    return {
        key: value
        for key, value in values.items()
        if key not in _PLACES and 'time' not in str(key)
    }


def weights_differ(one: Any, other: Any) -> bool:
    """Whether the models of two checkpoints differ in a bit."""
    return bool(difference(one['state_dict'], other['state_dict']))
