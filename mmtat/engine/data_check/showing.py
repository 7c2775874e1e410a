"""Progress and result of a check, on a terminal or in a file."""

import sys
import warnings
from pathlib import Path
from typing import Iterable, List, Optional, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ..report import note, print_table
from .checking import Checked, checked_samples
from .result import Result
from .sources import Source

#: Lines of progress where there is no terminal.
_LINES = 10


def check_with_progress(
    sources: Sequence[Source],
    workers: Optional[int] = None,
    with_digests: bool = False,
) -> Result:
    """Look into all samples and show how far it is.

    Args:
        sources (Sequence[Source]): The datasets.
        workers (int, optional): Processes that read; None for one a core.
        with_digests (bool): Whether images are compared by their bytes.

    Returns:
        Result: Of all samples.
    """
    total = sum(len(source.dataset) for source in sources)
    result = Result(sources)
    with warnings.catch_warnings():
        # Of Pillow, for tags that nobody reads.
        warnings.simplefilter('ignore')
        batches = checked_samples(sources, workers, with_digests)
        if sys.stderr.isatty():
            _with_bar(batches, total, result)
        else:
            _with_lines(batches, total, result)
    return result


def _with_bar(
    batches: Iterable[List[Checked]], total: int, result: Result
) -> None:
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn('{task.fields[faults]} faulty'),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        faults = 0
        task = progress.add_task('samples', total=total, faults=faults)
        for samples in batches:
            faults += result.add(samples)
            progress.update(task, advance=len(samples), faults=faults)


def _with_lines(
    batches: Iterable[List[Checked]], total: int, result: Result
) -> None:
    done = shown = faults = 0
    for samples in batches:
        faults += result.add(samples)
        done += len(samples)
        if done * _LINES // total > shown or done == total:
            shown = done * _LINES // total
            print(
                f'{done} of {total} samples, {faults} faulty',
                file=sys.stderr,
                flush=True,
            )


def check_is_new(path: Path, force: bool) -> None:
    """Raise where a file would be written over.

    Args:
        path (Path): Of the file.
        force (bool): Whether it may be.

    Raises:
        ValueError: It exists.
    """
    if path.exists() and not force:
        raise ValueError(f"--json: '{path}' exists; give --force")


def show(result: Result, most: float, names: int) -> bool:
    """Print what was found.

    Args:
        result (Result): Of the check.
        most (float): Share of a loader's samples that may be faulty.
        names (int): Of each kind so many files are named.

    Returns:
        bool: Whether no loader has more faulty samples.
    """
    kinds = result.by_kind()
    rows = [
        (loader, kind.value, 'fault' if is_fault else 'note', len(findings))
        for (loader, kind, is_fault), findings in kinds.items()
    ]
    if rows:
        print_table(('loader', 'what', '', 'files'), rows)
    for (loader, kind, _), findings in kinds.items():
        note(f'\n{loader}, {kind.value}:')
        for finding in findings[:names]:
            note(f'  {finding.path}: {finding.reason}')
        if len(findings) > names:
            note(f'  and {len(findings) - names} more: --show, --json')
    if rows:
        note('')
    exceeding = result.exceeding(most)
    for loader, samples in result.samples.items():
        _show_sum(loader, result.faulty[loader], samples, most, exceeding)
    return not exceeding


def _show_sum(
    loader: str, faulty: int, samples: int, most: float, exceeding: List[str]
) -> None:
    line = f'{loader}: {faulty} of {samples} samples are faulty'
    if faulty:
        more = 'more than' if loader in exceeding else 'no more than'
        share = faulty / samples
        line += f' ({share:.3%}), {more} the {most:.4g} that --most allows'
    note(line)
