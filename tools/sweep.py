"""Train a config with each of a grid of options, and compare the results.

python tools/sweep.py configs/sweeps/weight_digit_scenes.py
python tools/sweep.py CONFIG --metric mIoU --seeds 0 1 2 \
    --grid model.distiller.branches.whole.loss_weight=[0.1,0.3]

Leaves results.csv, results.md and results.png in the folder of the sweep.
The same command goes on where it was stopped: what is finished is not run
again, what has a checkpoint goes on from it, and what failed is tried anew.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from mmtat.engine.arguments import KeyValues, add_cfg_options, add_trust_option
from mmtat.engine.sweep import (
    Sweep,
    finished_runs,
    is_sweep,
    read_sweep,
    resolve_sweep,
    run_sweep,
    write_results,
)
from mmtat.engine.sweep.sweep_file import check_not_hidden
from mmtat.engine.sweep.tables import describe, markdown
from mmtat.engine.user_errors import readable_errors


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Train a config with each of a grid of options and seeds'
    )
    parser.add_argument(
        'config', help='a sweep of configs/sweeps, or any config with --grid'
    )
    parser.add_argument(
        '--grid',
        nargs='+',
        action=KeyValues,
        metavar='KEY=[A,B]',
        help='options of the config, each with the values that it takes',
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, help='each point runs with each; now 0'
    )
    parser.add_argument(
        '--metric', help='in table and picture, such as mIoU or accuracy/top1'
    )
    parser.add_argument('--out', help='folder; now work_dirs/NAME')
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        help='processes at a time, or for each GPU; now %(default)s',
    )
    parser.add_argument(
        '--gpus', metavar='0,1', help='GPUs, of which each process sees one'
    )
    parser.add_argument(
        '--data-root', help='folder that every dataset of the runs reads'
    )
    add_cfg_options(parser, 'override settings of the config in every run')
    add_trust_option(parser)
    parser.add_argument(
        '--dry-run', action='store_true', help='only list the runs'
    )
    args = parser.parse_args()
    if args.gpus is not None:
        numbers = args.gpus.split(',')
        if not all(number.strip().isdigit() for number in numbers):
            parser.error(f'--gpus: give numbers as 0,1, got {args.gpus!r}')
        args.gpus = [int(number) for number in numbers]
    return args


def sweep_of(args: argparse.Namespace) -> Sweep:
    """The sweep of the command line.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Sweep: Of a file, or of a config and ``--grid``.
    """
    if is_sweep(args.config):
        if args.grid:
            sys.exit('error: --grid is for a config; the sweep has its own')
        sweep = read_sweep(args.config, args.cfg_options, args.data_root)
        seeds, metric = args.seeds or sweep.seeds, args.metric or sweep.metric
        return dataclasses.replace(sweep, seeds=seeds, metric=metric)
    if not args.grid or not args.metric:
        sys.exit('error: a config needs --grid and --metric')
    sweep = Sweep(
        f'sweep_{Path(args.config).stem}',
        args.config,
        args.grid,
        args.seeds or [0],
        args.metric,
        args.cfg_options,
        args.data_root,
    )
    check_not_hidden(sweep, args.cfg_options)
    return sweep


def list_runs(sweep: Sweep, out: Path) -> None:
    """Print the runs, and which are finished.

    Args:
        sweep (Sweep): The sweep.
        out (Path): Its folder.
    """
    finished = finished_runs(sweep, out, resolve_sweep(sweep))
    for run in sweep.runs():
        state = 'finished' if run.name in finished else 'to run'
        print(f'{state:<10}{describe(run)}')
    print(f'{len(finished)} of {len(sweep.runs())} runs are finished in {out}')


def main() -> None:
    """Run what is missing, and show the results."""
    args = parse_args()
    with readable_errors():
        sweep = sweep_of(args)
        out = Path(args.out or Path('work_dirs', sweep.name))
        if args.dry_run:
            list_runs(sweep, out)
            return
        try:
            results = run_sweep(
                sweep,
                out,
                args.jobs,
                args.gpus,
                trust_checkpoint=args.trust_checkpoint,
            )
        except KeyboardInterrupt:
            print('\nStopped; the same command goes on from here.')
            sys.exit(130)
        write_results(results, out, sweep.metric)
    print(f'\n{markdown(results, sweep.metric)}\nin {out}/results.*')
    if any(result.status == 'failed' for result in results):
        sys.exit(1)


if __name__ == '__main__':
    main()
