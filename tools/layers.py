"""List the layers that a config's models can be recorded at.

python tools/layers.py configs/tat_deeplabv3_r101_r18_voc.py
python tools/layers.py mmseg::segformer/... --pattern 'backbone.layers.*'
"""

import argparse

from mmtat.engine.arguments import add_cfg_options
from mmtat.engine.inspected import read_config
from mmtat.engine.layer_report import report_layers
from mmtat.engine.user_errors import readable_errors


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='List the layers of student and teacher that recorders '
        'and distillers can name, with the maps that they give'
    )
    parser.add_argument(
        'config', help='path of a config, or mmseg::... or mmpretrain::...'
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--pattern',
        help="show only names that match: a glob such as 'backbone.layer?', "
        "or a regular expression for a part such as 'layer4$'",
    )
    parser.add_argument(
        '--role',
        choices=['student', 'teacher'],
        help='show only this model; both by default',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images; by default what the config trains on',
    )
    return parser.parse_args()


def main() -> None:
    """Read the config and print the tables."""
    args = parse_args()
    with readable_errors():
        config = read_config(args.config, args.cfg_options)
        report_layers(config, args.pattern, args.role, args.size)


if __name__ == '__main__':
    main()
