"""From candidates to rows: memory first, then times in turns."""

import contextlib
import gc
from typing import Dict, Iterator, List, Sequence

from ..timing import Step, synchronize, time_in_turns
from .candidate import Candidate
from .child import OutOfMemory, out_of_memory_named
from .memory import memory_use
from .result import Row
from .settings import Settings


def measure(
    candidates: Sequence[Candidate],
    settings: Settings,
    with_memory: bool = True,
) -> List[Row]:
    """Measure several candidates side by side.

    Memory comes first: what does not fit ends a process of its own on a
    CPU, and is not timed.

    Args:
        candidates (Sequence[Candidate]): By different names.
        settings (Settings): How.
        with_memory (bool): Whether memory is measured. Defaults to True.

    Returns:
        list[Row]: One for each, in their order; of one that cannot be had
        the note says why.
    """
    rows = {candidate.name: Row(candidate.name) for candidate in candidates}
    for candidate in candidates:
        if with_memory and candidate.has_memory:
            settings.say(f'memory: {candidate.name}')
            _fill_memory(rows[candidate.name], candidate, settings)
    steps = _warm(candidates, rows, settings)
    settings.say(f'times: {len(steps)} in turns, {settings.repeats} rounds')
    times = time_in_turns(steps, settings.repeats, settings.device)
    for name, seconds in times.items():
        rows[name].seconds = seconds
    return list(rows.values())


def _fill_memory(row: Row, candidate: Candidate, settings: Settings) -> None:
    try:
        row.memory = memory_use(candidate, settings)
    except OutOfMemory as error:
        row.note = f'out of memory: {error}'
    except ValueError as error:
        row.note = f'cannot: {error}'


def _warm(
    candidates: Sequence[Candidate],
    rows: Dict[str, Row],
    settings: Settings,
) -> Dict[str, Step]:
    """Build and run each often enough that its first costs are behind."""
    is_gpu = settings.device.type == 'cuda'
    steps: Dict[str, Step] = {}
    for candidate in candidates:
        row = rows[candidate.name]
        if row.note:
            continue
        settings.say(f'warm-up: {candidate.name}')
        with _noted(row, settings):
            step = candidate.build(settings.batch, settings.device)
            for _ in range(5 if is_gpu else 1):
                step()
            synchronize(settings.device)
            steps[candidate.name] = step
    # On a GPU those that came later took memory from those before.
    for name in list(steps) if is_gpu else ():
        with _noted(rows[name], settings):
            steps[name]()
            synchronize(settings.device)
        if rows[name].note:
            del steps[name]
    gc.collect()
    return steps


@contextlib.contextmanager
def _noted(row: Row, settings: Settings) -> Iterator[None]:
    """Let a row say why there is no number."""
    try:
        with out_of_memory_named():
            yield
    except OutOfMemory as error:
        need = 'what it needs was not measured'
        if row.memory is not None:
            gib = row.memory.at(settings.batch) / 2**30
            need = f'{gib:.1f} GiB are needed beside the others'
        row.note = f'out of memory: {error}; {need}'
    except ValueError as error:
        row.note = f'cannot: {error}'
