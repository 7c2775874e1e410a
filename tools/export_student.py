"""Export the student of a checkpoint, to be used without mmtat.

python tools/export_student.py work_dirs/NAME/iter_40000.pth student.pth
python tools/export_student.py CHECKPOINT student.onnx \
    --fold-norms --with-preprocessing

The checkpoint may be of any run, also of one that was interrupted. A model
card is put beside the file, as student.onnx.md, and for .pth the config.
"""

import argparse
import shlex
import sys

from mmtat.engine.arguments import add_trust_option
from mmtat.engine.export import ExportOptions, export_student
from mmtat.engine.report import mebibytes, note, print_table
from mmtat.engine.user_errors import readable_errors
from mmtat.models.utils import trust_checkpoints


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Export the student of a checkpoint'
    )
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument('out', help='the file to make')
    parser.add_argument(
        '--format',
        choices=['pth', 'safetensors', 'onnx', 'torchscript'],
        help='now by the ending of OUT: .pth, .safetensors, .onnx, .pt',
    )
    parser.add_argument(
        '--config',
        help='of the student or its distillation; now student.py beside the '
        'checkpoint, or what the checkpoint holds',
    )
    parser.add_argument(
        '--fold-norms',
        action='store_true',
        help='let convolutions do the work of their batch norms; for graphs',
    )
    parser.add_argument(
        '--ema',
        action=argparse.BooleanOptionalAction,
        help='averaged weights, or those of the last step; now averaged '
        'where there are any',
    )
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='height and width of an image; now as in the training',
    )
    parser.add_argument(
        '--dynamic', action='store_true', help='a graph for images of any size'
    )
    parser.add_argument(
        '--batch', type=int, help='a graph for so many images; now any number'
    )
    parser.add_argument(
        '--with-preprocessing',
        nargs='?',
        const='uint8',
        choices=['uint8', 'float32'],
        help='a graph that takes RGB images of 0 to 255, and normalises',
    )
    parser.add_argument(
        '--argmax', action='store_true', help='a graph that gives labels'
    )
    parser.add_argument('--teacher', help="the teacher's name, for the card")
    add_trust_option(parser)
    parser.add_argument(
        '--force', action='store_true', help='replace files that exist'
    )
    return parser.parse_args()


def main() -> None:
    """Export, and say what was made."""
    args = parse_args()
    options = ExportOptions(
        format=args.format,
        config=args.config,
        fold_norms=args.fold_norms,
        ema=args.ema,
        size=tuple(args.size) if args.size else None,
        dynamic=args.dynamic,
        batch=args.batch,
        preprocessing=args.with_preprocessing,
        argmax=args.argmax,
        force=args.force,
        teacher=args.teacher,
        command=shlex.join(
            ['python', 'tools/export_student.py', *sys.argv[1:]]
        ),
    )
    with readable_errors(), trust_checkpoints(args.trust_checkpoint):
        export = export_student(args.checkpoint, args.out, options)
    note(f'config: {export.config_from}')
    note(f'compared with the student: {export.comparison}')
    rows = [(path, mebibytes(path.stat().st_size)) for path in export.paths]
    print_table(('file', 'MiB'), rows)


if __name__ == '__main__':
    main()
