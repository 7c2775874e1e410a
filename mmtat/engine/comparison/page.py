"""Tables and pictures of a comparison."""

import math
import re
from pathlib import Path
from typing import Dict, List

from ..seed_statistics import mean_and_std, paired_interval
from .methods import METHODS
from .rows import Rows
from .stages import ALONE, SAME_TIME, TAT_KD

TITLES = {
    ALONE: 'student alone',
    SAME_TIME: "student alone, TaT's wall time",
    **{name: method.title for name, method in METHODS.items()},
    TAT_KD: 'TaT released + KD',
}
#: The order of the rows.
ORDER = list(TITLES)


def table(rows: Rows) -> str:
    """Means, deviations, and differences to the student alone.

    Args:
        rows (Rows): Of one regime.

    Returns:
        str: A table in Markdown, a line for each method. Metrics in
        percent; in brackets the 95 % interval of the paired difference of
        the first metric. Below it, how TaT's formulations differ.
    """
    shifts = [metric.split('/')[0] for metric in rows.metrics[1:]]
    head = ['method', 'seeds', 'weight', 'val', 'val − alone', *shifts, 'cost']
    lines = [_line(head), _line(['---'] * len(head))]
    lines += [_line(_cells(rows, method)) for method in _ordered(rows)]
    if {'tat_paper', 'tat_released'} <= set(rows.values):
        difference = _difference(rows, 'tat_paper', 'tat_released')
        lines += ['', f'TaT, paper − released: {difference}.']
    return '\n'.join(lines)


def _cells(rows: Rows, method: str) -> List[str]:
    seeds = sorted(rows.values[method])
    cells = [TITLES[method], str(len(seeds)), _number(rows.weights, method)]
    for index, metric in enumerate(rows.metrics):
        values = rows.of(method, metric, seeds)
        mean, std = mean_and_std(values)
        spread = '-' if math.isnan(std) else f'{std:.2f}'
        cells.append(f'{mean:.2f} ± {spread}')
        if index == 0:
            cells.append(_difference(rows, method, ALONE))
    return [*cells, _number(rows.costs, method, '.2f')]


def _difference(rows: Rows, method: str, baseline: str) -> str:
    """The paired difference of the first metric, with its interval."""
    if method == baseline:
        return ''
    seeds = sorted(set(rows.values[method]) & set(rows.values[baseline]))
    metric = rows.metrics[0]
    interval = paired_interval(
        rows.of(method, metric, seeds), rows.of(baseline, metric, seeds)
    )
    if interval.pairs == 1:
        return f'{interval.mean:+.2f}'
    return f'{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]'


def _number(numbers: Dict[str, float], method: str, form: str = 'g') -> str:
    return format(numbers[method], form) if method in numbers else ''


def _ordered(rows: Rows) -> List[str]:
    return sorted(rows.values, key=ORDER.index)


def _line(cells: List[str]) -> str:
    return f'| {" | ".join(cells)} |'


def draw(tables: Dict[str, Rows], path: Path) -> None:
    """Draw the differences to the student alone, with their intervals.

    Args:
        tables (dict[str, Rows]): By title, one beside the other.
        path (Path): Of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(tables), 5.2), layout='constrained')
    axes = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    names = [n for n in ORDER if any(n in r.values for r in tables.values())]
    names.remove(ALONE)
    for axis, (title, rows) in zip(axes, tables.items()):
        for place, name in enumerate(reversed(names)):
            if name not in rows.values:
                continue
            seeds, metric = sorted(rows.values[name]), rows.metrics[0]
            interval = paired_interval(
                rows.of(name, metric, seeds), rows.of(ALONE, metric, seeds)
            )
            axis.errorbar(
                interval.mean,
                place,
                xerr=interval.high - interval.mean,
                fmt='o',
                capsize=3,
                color='C1' if name.startswith('tat') else 'C0',
            )
        axis.axvline(0, color='grey', linewidth=1)
        axis.set_title(title.replace('_', ' '), fontsize=10)
        axis.set_xlabel('difference to the student alone')
        axis.grid(alpha=0.3)
    ticks = [TITLES[name] for name in reversed(names)]
    axes[0].set_yticks(range(len(names)), ticks)
    figure.savefig(path, dpi=110, format='png')


def insert_tables(text: str, tables: Dict[str, str]) -> str:
    """Put tables between the marks of a page.

    Args:
        text (str): With ``<!-- table NAME -->`` and ``<!-- end -->``.
        tables (dict[str, str]): By name.

    Returns:
        str: The page.

    Raises:
        ValueError: A table has no marks.
    """
    for name, content in tables.items():
        marks = re.compile(
            rf'(<!-- table {re.escape(name)} -->\n).*?(<!-- end -->)', re.S
        )
        text, count = marks.subn(
            lambda match, content=content: (
                f'{match[1]}\n{content}\n\n{match[2]}'
            ),
            text,
        )
        if count != 1:
            raise ValueError(
                f'the page must have one place for the table {name!r}, has '
                f'{count}'
            )
    return text
