"""Evaluate a student's checkpoint under its own or its distillation config.

python tools/test.py configs/tat_deeplabv3_r101_r18_voc.py CHECKPOINT
"""

import argparse

from mmengine.runner import Runner

from mmtat.engine.evaluation import draw_predictions, save_predictions, use_tta
from mmtat.engine.launch import base_parser, load_for_test, prepare_config
from mmtat.engine.student_config import student_config
from mmtat.engine.user_errors import readable_errors
from mmtat.models.utils import trust_checkpoints


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = base_parser("Evaluate a student's checkpoint")
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument(
        '--out',
        help='save the predictions: a folder of label maps (segmentation) or '
        'a file (classification), .pth for torch.load or .pkl, a pickle, for '
        'the tools of mmpretrain',
    )
    parser.add_argument('--show-dir', help='save painted images here')
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation'
    )
    return parser.parse_args()


def main() -> None:
    """Build the student's Runner and test."""
    args = parse_args()
    with readable_errors(), trust_checkpoints(args.trust_checkpoint):
        config = student_config(prepare_config(args, ('test_dataloader',)))
        if args.tta:
            use_tta(config)
        if args.show_dir:
            draw_predictions(config, args.show_dir)
        if args.out:
            save_predictions(config, args.out)
        runner = Runner.from_cfg(config)
        load_for_test(runner, args.checkpoint)
        runner.test()


if __name__ == '__main__':
    main()
