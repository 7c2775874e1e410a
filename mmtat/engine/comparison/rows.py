"""The numbers of a comparison as files that tables are made from."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Sequence

from mmtat.files import write_atomically

from ..sweep import Result

#: Columns beside the metrics.
METHOD, SEED, WEIGHT, COST = 'method', 'seed', 'weight', 'cost'


@dataclass
class Rows:
    """The runs of one table.

    Attributes:
        metrics (list[str]): The columns.
        values (dict[str, dict[int, dict[str, float]]]): By method, seed and
            metric.
        weights (dict[str, float]): By method.
        costs (dict[str, float]): Of a step, relative to the student's
            alone, by method.
    """

    metrics: List[str]
    values: Dict[str, Dict[int, Dict[str, float]]] = field(
        default_factory=dict
    )
    weights: Dict[str, float] = field(default_factory=dict)
    costs: Dict[str, float] = field(default_factory=dict)

    def of(self, method: str, metric: str, seeds: Sequence[int]) -> List:
        """A method's numbers.

        Args:
            method (str): Of the rows.
            metric (str): Of the columns.
            seeds (list[int]): Which.

        Returns:
            list[float]: In the order of the seeds.
        """
        return [self.values[method][seed][metric] for seed in seeds]


def rows_of(
    results: Sequence[Result],
    metrics: Sequence[str],
    weights: Dict[str, float],
    costs: Dict[str, float],
) -> Rows:
    """Collect what the trainings of a table gave.

    Args:
        results (list[Result]): Labelled by method.
        metrics (list[str]): The columns.
        weights (dict[str, float]): By method.
        costs (dict[str, float]): By method.

    Returns:
        Rows: They.
    """
    rows = Rows(list(metrics), weights=weights, costs=costs)
    for result in results:
        seeds = rows.values.setdefault(result.run.labels[METHOD], {})
        seeds[result.run.seed] = {m: result.metrics[m] for m in metrics}
    return rows


def write_rows(rows: Rows, path: Path) -> None:
    """Write a csv file, a line for each run.

    Args:
        rows (Rows): To write.
        path (Path): Of the file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([METHOD, SEED, WEIGHT, COST, *rows.metrics])
    for method, seeds in rows.values.items():
        weight, cost = rows.weights.get(method), rows.costs.get(method)
        head = [weight, cost if cost is None else f'{cost:.4f}']
        for seed, metrics in sorted(seeds.items()):
            numbers = [f'{metrics[metric]:.6g}' for metric in rows.metrics]
            writer.writerow([method, seed, *head, *numbers])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def read_rows(path: Path) -> Rows:
    """Read what :func:`write_rows` wrote.

    Args:
        path (Path): Of the file.

    Returns:
        Rows: They.

    Raises:
        ValueError: The file is none of a comparison.
    """
    with open(path, newline='') as file:
        reader = csv.reader(file)
        head = next(reader, [])
        if head[:4] != [METHOD, SEED, WEIGHT, COST]:
            raise ValueError(
                f'{str(path)!r} is no file of a comparison: it begins with '
                f'{head[:4]}'
            )
        rows = Rows(head[4:])
        for method, seed, weight, cost, *numbers in reader:
            seeds = rows.values.setdefault(method, {})
            seeds[int(seed)] = dict(zip(rows.metrics, map(float, numbers)))
            for column, text in ((rows.weights, weight), (rows.costs, cost)):
                if text:
                    column[method] = float(text)
    return rows
