"""Numbers of a benchmark: rows, ratios, a table, and plain values."""

import statistics
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..timing import spread
from .memory import MIB, MemoryUse


@dataclass
class Row:
    """What one candidate showed.

    Attributes:
        name (str): Of the candidate.
        seconds (list[float]): One of each round; empty where it was not
            timed.
        memory (MemoryUse | None): Its peaks, where they were measured.
        floor (str): Name of the row that is its floor, or ''.
        note (str): Why there is no number, or what to know of them.
        cells (dict[str, float]): Further columns.
    """

    name: str
    seconds: List[float] = field(default_factory=list)
    memory: Optional[MemoryUse] = None
    floor: str = ''
    note: str = ''
    cells: Dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> Optional[float]:
        """Seconds, or None."""
        return statistics.median(self.seconds) if self.seconds else None


@dataclass
class Result:
    """One table.

    Attributes:
        name (str): Of the place in the documentation, as 'loss-voc-r18-cpu'.
        title (str): What was measured, in words.
        batch (int): Images of the times.
        rows (list[Row]): In the order of the table.
        reference (str): Name of the row that others are compared with
            beside their floor, or ''.
        notes (list[str]): Sentences for below the table.
        facts (dict[str, Any]): Plain values beside the rows.
    """

    name: str
    title: str
    batch: int
    rows: List[Row]
    reference: str = ''
    notes: List[str] = field(default_factory=list)
    facts: Dict[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> Optional[Row]:
        """The row of a name, or None."""
        return next((row for row in self.rows if row.name == name), None)

    def ratio(self, row: Row, other: str) -> Optional[float]:
        """Median time relative to that of another row.

        Args:
            row (Row): One of the rows.
            other (str): Name of another.

        Returns:
            float | None: None where either was not timed.
        """
        base = self.row(other)
        if base is None or base.median is None or row.median is None:
            return None
        return row.median / base.median

    def record(self) -> Dict[str, Any]:
        """Everything as plain values.

        Returns:
            dict[str, Any]: Times in seconds, memory in bytes.
        """
        return dict(
            name=self.name,
            title=self.title,
            batch=self.batch,
            reference=self.reference,
            notes=self.notes,
            facts=self.facts,
            rows=[self._row_record(row) for row in self.rows],
        )

    def _row_record(self, row: Row) -> Dict[str, Any]:
        record: Dict[str, Any] = dict(
            name=row.name,
            seconds=row.seconds,
            median=row.median,
            quartiles=spread(row.seconds) if row.seconds else None,
            floor=row.floor,
            ratio_to_floor=self.ratio(row, row.floor),
            ratio_to_reference=self.ratio(row, self.reference),
            note=row.note,
            cells=row.cells,
            memory=None,
        )
        if row.memory is not None:
            record['memory'] = dict(
                batches=row.memory.batches,
                peaks=row.memory.peaks,
                growth=row.memory.growth,
                workspace=row.memory.workspace,
            )
        return record


def markdown(result: Result) -> str:
    """A table that can be pasted, with the notes below it.

    Args:
        result (Result): What was measured.

    Returns:
        str: Markdown; columns without any entry are left out.
    """
    columns = {
        '': [row.name for row in result.rows],
        **_time_columns(result),
        **_memory_columns(result),
        **_further_columns(result),
        'note': [row.note for row in result.rows],
    }
    kept = {title: own for title, own in columns.items() if any(own)}
    lines = [_line(list(kept)), _line(['---'] * len(kept))]
    lines += [_line(list(cells)) for cells in zip(*kept.values())]
    for note in result.notes:
        lines += ['', note]
    return '\n'.join(lines)


def _time_columns(result: Result) -> Dict[str, List[str]]:
    medians = [row.median for row in result.rows if row.median]
    unit, factor = ('s', 1) if max(medians, default=0) > 2 else ('ms', 1000)

    def time(row: Row) -> str:
        if row.median is None:
            return ''
        low, high = spread(row.seconds)
        middle, low, high = (
            _number(value * factor) for value in (row.median, low, high)
        )
        return f'{middle} [{low}, {high}]'

    def ratio(row: Row, other: str) -> str:
        value = result.ratio(row, other)
        return '' if value is None else f'{value:.2f}'

    return {
        unit: [time(row) for row in result.rows],
        '× floor': [ratio(row, row.floor) for row in result.rows],
        f'× {result.reference}': [
            ratio(row, result.reference) for row in result.rows
        ],
    }


def _memory_columns(result: Result) -> Dict[str, List[str]]:
    uses = [row.memory for row in result.rows]
    return {
        f'peak MiB at {result.batch}': [
            _mib(use and use.at(result.batch)) for use in uses
        ],
        'MiB per further image': [_mib(use and use.growth) for use in uses],
        'fixed MiB': [_mib(use and use.workspace) for use in uses],
    }


def _further_columns(result: Result) -> Dict[str, List[str]]:
    titles = dict.fromkeys(t for row in result.rows for t in row.cells)
    return {
        title: [
            _number(row.cells[title]) if title in row.cells else ''
            for row in result.rows
        ]
        for title in titles
    }


def _mib(value: Optional[float]) -> str:
    # No minus before a zero.
    return '' if value is None else str(round(value / MIB))


def _number(value: float) -> str:
    """Three digits that say something."""
    return f'{value:.3g}' if value < 100 else f'{value:.0f}'


def _line(cells: List[str]) -> str:
    return f'| {" | ".join(cells)} |'
