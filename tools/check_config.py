"""Find all that is wrong with a config, before anything is trained.

python tools/check_config.py configs/tat_deeplabv3_r101_r18_voc.py
"""

import argparse
import sys

from mmtat.engine.arguments import add_cfg_options
from mmtat.engine.config_check import config_problems
from mmtat.engine.inspected import read_config
from mmtat.engine.report import note, quiet
from mmtat.engine.user_errors import readable_errors


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Find all that is wrong with the model, the distiller, '
        'the hooks, the data and the schedules of a config: unknown names, '
        'layers, shapes, losses that are never used. Nothing is downloaded, '
        'and neither data nor weights are read. Exit status 1 where there is '
        'a problem.'
    )
    parser.add_argument(
        'config', help='path of a config, or mmseg::... or mmpretrain::...'
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Print a line for each problem, and how many there are."""
    args = parse_args()
    with readable_errors():
        config = read_config(args.config, args.cfg_options)
        with quiet():
            problems = config_problems(config)
    for problem in problems:
        note(str(problem))
    note(f'problems: {len(problems)}')
    if problems:
        sys.exit(1)


if __name__ == '__main__':
    main()
