"""The results of a sweep as a picture."""

import io
from pathlib import Path
from typing import Any, Dict, List, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmtat.files import write_atomically

from ..seed_statistics import mean_and_std
from .grid import short_names
from .points import finished_values, points_of
from .records import Result

#: From this ratio of its largest to its least value on, an axis is log.
_LOG_FROM = 10

#: For each line its points: label, mean, standard deviation.
Lines = Dict[str, List[Tuple]]


def draw(results: List[Result], metric: str, path: Path) -> None:
    """Save a picture of :func:`figure_of`.

    Args:
        results (list[Result]): Of a sweep.
        metric (str): Name of the metric.
        path (Path): Of the picture.
    """
    picture = io.BytesIO()
    figure_of(results, metric).savefig(picture, dpi=150, format='png')
    write_atomically(path, picture.getvalue())


def figure_of(results: List[Result], metric: str) -> Figure:
    """Means with their deviations over the first numeric axis.

    Other axes make lines of their own; without a numeric axis the points
    stand in columns.

    Args:
        results (list[Result]): Of a sweep.
        metric (str): Name of the metric.

    Returns:
        Figure: Of no window, also where there is a screen.
    """
    axes = list(results[0].run.labels)
    columns = [[r.run.labels[axis] for r in results] for axis in axes]
    numeric = [i for i, column in enumerate(columns) if _is_numeric(column)]
    index = numeric[0] if numeric else 0
    names = list(short_names(axes).values())
    figure = Figure(figsize=(6.4, 4.2), layout='constrained')
    axis = figure.subplots()
    lines = _lines(results, metric, index)
    if numeric:
        _plot_numbers(axis, lines, sorted(set(columns[index])))
    else:
        _plot_columns(axis, lines, list(dict.fromkeys(columns[index])))
    axis.set_xlabel(names.pop(index))
    axis.set_ylabel(metric)
    axis.set_title(_note(results), fontsize=9)
    axis.grid(alpha=0.3)
    if names:
        figure.legend(
            title=', '.join(names), loc='outside right upper', fontsize=9
        )
    return figure


def _is_numeric(labels: List) -> bool:
    return all(
        isinstance(label, (int, float)) and not isinstance(label, bool)
        for label in labels
    )


def _lines(results: List[Result], metric: str, index: int) -> Lines:
    lines: Lines = {}
    for labels, point in points_of(results).items():
        values = finished_values(point, metric)
        others = labels[:index] + labels[index + 1 :]
        line = lines.setdefault(', '.join(map(str, others)), [])
        if values:
            mean, std = mean_and_std(values)
            line.append((labels[index], mean, std if len(values) > 1 else 0))
    return lines


def _plot_numbers(axis: Axes, lines: Lines, ticks: List) -> None:
    for name, points in lines.items():
        points = sorted(points)
        x, means, stds = zip(*points) if points else ((), (), ())
        axis.errorbar(x, means, stds, fmt='o-', capsize=3, label=name)
    if ticks[0] > 0 and ticks[-1] / ticks[0] > _LOG_FROM:
        axis.set_xscale('log')
        axis.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
        axis.minorticks_off()


def _plot_columns(axis: Axes, lines: Lines, ticks: List[Any]) -> None:
    for number, (name, points) in enumerate(lines.items()):
        # Beside each other, so that no point hides another.
        shift = 0.4 * ((number + 0.5) / len(lines) - 0.5)
        x = [ticks.index(label) + shift for label, _, _ in points]
        _, means, stds = zip(*points) if points else ((), (), ())
        axis.errorbar(x, means, stds, fmt='o', capsize=3, label=name)
    labels = [str(tick) for tick in ticks]
    axis.set_xticks(range(len(ticks)), labels)
    if sum(map(len, labels)) > 50:
        axis.set_xticks(range(len(ticks)), labels, rotation=25, ha='right')
    axis.set_xlim(-0.5, len(ticks) - 0.5)


def _note(results: List[Result]) -> str:
    seeds = len({result.run.seed for result in results})
    failed = sum(result.status == 'failed' for result in results)
    note = f'mean ± standard deviation over {seeds} seeds'
    if seeds == 1:
        note = 'one seed'
    return f'{note}; without {failed} that failed' if failed else note
