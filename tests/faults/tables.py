"""The tables of docs/reliability.md, out of the records."""

from collections import Counter
from typing import Any, Dict, List, Sequence

from .phases import INSIDE, OUTSIDE

Records = List[Dict[str, Any]]
#: Columns of the tables of both sides: side, and way of loading.
COLUMNS = {
    'mmtat': ('mmtat', 'found'),
    'mmengine, loading unsafely': ('mmengine', 'unsafe'),
    'mmengine as it is': ('mmengine', 'found'),
}


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(
        '| ' + ' | '.join(map(str, line)) + ' |' for line in lines
    )


def lost(records: Records, name: str, *wrongs: str) -> int:
    """How many have one of some wrongs, or any."""
    return sum(
        any(not wrongs or wrong in wrongs for wrong in record[name]['wrong'])
        for record in records
    )


def phases(side: str, records: Records, name: str) -> str:
    """Kills of a side by phase, and what each cost."""
    rows = []
    for phase in (*OUTSIDE[:1], *INSIDE[side], *OUTSIDE[1:]):
        there = [r for r in records if r['phase'] == phase]
        stopped = sum(record['stopped'] for record in there)
        resumed = [r for r in there if 'status' in r[name]]
        same = sum(not r[name]['status'] and not r[name]['differs']
                   for r in resumed)  # fmt: skip
        rows.append(
            (
                phase,
                len(there),
                stopped,
                lost(there, name, 'cannot be resumed'),
                lost(there, name, 'a saved step is lost'),
                lost(there, name, 'no checkpoint is left'),
                f'{same} of {len(resumed)}',
            )
        )
    total = [sum(row[column] for row in rows) for column in range(1, 6)]
    resumed = [r for r in records if 'status' in r[name]]
    same = sum(not r[name]['status'] and not r[name]['differs']
               for r in resumed)  # fmt: skip
    rows.append(('**all**', *total, f'{same} of {len(resumed)}'))
    head = (
        *('killed in phase', 'kills', 'of these stopped there'),
        *('cannot be resumed', 'a saved step lost', 'no checkpoint left'),
        'ended bitwise as undisturbed',
    )
    return markdown(head, rows)


def inside(side: str, records: Records) -> int:
    """Kills that fell into a save."""
    return sum(record['phase'] in INSIDE[side] for record in records)


def sides(results: Dict[str, Any]) -> str:
    """What was injected, how often, and what each side lost."""
    rows = []
    ours, theirs = results['mmtat'], results['mmengine']
    count = len(ours['kills'])
    for title, keep in (
        ('`max_keep_ckpts=1`', 1),
        ('`max_keep_ckpts=2`', 2),
        ('all kept', -1),
    ):
        cells = []
        for side, name in COLUMNS.values():
            there = [r for r in results[side]['kills'] if r['keep'] == keep]
            cells.append(_fraction(there, name))
        rows.append((f'SIGKILL, {title}', *cells))
    rows.append(_row(f'**SIGKILL, all {count}**', results, 'kills'))
    for part in ('damages', 'disks'):
        kinds = dict.fromkeys(
            record['kind'] for r in (ours, theirs) for record in r[part]
        )
        rows += [_row(kind, results, part, kind) for kind in kinds]
    head = ('injected', *COLUMNS)
    return markdown(head, rows)


def _row(title: str, results: Dict[str, Any], part: str, kind: str = ''):
    cells = []
    for side, name in COLUMNS.values():
        records = results[side][part]
        if kind:
            records = [r for r in records if r['kind'] == kind]
        cells.append(_fraction(records, name))
    return (title, *cells)


def _fraction(records: Records, name: str) -> str:
    any_wrong, only = lost(records, name), 0
    for record in records:
        only += record[name]['wrong'] == ['the resumed run ends otherwise']
    text = f'{any_wrong - only} of {len(records)}'
    return f'{text}, {only} more end otherwise' if only else text


def wrongs(results: Dict[str, Any]) -> str:
    """What it was that went wrong, counted over all faults."""
    counts = {}
    for column, (side, name) in COLUMNS.items():
        parts = ('kills', 'damages', 'disks')
        records = [r for part in parts for r in results[side][part]]
        counts[column] = Counter(w for r in records for w in r[name]['wrong'])
    kinds = dict.fromkeys(w for counter in counts.values() for w in counter)
    rows = [(k, *(counts[column][k] for column in COLUMNS)) for k in kinds]
    return markdown(
        ('what was wrong', *COLUMNS), rows or [('nothing', 0, 0, 0)]
    )


def two_machines(records: Records) -> str:
    """What two machines did."""
    if not records:
        return 'Not measured.'
    rows = []
    for record in records:
        took = '' if record['seconds'] is None else f'{record["seconds"]:.0f}'
        result = '; '.join(record['wrong']) or 'bitwise as one machine'
        if record['message'] and not record['wrong']:
            result = f'both said why; resumed: {result}'
        rows.append((record['kind'], took, result))
    return markdown(('two machines', 'ended after s', 'result'), rows)
