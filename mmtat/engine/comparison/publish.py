"""From trainings to the files of a page."""

from pathlib import Path
from typing import Dict

from .diagnosis import draw_looks, read_file, write_looks
from .page import TITLES, draw, insert_tables, table
from .rows import read_rows, rows_of, write_rows
from .scenario import Regime
from .stages import Comparison

#: In the folder of the documentation.
PAGE, NUMBERS, PICTURES = 'evidence.md', 'evidence', 'images'


def publish(comparisons: Dict[str, Comparison], docs: Path) -> None:
    """Train what is missing, and write numbers, pictures and tables.

    Args:
        comparisons (dict[str, Comparison]): By the scenario's name.
        docs (Path): Folder of the page ``evidence.md``, whose tables are
            replaced where it is there; numbers go to ``evidence/*.csv`` and
            pictures to ``images/evidence_*.png``.
    """
    for comparison in comparisons.values():
        for regime in comparison.scenario.regimes:
            write_regime(comparison, regime, docs / NUMBERS)
    refresh(docs)


def write_regime(comparison: Comparison, regime: Regime, folder: Path) -> None:
    """Train a regime, and write its numbers.

    Args:
        comparison (Comparison): Of its scenario.
        regime (Regime): One of the scenario's.
        folder (Path): Gets ``<scenario>_<regime>.csv``, and the same with
            ``_tuning`` and ``_diagnosis``.
    """
    scenario = comparison.scenario
    name = f'{scenario.name}_{regime.name}'
    rows = rows_of(
        comparison.results(regime),
        scenario.metrics,
        comparison.weights(regime),
        comparison.cost(regime),
    )
    write_rows(rows, folder / f'{name}.csv')
    tuning = rows_of(comparison.tuning(regime), [scenario.metric], {}, {})
    write_rows(tuning, folder / f'{name}_tuning.csv')
    looks = comparison.diagnosis(regime)
    write_looks(looks, folder / f'{name}_diagnosis.csv')


def refresh(docs: Path) -> None:
    """Write tables and pictures from the numbers that are there.

    Args:
        docs (Path): See :func:`publish`.

    Raises:
        ValueError: A table has no place in the page.
    """
    looks, tables = {}, {}
    for file in sorted((docs / NUMBERS).glob('*.csv')):
        if file.stem.endswith('_diagnosis'):
            looks[file.stem.removesuffix('_diagnosis')] = read_file(file)
        elif not file.stem.endswith('_tuning'):
            tables[file.stem] = read_rows(file)
    page = docs / PAGE
    if not page.is_file():
        marks = [f'<!-- table {name} -->\n<!-- end -->\n' for name in tables]
        page.write_text('\n'.join(['# Evidence\n', *marks]))
    texts = {name: table(rows) for name, rows in tables.items()}
    page.write_text(insert_tables(page.read_text(), texts))
    (docs / PICTURES).mkdir(parents=True, exist_ok=True)
    for metric in {rows.metrics[0] for rows in tables.values()}:
        chosen = {n: r for n, r in tables.items() if r.metrics[0] == metric}
        name = metric.split('/')[0]
        draw(chosen, docs / PICTURES / f'evidence_{name}.png')
    if looks:
        draw_looks(looks, TITLES, docs / PICTURES / 'evidence_gradients.png')
