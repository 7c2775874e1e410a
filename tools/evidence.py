"""Compare TaT with its rivals on embedded data, and publish the numbers.

Trains teachers and students on handwritten digits and on scenes of them, by
every method, and writes tables, pictures and csv files for docs/evidence.md.

python tools/evidence.py --jobs 2
"""

import argparse
import os
from pathlib import Path
from typing import Dict

from _evidence_scenarios import SCENARIOS, with_data

from mmtat.engine.arguments import gpu_numbers, positive
from mmtat.engine.comparison import Comparison, publish
from mmtat.engine.user_errors import readable_errors

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Compare TaT with its rivals on embedded data'
    )
    parser.add_argument(
        'scenarios',
        nargs='*',
        default=list(SCENARIOS),
        metavar='SCENARIO',
        help=f'of {", ".join(SCENARIOS)}; now all',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs', 'evidence'),
        help='folder of data and runs; now %(default)s',
    )
    parser.add_argument(
        '--docs',
        type=Path,
        help='write tables and pictures into this copy of docs/; without it '
        'they are left in --out',
    )
    parser.add_argument(
        '--jobs', type=positive, default=1, help='trainings at a time'
    )
    parser.add_argument(
        '--gpus', type=gpu_numbers, help='numbers of GPUs, as 0,1'
    )
    parser.add_argument(
        '--seeds', type=positive, default=10, help='of the main methods'
    )
    parser.add_argument(
        '--few-seeds', type=positive, default=3, help='of the others'
    )
    parser.add_argument(
        '--steps',
        type=positive,
        help='end each training after so many steps: a look whether '
        'everything works, no result',
    )
    return parser.parse_args()


def main() -> None:
    """Train what is missing, and write the numbers."""
    args = parse_args()
    # The maps are too small to share among threads.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with readable_errors():
        if args.steps is not None and args.docs is not None:
            raise SystemExit(
                'error: --steps makes numbers that are no result; leave out '
                '--docs'
            )
        unknown = set(args.scenarios) - set(SCENARIOS)
        if unknown:
            raise SystemExit(
                f'error: unknown scenario {", ".join(sorted(unknown))}; there '
                f'are {", ".join(SCENARIOS)}'
            )
        options = {}
        if args.steps is not None:
            for key in ('max_iters', 'val_interval'):
                options[f'train_cfg.{key}'] = args.steps
        if args.out.exists() and not args.out.is_dir():
            raise SystemExit(f"error: --out: '{args.out}' is a file")
        comparisons: Dict[str, Comparison] = {}
        for name in args.scenarios:
            out = args.out.absolute() / name
            comparisons[name] = Comparison(
                with_data(SCENARIOS[name], out),
                out,
                seeds=args.seeds,
                few_seeds=args.few_seeds,
                jobs=args.jobs,
                gpus=args.gpus,
                options=options,
            )
        publish(comparisons, args.docs or args.out)


if __name__ == '__main__':
    main()
