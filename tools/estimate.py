"""Estimate what a training step of a config costs, without running it.

python tools/estimate.py configs/tat_deeplabv3_r101_r18_voc.py --batch 8
python tools/estimate.py CONFIG --size 512 512 --gpu-memory 24 48 --check
"""

import argparse
import sys

from mmengine.device import get_device

from mmtat.engine.arguments import add_cfg_options
from mmtat.engine.benchmark import check_device
from mmtat.engine.benchmark.child import OutOfMemory
from mmtat.engine.estimate import (
    KINDS,
    Case,
    estimate,
    measured_peak,
    print_check,
    print_estimate,
)
from mmtat.engine.user_errors import readable_errors

#: What the estimate promises of the peak on the machine at hand.
_TOLERANCE = 0.1


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Parameters, multiply-adds and memory of a training step, '
        'and the largest batch of a GPU, without a GPU, data or weights'
    )
    parser.add_argument(
        'config', help='path of a config, or mmseg::... or mmpretrain::...'
    )
    parser.add_argument(
        '--batch',
        type=int,
        metavar='N',
        help="images of a step in one process; now the training loader's",
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images; now what the config trains on',
    )
    parser.add_argument(
        '--gpu-memory',
        type=float,
        nargs='+',
        default=[24, 40, 80],
        metavar='GB',
        help='of the GPUs whose largest batch is looked for; now 24 40 80',
    )
    parser.add_argument(
        '--device',
        choices=KINDS,
        default=get_device() if get_device() in KINDS else 'cpu',
        help='whose memory is told, also where there is no GPU; now '
        '%(default)s',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='train steps for real in a process of their own, and compare; '
        'exit status 1 where the estimate is more than 10 %% off',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Estimate, and compare with a measurement if that is asked for."""
    args = parse_args()
    with readable_errors():
        # What cannot be measured is refused before anything is estimated.
        device = check_device(args.device if args.check else 'cpu')
        case = Case.of(
            args.config, args.batch, args.size, args.amp, args.cfg_options
        )
        found = estimate(case, args.device, args.gpu_memory)
        print_estimate(found)
        if not args.check:
            return
        try:
            ratio = print_check(found, measured_peak(case, device))
        except OutOfMemory as error:
            sys.exit(f'error: there is less memory than that: {error}')
    if abs(ratio - 1) > _TOLERANCE:
        sys.exit(1)


if __name__ == '__main__':
    main()
