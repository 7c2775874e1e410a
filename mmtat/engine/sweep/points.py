"""The results of a sweep by the points of its grid."""

from typing import Dict, List, Tuple

from .records import Result

#: Results of one point of the grid, by its labels.
Points = Dict[Tuple, List[Result]]


def points_of(results: List[Result]) -> Points:
    """The results by the point of the grid that they are of.

    Args:
        results (list[Result]): Of a sweep.

    Returns:
        dict[tuple, list[Result]]: By the labels, in the order of the axes.
    """
    points: Points = {}
    for result in results:
        points.setdefault(tuple(result.run.labels.values()), []).append(result)
    return points


def finished_values(results: List[Result], metric: str) -> List[float]:
    """What the runs that finished report.

    Args:
        results (list[Result]): Of one point of the grid.
        metric (str): Name of the metric.

    Returns:
        list[float]: By seed.
    """
    return [
        result.metrics[metric]
        for result in results
        if result.status == 'finished' and metric in result.metrics
    ]
