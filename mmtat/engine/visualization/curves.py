"""Runs side by side: losses, learning rate, metrics."""

import difflib
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..report import note
from .logs import OF_STUDENT, Curves, read_runs
from .outputs import check_new, check_picture, save_figure

#: Of a log, what is drawn only where it is asked for.
_ASIDE = ('time', 'data_time', 'memory', 'momentum')
#: Panels beside each other.
_ACROSS = 3
#: From this ratio of its largest to its least value on, an axis is log.
_LOG_FROM = 30
#: Fewer points are also dots.
_DOTS = 30


def draw_curves(
    logs: Sequence[str],
    out: Path,
    keys: Optional[Sequence[str]] = None,
    force: bool = False,
) -> Path:
    """Draw the curves of runs, a panel for each key.

    Args:
        logs (Sequence[str]): Work dirs, or files of scalars.
        out (Path): Of the PNG.
        keys (Sequence[str], optional): What is drawn; by default losses,
            the learning rate and metrics.
        force (bool): Whether the file may be written over. Defaults to
            False.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: A log or a key is not there, or the file is.
    """
    check_new([check_picture(out)], force)
    runs = read_runs(list(logs))
    known = sorted({key for curves in runs.values() for key in curves})
    chosen = _ordered(known) if keys is None else _checked(keys, known)
    for name, curves in runs.items():
        lacking = [key for key in chosen if keys and key not in curves]
        if lacking:
            note(f'{name} has logged no {", ".join(lacking)}')
    save_figure(curves_figure(runs, chosen), out)
    return out


def curves_figure(runs: Dict[str, Curves], keys: Sequence[str]) -> Figure:
    """A panel for each key with a line for each run.

    Args:
        runs (dict[str, Curves]): By the run's name.
        keys (Sequence[str]): What is drawn.

    Returns:
        Figure: Of no window.
    """
    across = min(_ACROSS, len(keys))
    down = -(-len(keys) // across)
    figure = Figure(figsize=(4.2 * across + 0.4, 2.8 * down + 0.8))
    figure.set_layout_engine('constrained')
    axes = figure.subplots(down, across, squeeze=False).flatten()
    last = max(
        step
        for c in runs.values()
        for k in keys
        for step in c.get(k, [[0]])[0]
    )
    for axis, key in zip(axes, keys):
        _draw(axis, key, runs)
        # One range, so that panels can be compared.
        axis.set_xlim(-0.03 * last, 1.03 * last + 1e-9)
    for axis in axes[len(keys) :]:
        axis.axis('off')
    figure.legend(
        handles=[
            axes[0].plot([], [], color=f'C{number % 10}', label=name)[0]
            for number, name in enumerate(runs)
        ],
        loc='outside upper center',
        ncols=min(len(runs), 3),
        fontsize=9,
        frameon=False,
    )
    return figure


def _draw(axis: Axes, key: str, runs: Dict[str, Curves]) -> None:
    values: List[float] = []
    for number, curves in enumerate(runs.values()):
        if key not in curves:
            continue
        steps, numbers = curves[key]
        values += [one for one in numbers if np.isfinite(one)]
        axis.plot(
            steps,
            numbers,
            color=f'C{number % 10}',
            marker='o' if len(steps) < _DOTS else None,
            markersize=3.5,
            # A line that lies under another is still seen.
            linewidth=1.2 + 1.6 * (1 - (number + 1) / len(runs)),
        )
    if values and min(values) > 0 and max(values) / min(values) > _LOG_FROM:
        axis.set_yscale('log')
    axis.set_title(key, fontsize=10)
    axis.set_xlabel('iteration', fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)


def _ordered(keys: Sequence[str]) -> List[str]:
    """Losses, then the learning rate, then metrics."""
    kept = [key for key in keys if key.rpartition('/')[2] not in _ASIDE]
    losses = [key for key in kept if 'loss' in key]
    # The sum before its parts.
    losses.sort(key=lambda key: (key != 'loss', key))
    rates = [key for key in kept if key == 'lr' or key.endswith('_lr')]
    others = [key for key in kept if key not in losses and key not in rates]
    return losses + rates + others


def _checked(keys: Sequence[str], known: Sequence[str]) -> List[str]:
    for key in (key.removeprefix(OF_STUDENT) for key in keys):
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3, cutoff=0.4)
            hint = f'close matches: {", ".join(close)}; ' if close else ''
            raise ValueError(
                f'--keys: no run has logged {key!r}; {hint}there are '
                f'{", ".join(known)}'
            )
    return list(dict.fromkeys(key.removeprefix(OF_STUDENT) for key in keys))
