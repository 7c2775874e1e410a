"""Read every file of a config's datasets, and name those that are wrong.

python tools/check_data.py configs/tat_deeplabv3_r101_r18_voc.py
python tools/check_data.py CONFIG --data-root DIR --json faults.json
"""

import argparse
import json
import sys
from pathlib import Path

from mmtat.engine.arguments import add_cfg_options
from mmtat.engine.data_check.in_run import MOST, checked_share
from mmtat.engine.data_check.showing import (
    check_is_new,
    check_with_progress,
    show,
)
from mmtat.engine.data_check.sources import sources_of
from mmtat.engine.dataset_check import set_data_root
from mmtat.engine.user_errors import readable_errors
from mmtat.files import write_atomically
from mmtat.models.utils import load_config

LOADERS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Read every image and mask of the datasets, in parallel, '
        'and report what is missing, corrupt or cut off, of a wrong kind or '
        'size, or labelled outside the classes. Exit status 1 when more of a '
        "loader's samples are faulty than --most."
    )
    parser.add_argument('config', help='path of a config, or mmseg::...')
    parser.add_argument(
        '--data-root', help='folder that every dataset of the config reads'
    )
    parser.add_argument(
        '--loaders',
        nargs='+',
        choices=LOADERS,
        default=LOADERS,
        help='whose datasets; all by default',
    )
    parser.add_argument(
        '--workers', type=int, help='processes; one a core by default'
    )
    parser.add_argument(
        '--most',
        type=float,
        default=MOST,
        help='share of samples that may be faulty, from 0 to 1; '
        f'{MOST} by default',
    )
    parser.add_argument(
        '--duplicates',
        action='store_true',
        help='note images with the same bytes, also of train and val',
    )
    parser.add_argument(
        '--show',
        type=int,
        default=5,
        help='files of each kind that are named; 5 by default',
    )
    parser.add_argument('--json', type=Path, help='write all of it there')
    parser.add_argument(
        '--force', action='store_true', help='write over the file of --json'
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    for name in ('workers', 'show'):
        if (getattr(args, name) or 0) < 0:
            parser.error(f'--{name}: give a number from 0 on')
    return args


def check(args: argparse.Namespace) -> bool:
    """Read everything and print what is wrong.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        bool: Whether a run may begin.

    Raises:
        ValueError: The config or the lists of samples cannot be read, or an
            option is out of its range.
    """
    checked_share(args.most)
    if args.json is not None:
        check_is_new(args.json, args.force)
    config = load_config(args.config, 'config')
    config.merge_from_dict(args.cfg_options)
    if args.data_root is not None:
        set_data_root(config, args.data_root)
    sources = sources_of(config, args.loaders)
    result = check_with_progress(sources, args.workers, args.duplicates)
    if args.json is not None:
        plain = dict(config=args.config, most=args.most, **result.plain())
        write_atomically(args.json, json.dumps(plain, indent=2) + '\n')
    return show(result, args.most, args.show)


def main() -> None:
    """Check, and end with what it comes to."""
    args = parse_args()
    with readable_errors():
        is_well = check(args)
    sys.exit(not is_well)


if __name__ == '__main__':
    main()
