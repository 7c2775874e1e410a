"""Inject all faults, print what each side lost, and fail if mmtat lost any.

python -m tests.faults --docs docs/reliability.md
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from . import tables, two_machines

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('torch', 'mmengine', 'numpy')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Inject faults into runs')
    parser.add_argument('--kills', type=int, default=200, help='now 200')
    parser.add_argument(
        '--each', type=int, default=10, help='of every other fault; now 10'
    )
    parser.add_argument('--seed', type=int, default=0, help='now 0')
    parser.add_argument(
        '--every',
        type=int,
        default=10,
        help='two of so many killed runs are resumed to their end; now 10',
    )
    parser.add_argument('--json', type=Path, help='file for all records')
    parser.add_argument('--docs', type=Path, help='page to put the tables in')
    return parser.parse_args()


def run_side(side: str, folder: Path, args: argparse.Namespace) -> Dict:
    """The records of a side, of a process of its own."""
    out = folder / f'{side}.json'
    numbers = (args.kills, args.each, args.seed, args.every)
    command = [sys.executable, '-m', 'tests.faults.side', side]
    command += [str(folder / side), str(out), *map(str, numbers)]
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return json.loads(out.read_text())


def where() -> str:
    """The command and the versions, for below a table."""
    found = [f'{name} {importlib.metadata.version(name)}' for name in PACKAGES]
    found.append(f'python {platform.python_version()}')
    found.append(f'Linux {platform.release().split("-")[0]}')
    command = shlex.join(['python', '-m', 'tests.faults', *sys.argv[1:]])
    return f'By `{command}` with {", ".join(found)}.'


def texts(results: Dict[str, Any], seed: int) -> Dict[str, str]:
    """The tables by the names of their places."""
    ours, theirs = results['mmtat']['kills'], results['mmengine']['kills']
    counted = (
        f'{len(ours)} kills of mmtat, {tables.inside("mmtat", ours)} inside a '
        f'save; {len(theirs)} of mmengine, '
        f'{tables.inside("mmengine", theirs)} inside. Seed {seed}.'
    )
    source = f'{counted} {where()}'
    by_phase = tables.phases('mmengine', theirs, 'unsafe')
    return {
        'sides': f'{tables.sides(results)}\n\n{source}',
        'wrongs': tables.wrongs(results),
        'phases-mmtat': tables.phases('mmtat', ours, 'found'),
        'phases-mmengine': by_phase,
        'machines': tables.two_machines(results['machines']),
    }


def failures(results: Dict[str, Any], kills: int) -> List[str]:
    """What mmtat lost, and what was not injected as it must be."""
    ours = results['mmtat']
    failed = [
        f'{part}: {record.get("kind", record.get("phase"))}: {wrong}'
        for part in ('kills', 'damages', 'disks')
        for record in ours[part]
        for wrong in record['found']['wrong']
    ]
    failed += [
        f'{record["kind"]}: {wrong}'
        for record in results['machines']
        for wrong in record['wrong']
    ]
    for side in ('mmtat', 'mmengine'):
        there = tables.inside(side, results[side]['kills'])
        if 2 * there < kills:
            failed.append(f'{side}: only {there} kills inside a save')
    if results['mmengine']['uses_mmtat']:
        failed.append('the process of mmengine alone has imported mmtat')
    return failed


def main() -> None:
    """Inject, print, and write."""
    args = parse_args()
    results: Dict[str, Any] = {}
    # In memory, where there is room: hundreds of runs wait for no disk. What
    # a kill leaves is the same there.
    memory = Path('/dev/shm')
    where_to = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory('', 'faults', where_to) as folder:
        for side in ('mmtat', 'mmengine'):
            results[side] = run_side(side, Path(folder), args)
        results['machines'] = two_machines.experiments(
            Path(folder, 'machines'), lambda line: print(line, flush=True)
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + '\n')
    found = texts(results, args.seed)
    for name, text in found.items():
        print(f'\n{name}\n\n{text}', flush=True)
    if args.docs:
        from mmtat.engine.benchmark.publish import insert_results

        insert_results(args.docs, found)
    failed = failures(results, args.kills)
    print('\n' + '\n'.join(failed or ['mmtat lost nothing.']))
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
