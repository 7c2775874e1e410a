"""Draw what a distillation does: maps, comparisons, curves, schedules.

python tools/visualize.py maps CONFIG CHECKPOINT IMAGE... --html
python tools/visualize.py compare CONFIG IMAGE... --checkpoints alone=A.pth \
    distilled=B.pth --teacher --out DIR
python tools/visualize.py curves WORK_DIR... --out curves.png
python tools/visualize.py schedule CONFIG --out schedule.png
"""

import argparse
from pathlib import Path
from typing import Any, List

from mmtat.engine.arguments import add_cfg_options, add_trust_option
from mmtat.engine.report import note
from mmtat.engine.user_errors import readable_errors
from mmtat.models.utils import trust_checkpoints


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Pictures of a distillation',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    _add_maps(commands)
    _add_compare(commands)
    _add_curves(commands)
    _add_schedule(commands)
    return parser.parse_args()


def _add_maps(commands: Any) -> None:
    parser = commands.add_parser(
        'maps',
        help='Fig. 4 of the paper: features, and where the teacher looks',
        description='Features of student and teacher, and where in the '
        'student pixels of the teacher look. An image is resized to the '
        "training's crop.",
    )
    _add_config(parser)
    parser.add_argument('checkpoint', help='of the distillation run')
    parser.add_argument('images', nargs='+', metavar='IMAGE')
    parser.add_argument(
        '--pixel',
        nargs='+',
        default=[],
        metavar='X,Y',
        help='pixels of each image; now picked: one of each class that the '
        'teacher predicts, or where its features are strongest',
    )
    parser.add_argument('--teacher-ckpt', help="now the config's")
    parser.add_argument(
        '--out', type=Path, help='folder; now maps/ beside the checkpoint'
    )
    parser.add_argument(
        '--layer', type=int, default=0, help='which pair of layers; now 0'
    )
    parser.add_argument(
        '--branch',
        help='whole, patch_group or anchor_point; now all of the config. '
        'Others are added by --cfg-options '
        'model.distiller.branches.whole.loss_weight=1',
    )
    parser.add_argument(
        '--reading',
        default='matched',
        help="matched: the student's positions that are most like the pixel; "
        'mixed: those that it is rebuilt from. They differ in the '
        "formulation 'released'; now %(default)s",
    )
    parser.add_argument(
        '--html', action='store_true', help='also maps.html, to point at'
    )
    add_trust_option(parser)
    _add_force(parser)


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        'compare',
        help='predictions of several checkpoints side by side',
        description='Predictions of several checkpoints of one student, and '
        'of its teacher, on the same images.',
    )
    _add_config(parser)
    parser.add_argument('images', nargs='*', metavar='IMAGE')
    parser.add_argument(
        '--checkpoints',
        nargs='+',
        required=True,
        metavar='NAME=FILE',
        help="the student's, such as alone=A.pth distilled=B.pth",
    )
    parser.add_argument(
        '--teacher', action='store_true', help='also what the teacher says'
    )
    parser.add_argument('--teacher-ckpt', help="now the config's")
    parser.add_argument(
        '--labels',
        type=Path,
        help="folder of label maps named as the images; now the data set's",
    )
    parser.add_argument(
        '--data-root', help='folder that every dataset of the config reads'
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='folder of picture and table'
    )
    add_trust_option(parser)
    _add_force(parser)


def _add_curves(commands: Any) -> None:
    parser = commands.add_parser(
        'curves',
        help='losses, learning rate and metrics of several runs',
        description='Curves of runs side by side, from their logs.',
    )
    parser.add_argument(
        'logs', nargs='+', metavar='LOG', help='work dir, or vis_data/*.json'
    )
    parser.add_argument(
        '--keys', nargs='+', help='what is drawn; now losses, lr and metrics'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('curves.png'), help='now %(default)s'
    )
    _add_force(parser)


def _add_schedule(commands: Any) -> None:
    parser = commands.add_parser(
        'schedule',
        help='weights of the losses over the iterations of a config',
        description="The weights of a config's distillation losses.",
    )
    _add_config(parser)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('schedule.png'),
        help='now %(default)s',
    )
    _add_force(parser)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='path of a config, or mmseg::...')
    add_cfg_options(parser)


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--force', action='store_true', help='write over files that are there'
    )


def maps(args: argparse.Namespace) -> List[Path]:
    """Draw Fig. 4, and the page."""
    from mmtat.engine.inspected import read_config
    from mmtat.engine.visualization.maps import draw_maps

    out = args.out
    if out is None:
        local = Path(args.checkpoint)
        out = (local.parent if local.is_file() else Path()) / 'maps'
    return draw_maps(
        read_config(args.config, args.cfg_options),
        args.checkpoint,
        args.images,
        out,
        pixels=args.pixel,
        teacher_ckpt=args.teacher_ckpt,
        layer=args.layer,
        branch=args.branch,
        reading=args.reading,
        html=args.html,
        force=args.force,
    )


def compare(args: argparse.Namespace) -> List[Path]:
    """Draw predictions side by side."""
    from mmtat.engine.inspected import read_config
    from mmtat.engine.visualization.compare import compare_checkpoints

    config = read_config(args.config, args.cfg_options)
    if args.data_root is not None:
        from mmtat.engine.dataset_check import set_data_root

        set_data_root(config, args.data_root)
    # Images may stand behind the checkpoints.
    named = [text for text in args.checkpoints if '=' in text]
    images = [text for text in args.checkpoints if '=' not in text]
    return compare_checkpoints(
        config,
        named,
        [*args.images, *images],
        args.out,
        with_teacher=args.teacher,
        teacher_ckpt=args.teacher_ckpt,
        labels=args.labels,
        force=args.force,
    )


def curves(args: argparse.Namespace) -> List[Path]:
    """Draw runs side by side."""
    from mmtat.engine.visualization.curves import draw_curves

    return [draw_curves(args.logs, args.out, args.keys, args.force)]


def schedule(args: argparse.Namespace) -> List[Path]:
    """Draw the weights of a config's losses."""
    from mmtat.engine.inspected import read_config
    from mmtat.engine.visualization.schedule import draw_schedule

    config = read_config(args.config, args.cfg_options)
    return [draw_schedule(config, args.out, args.force)]


def main() -> None:
    """Draw, and say what was written."""
    args = parse_args()
    commands = dict(
        maps=maps, compare=compare, curves=curves, schedule=schedule
    )
    trusted = getattr(args, 'trust_checkpoint', False)
    with readable_errors(), trust_checkpoints(trusted):
        for file in commands[args.command](args):
            note(f'wrote {file}')


if __name__ == '__main__':
    main()
