"""Distil any model of mmsegmentation or mmpretrain into any other.

python tools/distill.py --teacher mmseg::deeplabv3_r101-d8_4xb4-40k_voc12aug\
-512x512 --student mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512 \
--data voc --out my_config.py

Finds the layers by a dry run of both models, and writes a config for
tools/train.py that says why it is as it is; with --run it trains at once.
"""

import argparse
import os.path as osp
import sys

from mmtat.engine.arguments import add_cfg_options, add_trust_option
from mmtat.engine.report import note, print_table
from mmtat.engine.training import train
from mmtat.engine.user_errors import readable_errors
from mmtat.engine.wiring import (
    Plan,
    check_free,
    checked_text,
    launch_command,
    make_plan,
    method_names,
    quiet_output,
    write,
)
from mmtat.models.utils import trust_checkpoints


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Write a config that distils a teacher into a student'
    )
    model = 'mmseg::NAME, mmpretrain::NAME, timm::NAME, or a config'
    parser.add_argument('--teacher', required=True, help=model)
    parser.add_argument('--student', required=True, help=model)
    parser.add_argument(
        '--data',
        metavar='NAME_OR_CONFIG',
        help='voc, cityscapes, ade20k, imagenet, cifar100, ..., or a config '
        "with data; now the student's own",
    )
    parser.add_argument(
        '--method',
        default='tat',
        help=f'{", ".join(method_names())}; now %(default)s',
    )
    parser.add_argument(
        '--teacher-ckpt',
        metavar='FILE_OR_URL',
        help="weights of the teacher; now the zoo's",
    )
    parser.add_argument(
        '--out', metavar='CONFIG.py', help='now the config is only printed'
    )
    parser.add_argument(
        '--force', action='store_true', help='replace a config that is there'
    )
    parser.add_argument(
        '--run', action='store_true', help='train as tools/train.py does'
    )
    parser.add_argument('--work-dir', help='with --run; now work_dirs/NAME')
    parser.add_argument(
        '--data-root', help='folder that every dataset of the run reads'
    )
    add_trust_option(parser)
    add_cfg_options(
        parser, 'settings of the config for the run, and for its dry run'
    )
    return parser.parse_args()


def show(plan: Plan, out: str) -> None:
    """Print what was chosen.

    Args:
        plan (Plan): It.
        out (str): Where the config is.
    """
    rows = []
    for pair in plan.proposal.pairs:
        for role in ('teacher', 'student'):
            layer = getattr(pair, role)
            name = getattr(plan, role).short_name
            rows.append(
                [role, name, layer.name, ' x '.join(map(str, layer.map))]
            )
    print_table(['', 'model', 'layer', 'map'], rows)
    note(f'Written to {out}')


def wire(args: argparse.Namespace) -> str:
    """Write the config, or print it.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        str: Path of the config; empty where it was printed.
    """
    out = args.out
    if out is not None:
        check_free(out, args.force, args.work_dir if args.run else None)
    with quiet_output():
        plan = make_plan(
            args.teacher,
            args.student,
            args.data,
            args.method,
            args.teacher_ckpt,
            args.cfg_options,
        )
        if args.run and out is None:
            # Not beside the log, where the Runner writes a file of its name.
            folder = args.work_dir or osp.join('work_dirs', plan.name)
            out = osp.join(folder, 'distill', f'{plan.name}.py')
            check_free(out, args.force)
        command = launch_command(
            out or 'CONFIG.py', args.data_root, args.cfg_options
        )
        text = checked_text(plan, out, command, args.cfg_options)
    for line in plan.notes:
        print(f'note: {line}', file=sys.stderr, flush=True)
    if out is None:
        print(text, end='')
        return ''
    write(text, out)
    show(plan, out)
    return out


def run(args: argparse.Namespace, config: str) -> None:
    """Train what was written.

    Args:
        args (argparse.Namespace): The command line.
        config (str): Path of the config.
    """
    train(
        argparse.Namespace(
            config=config,
            work_dir=args.work_dir,
            data_root=args.data_root,
            cfg_options=args.cfg_options,
            launcher='none',
            local_rank=0,
            resume=None,
            amp=False,
            auto_scale_lr=False,
        )
    )


def main() -> None:
    """Wire, and train if asked to."""
    args = parse_args()
    with readable_errors(), trust_checkpoints(args.trust_checkpoint):
        config = wire(args)
        if args.run:
            run(args, config)
        elif config:
            command = launch_command(config, args.data_root, args.cfg_options)
            note(f'Train it: {command}')


if __name__ == '__main__':
    main()
