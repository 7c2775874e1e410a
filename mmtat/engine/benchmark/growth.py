"""How cost grows with the image's size and with the batch, as a picture."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .candidate import Candidate
from .measure import measure
from .memory import MIB
from .result import Row
from .settings import Settings


@dataclass(frozen=True)
class Point:
    """One candidate at one size and batch.

    Attributes:
        name (str): Of the candidate.
        size (int): Side of the images in pixels.
        batch (int): Images.
        row (Row): What was measured.
    """

    name: str
    size: int
    batch: int
    row: Row

    def record(self) -> Dict[str, Any]:
        """Plain values: seconds and bytes, None where there is no number."""
        memory = self.row.memory
        return dict(
            name=self.name,
            size=self.size,
            batch=self.batch,
            seconds=self.row.seconds,
            median=self.row.median,
            peak=None if memory is None else memory.at(self.batch),
            note=self.row.note,
        )


def measure_growth(
    candidates_at: Callable[[int], Sequence[Candidate]],
    sizes: Sequence[int],
    batches: Sequence[int],
    settings: Settings,
) -> List[Point]:
    """Measure along both axes.

    Args:
        candidates_at (Callable[[int], Sequence[Candidate]]): What is
            measured for a side of the images.
        sizes (Sequence[int]): Each with the smallest batch.
        batches (Sequence[int]): Each with the second size, or the only one;
            those that a candidate does not work on are left out.
        settings (Settings): How; its batch does not count.

    Returns:
        list[Point]: All of them.

    Raises:
        ValueError: No batch is left.
    """
    least = max(c.least_batch for c in candidates_at(min(sizes)))
    batches = [batch for batch in batches if batch >= least]
    if not batches:
        raise ValueError(f'batches must hold one of {least} images or more')
    middle = sorted(sizes)[min(1, len(sizes) - 1)]
    places = dict.fromkeys(
        [
            *((size, min(batches)) for size in sorted(sizes)),
            *((middle, batch) for batch in sorted(batches)),
        ]
    )
    points = []
    for size, batch in places:
        settings.say(f'growth: {batch} images of {size} x {size}')
        candidates = candidates_at(size)
        rows = measure(candidates, replace(settings, batch=batch))
        points += [Point(row.name, size, batch, row) for row in rows]
    return points


def draw_growth(points: Sequence[Point], path: Path) -> None:
    """Draw time and memory against size and batch.

    Args:
        points (Sequence[Point]): Of :func:`measure_growth`.
        path (Path): Of the picture, in any format of matplotlib.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout='constrained')
    axes = figure.subplots(2, 2, sharey='row')
    records = [point.record() for point in points]
    for column, (axis, fixed) in enumerate(_axes(points).items()):
        own = [r for r in records if all(r[k] == v for k, v in fixed.items())]
        for row, (key, unit, factor) in enumerate(
            (('median', 's', 1), ('peak', 'MiB', 1 / MIB))
        ):
            _draw(axes[row, column], own, axis, key, factor)
            axes[row, column].set_ylabel(unit)
        (name, value), *_ = fixed.items()
        title = {
            'size': f'{value} x {value} pixels',
            'batch': f'images at a time: {value}',
        }
        axes[0, column].set_title(title[name], fontsize=10)
    axes[0, 0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _axes(points: Sequence[Point]) -> Dict[str, Dict[str, int]]:
    """What grows, and what stays as it is."""
    sizes = sorted({point.size for point in points})
    middle = sizes[min(1, len(sizes) - 1)]
    least = min(point.batch for point in points)
    return dict(size=dict(batch=least), batch=dict(size=middle))


def _draw(
    axis: Any, records: List[Dict], along: str, key: str, factor: float
) -> None:
    lines: Dict[str, List[Tuple[int, float]]] = {}
    for record in records:
        own = lines.setdefault(record['name'], [])
        if record[key] is not None:
            own.append((record[along], record[key] * factor))
    for name, places in lines.items():
        axis.plot(
            *zip(*sorted(places)) if places else ([], []), 'o-', label=name
        )
    axis.set_xlabel({'size': 'side in pixels', 'batch': 'images'}[along])
    axis.set_xscale('log', base=2)
    ticks = sorted({record[along] for record in records})
    axis.set_xticks(ticks, map(str, ticks))
    axis.set_yscale('log')
    axis.grid(alpha=0.3)
