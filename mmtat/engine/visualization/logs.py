"""What runs have logged, by mmengine's LocalVisBackend."""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ..report import note

#: For each key the iterations and the values.
Curves = Dict[str, Tuple[List[int], List[float]]]

#: Before what a student logs in a distillation; left out, so that it stands
#: beside what the student logs alone.
OF_STUDENT = 'student.'
_COUNTERS = ('iter', 'epoch', 'step')


def read_runs(sources: List[str]) -> Dict[str, Curves]:
    """Read the logs of runs.

    Args:
        sources (list[str]): Each a work dir, of which all starts are joined,
            or a file of scalars.

    Returns:
        dict[str, Curves]: By a short name of the run.

    Raises:
        ValueError: There is no log, or it holds no numbers.
    """
    files = [_files(source) for source in sources]
    names = _names([Path(source) for source in sources])
    runs = {}
    for name, source, starts in zip(names, sources, files):
        curves: Curves = {}
        for file in starts:
            _join(curves, _read(file))
        if not curves:
            raise ValueError(
                f'LOG: {source!r} holds no scalars; give a work dir or '
                'vis_data/scalars.json'
            )
        runs[name] = curves
    return runs


def _files(source: str) -> List[Path]:
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(
            f'LOG: {source!r} is not there; give a work dir or a json file '
            'of vis_data/'
        )
    for pattern in ('scalars.json', 'vis_data/scalars.json'):
        if (path / pattern).is_file():
            return [path / pattern]
    # Each start logs into a folder that is named by its time.
    starts = sorted(path.glob('*/vis_data/scalars.json'))
    if not starts:
        raise ValueError(
            f'LOG: {source!r} has no vis_data/scalars.json; it is no work '
            'dir, or its visualizer has no LocalVisBackend'
        )
    return starts


def _names(paths: List[Path]) -> List[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = []
    for path in paths:
        kept = [p for p in path.resolve().parts if p != 'vis_data']
        is_plain = path.is_file() and path.name == 'scalars.json'
        parts.append(kept[:-1] if is_plain else kept)
    for length in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f'{name} ({number})' for number, name in enumerate(names, 1)]


def _read(file: Path) -> Curves:
    curves: Curves = {}
    broken, last = 0, {}
    for line in file.read_text(errors='replace').splitlines():
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            broken += 1
            continue
        if not isinstance(values, dict) or not _is_number(values.get('step')):
            broken += 1
            continue
        if 'lr' in values or 'iter' in values:
            last = values
        step = _iteration(values, last)
        for key, value in values.items():
            if key not in _COUNTERS and _is_number(value):
                name = key.removeprefix(OF_STUDENT)
                steps, numbers = curves.setdefault(name, ([], []))
                steps.append(step)
                numbers.append(float(value))
    if broken:
        note(f'{file}: {broken} lines that cannot be read are left out')
    return curves


def _iteration(values: Dict[str, Any], last: Dict[str, Any]) -> int:
    """The iteration of a line; those of validations may count epochs."""
    is_training = values is last
    if not is_training and last.get('epoch') == values['step']:
        return int(last['step'])
    return int(values['step'])


def _join(curves: Curves, later: Curves) -> None:
    """A later start replaces what an earlier one logged from there on."""
    if not later:
        return
    begin = min(steps[0] for steps, _ in later.values())
    for key, (steps, numbers) in list(curves.items()):
        kept = [i for i, step in enumerate(steps) if step < begin]
        curves[key] = [steps[i] for i in kept], [numbers[i] for i in kept]
    for key, (steps, numbers) in later.items():
        old_steps, old_numbers = curves.get(key, ([], []))
        curves[key] = old_steps + steps, old_numbers + numbers
    for key in [key for key, (steps, _) in curves.items() if not steps]:
        del curves[key]


def _is_number(value: Any) -> bool:
    # A loss that is not a number leaves a gap, and is no broken line.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and (not isinstance(value, int) or math.isfinite(value))
