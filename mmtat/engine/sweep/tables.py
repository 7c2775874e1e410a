"""The results of a sweep as csv, table and picture."""

import csv
import io
from pathlib import Path
from typing import List, Optional, Union

from mmtat.files import write_atomically

from ..seed_statistics import mean_and_std
from .grid import Run, short_names
from .picture import draw
from .points import finished_values, points_of
from .records import LOG_FILE, Result


def describe(run: Run) -> str:
    """A run in a line.

    Args:
        run (Run): The run.

    Returns:
        str: As 'loss_weight 0.1, seed 0'.
    """
    names = short_names(list(run.labels))
    parts = [f'{names[axis]} {label}' for axis, label in run.labels.items()]
    return ', '.join([*parts, f'seed {run.seed}'])


def write_results(
    results: List[Result], out: Union[str, Path], metric: str
) -> None:
    """Write results.csv, results.md and results.png.

    Args:
        results (list[Result]): Of :func:`run_sweep`.
        out (str | Path): Folder of the sweep.
        metric (str): The metric in table and picture.
    """
    out = Path(out)
    write_csv(results, out)
    write_atomically(out / 'results.md', markdown(results, metric))
    draw(results, metric, out / 'results.png')


def write_csv(results: List[Result], out: Path) -> None:
    """Write results.csv, a row for each run.

    Args:
        results (list[Result]): Finished and failed ones.
        out (Path): Folder of the sweep.
    """
    axes = list(dict.fromkeys(a for r in results for a in r.run.labels))
    metrics = list(dict.fromkeys(m for r in results for m in r.metrics))
    last = ['seconds', 'seconds_per_iteration', 'folder']
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        [*axes, 'seed', 'status', *metrics, *last],
        lineterminator='\n',
    )
    writer.writeheader()
    for result in results:
        row = {
            **result.run.labels,
            'seed': result.run.seed,
            'status': result.status,
            **result.metrics,
            'seconds': _rounded(result.seconds),
            'seconds_per_iteration': _rounded(result.seconds_per_iteration),
            'folder': result.run.name,
        }
        writer.writerow(row)
    write_atomically(out / 'results.csv', text.getvalue())


def _rounded(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else float(f'{seconds:.4g}')


def markdown(results: List[Result], metric: str) -> str:
    """A table with a row for each point of the grid, and what failed.

    Args:
        results (list[Result]): Of a sweep.
        metric (str): Name of the metric.

    Returns:
        str: Markdown.
    """
    names = short_names(list(results[0].run.labels)).values()
    points = points_of(results)
    values = {key: finished_values(r, metric) for key, r in points.items()}
    means = [abs(mean_and_std(own)[0]) for own in values.values() if own]
    # Percents get two decimals, and fractions as many digits.
    places = 2 if max(means, default=0) > 1.5 else 4
    rows = [[*names, metric, 'std', 'n', 'failed']]
    rows.append(['---'] * len(rows[0]))
    for labels, point in points.items():
        mean, std = mean_and_std(values[labels])
        count = len(values[labels])
        failed = sum(result.status == 'failed' for result in point)
        rows.append(
            [
                *map(str, labels),
                f'{mean:.{places}f}' if count else '-',
                f'± {std:.{places}f}' if count > 1 else '-',
                str(count),
                str(failed),
            ]
        )
    lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
    lines += ['', f'{metric}: mean ± sample standard deviation over n seeds.']
    failures = [result for result in results if result.status == 'failed']
    if failures:
        lines += ['', f'{len(failures)} of {len(results)} runs failed:', '']
    for result in failures:
        # How it ended, and the last that it said.
        error = result.error.splitlines()
        lines.append(
            f'- {describe(result.run)}: {error[0].partition(";")[0]}; '
            f'{result.run.name}/{LOG_FILE} ends: {error[-1].strip()}'
        )
    return '\n'.join(lines) + '\n'
