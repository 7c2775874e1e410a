"""Train, or distil, with any OpenMMLab config.

python tools/train.py configs/tat_deeplabv3_r101_r18_voc.py --data-root DIR
"""

import argparse

from mmtat.engine.launch import base_parser
from mmtat.engine.saving.lost_peers import lost_peers_named
from mmtat.engine.training import train
from mmtat.engine.user_errors import readable_errors
from mmtat.models.utils import trust_checkpoints


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = base_parser('Train or distil a model')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from the newest checkpoint of the work dir, or from PATH',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the number of processes',
    )
    return parser.parse_args()


def main() -> None:
    """Build the Runner and train."""
    args = parse_args()
    with readable_errors(), lost_peers_named():
        with trust_checkpoints(args.trust_checkpoint):
            train(args)


if __name__ == '__main__':
    main()
