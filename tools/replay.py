"""Run a training step once more that was not finite, and say where.

python tools/replay.py work_dirs/RUN/non_finite/iter_1200_rank0.pth

The dump is of mmtat.NonFiniteHook. Ends with status 1 if all is finite here.
"""

import argparse
import sys

from mmtat.engine.non_finite.replay import replay
from mmtat.engine.non_finite.replay_report import report_replay
from mmtat.engine.user_errors import readable_errors


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Run a step once more whose losses or gradients were not '
        'finite; prints its losses, and the first layer whose output is not'
    )
    parser.add_argument(
        'dump', help='file of mmtat.NonFiniteHook, in WORK_DIR/non_finite'
    )
    parser.add_argument('--teacher-ckpt', help="now the config's")
    return parser.parse_args()


def main() -> None:
    """Run the step and print what was seen."""
    args = parse_args()
    with readable_errors():
        replayed = replay(args.dump, args.teacher_ckpt)
        report_replay(replayed)
    sys.exit(not replayed.is_reproduced)


if __name__ == '__main__':
    main()
