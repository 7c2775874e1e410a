"""What the command-line tools print: tables and notes."""

import contextlib
import logging
import sys
import warnings
from typing import Any, Iterator, List, Optional, Sequence

from rich.console import Console
from rich.table import Table


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: Optional[str] = None,
) -> None:
    """Print a table, drawn on a terminal and plain text elsewhere.

    A column is aligned to the right where all of its cells are numbers.

    Args:
        columns (Sequence[str]): Their names.
        rows (Sequence[Sequence[Any]]): Cells; None is left empty.
        title (str, optional): A line above.
    """
    cells = [['' if v is None else str(v) for v in row] for row in rows]
    is_right = [
        bool(rows) and all(_is_number(row[index]) for row in rows)
        for index in range(len(columns))
    ]
    if not sys.stdout.isatty():
        print('\n'.join(_plain_lines(columns, cells, is_right, title)))
        return
    table = Table(title=title, title_justify='left')
    for name, right in zip(columns, is_right):
        table.add_column(name, justify='right' if right else 'left')
    for row in cells:
        table.add_row(*row)
    # A cell may hold brackets, which are no markup.
    Console(markup=False).print(table)


def note(line: str) -> None:
    """Print a line that belongs to no table.

    Args:
        line (str): One sentence, or a few.
    """
    print(line, flush=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Spare the reader what models say when they are built."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def mebibytes(count: float) -> str:
    """A number of bytes as a person reads it.

    Args:
        count (float): Bytes.

    Returns:
        str: In MiB, with one decimal below 100.
    """
    value = count / 2**20
    return f'{value:.1f}' if value < 100 else f'{value:.0f}'


def _plain_lines(
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    is_right: Sequence[bool],
    title: Optional[str],
) -> List[str]:
    lines = [list(columns), *cells]
    widths = [max(map(len, column)) for column in zip(*lines)]
    aligned = [
        '  '.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_right)
        ).rstrip()
        for line in lines
    ]
    return aligned if title is None else [title, *aligned]


def _is_number(value: Any) -> bool:
    if value is None or isinstance(value, (int, float)):
        return True
    try:
        float(str(value))
    except ValueError:
        return False
    return True
