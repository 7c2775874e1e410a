"""Unpack and check a dataset that you downloaded.

python tools/prepare_data.py voc --downloads DIR
python tools/prepare_data.py voc --check data/VOCdevkit/VOC2012
"""

import argparse
from pathlib import Path

from mmtat.engine.preparation import DATASETS, check, prepare
from mmtat.engine.user_errors import readable_errors


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Unpack and check a dataset, without any network'
    )
    parser.add_argument('dataset', choices=list(DATASETS))
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        '--downloads', type=Path, help='folder of the archives to unpack'
    )
    what.add_argument(
        '--check', type=Path, metavar='DIR', help='only check this folder'
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='folder of the dataset, the --data-root of the other tools; by '
        'default that of the configs, as data/imagenet',
    )
    args = parser.parse_args()
    if args.check is not None and args.out is not None:
        parser.error('--out goes with --downloads; --check only reads')
    return args


def main() -> None:
    """Unpack what lacks, then check everything."""
    args = parse_args()
    dataset = DATASETS[args.dataset]
    root = args.check or args.out or Path(dataset.folder)
    with readable_errors():
        if args.downloads is not None:
            prepare(dataset.parts, args.downloads, root)
        check(dataset, root)
    print(f'{root} is complete. Train with --data-root {root}')


if __name__ == '__main__':
    main()
