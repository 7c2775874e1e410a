"""Run the main job on data of its own, made from real handwriting.

A teacher is trained, then a student that has few labels, and that student is
trained on without and with TaT: same start, steps, seed and images. Ends with
a table and a picture. About 4 minutes on a CPU.

python tools/demo.py
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Sequence, Tuple

from _demo_picture import draw

from mmtat.datasets import write_digit_scenes
from mmtat.engine.arguments import positive

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs' / 'demo'
#: Training scenes, and those of them whose labels the student gets.
TRAIN, LABELLED = 2000, 100

_STEP = re.compile(r'Iter\(train\) \[ *(\d+00)/\d+\]')


@dataclass
class Run:
    """One finished training.

    Attributes:
        name (str): What was trained.
        work_dir (Path): Its folder.
        minutes (float): Wall-clock time, with the start of Python.
    """

    name: str
    work_dir: Path
    minutes: float

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint, in ``work_dir``."""
        last = (self.work_dir / 'last_checkpoint').read_text().strip()
        return self.work_dir / Path(last).name

    @property
    def miou(self) -> float:
        """Over the validation scenes, in [0, 1]."""
        # Each run writes into a folder that is named by its time.
        log = max(self.work_dir.glob('*/vis_data/scalars.json'))
        lines = map(json.loads, log.read_text().splitlines())
        return [line['mIoU'] for line in lines if 'mIoU' in line][-1] / 100


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Distil a small student with TaT, on handwritten digits'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs', 'demo'),
        help='folder of data, logs, checkpoints, picture; now %(default)s',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the data and of the training'
    )
    parser.add_argument(
        '--steps',
        type=positive,
        help='end each training after so many steps: a look whether '
        'everything works, no result',
    )
    args = parser.parse_args()
    if args.seed < 0:
        parser.error(f'--seed must be at least 0, got {args.seed}')
    if args.out.exists() and not args.out.is_dir():
        parser.error(f"--out: '{args.out}' is a file; give a folder")
    return args


def train(name: str, config: str, data: Path, options: Dict) -> Run:
    """Train by tools/train.py; end the demo, with its error, if that fails.

    Args:
        name (str): What is trained, for the reader.
        config (str): Name of a config in ``configs/demo``.
        data (Path): Absolute path of the digit scenes; the training runs
            in the folder beside, and leaves its own folder and log there.
        options (dict): Settings of the config to override.

    Returns:
        Run: Where it is, and how long it took.
    """
    work_dir = data.parent / config
    log = work_dir.with_suffix('.log')
    command = [
        *(sys.executable, ROOT / 'tools' / 'train.py'),
        *(CONFIGS / f'{config}.py', '--work-dir', work_dir),
        *('--data-root', data, '--cfg-options'),
        *(f'{key}={value}' for key, value in options.items()),
    ]
    start = time.time()
    print(f'Training the {name}; steps:', end='', flush=True)
    with (
        open(log, 'w') as file,
        subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            cwd=data.parent,
        ) as process,
    ):
        for line in process.stdout:
            file.write(line)
            if step := _STEP.search(line):
                print(f' {step[1]}', end='', flush=True)
    print(flush=True)
    if process.returncode:
        tail = log.read_text().splitlines()[-15:]
        print(*tail, sep='\n', file=sys.stderr)
        print(f'Training the {name} failed; see {log}.', file=sys.stderr)
        # The negative status of a signal is no exit status.
        sys.exit(max(process.returncode, 1))
    run = Run(name, work_dir, (time.time() - start) / 60)
    print(f'    mIoU {run.miou:.3f} after {run.minutes:.1f} minutes')
    return run


def train_all(out: Path, seed: int, options: Dict) -> Tuple[Path, list]:
    """Make the data, and train four times.

    Args:
        out (Path): Folder of everything.
        seed (int): Of the data and of every training.
        options (dict): Settings for every training.

    Returns:
        tuple[Path, list[Run]]: The data, and the runs of teacher, student,
        student trained on without, and with TaT.
    """
    print(f'Writing {TRAIN} scenes of handwritten digits', flush=True)
    data = write_digit_scenes(
        out / f'data_seed{seed}', seed, train=TRAIN, labelled=LABELLED
    )
    options = {'randomness.seed': seed, **options}
    teacher = train('teacher', 'digit_scenes_teacher', data, options)
    student = train('student', 'digit_scenes_student', data, options)
    # Relative to where they run: options lose the blanks in a path.
    options['load_from'] = student.checkpoint.relative_to(out)
    without = train(
        'student further, without TaT',
        'digit_scenes_student_further',
        data,
        options,
    )
    options['model.teacher_ckpt'] = teacher.checkpoint.relative_to(out)
    tat = train('student further, with TaT', 'digit_scenes_tat', data, options)
    return data, [teacher, student, without, tat]


def columns_of(runs: Sequence[Run]) -> Dict[str, Tuple[Path, Path]]:
    """Title, config and checkpoint of each model of the picture."""
    teacher, _, without, tat = runs
    models = {
        'teacher': (CONFIGS / 'digit_scenes_teacher.py', teacher),
        'student\nwithout TaT': (
            CONFIGS / 'digit_scenes_student_further.py',
            without,
        ),
        # Distillation leaves a checkpoint, and a config, of the student.
        'student\nwith TaT': (tat.work_dir / 'student.py', tat),
    }
    return {
        f'{title}\nmIoU {run.miou:.2f}': (config, run.checkpoint)
        for title, (config, run) in models.items()
    }


def table(runs: Sequence[Run]) -> str:
    """The result, a line for each run."""
    few = f'{LABELLED} labelled scenes'
    more = f'{few}, {TRAIN - LABELLED} unlabelled'
    notes = (f'{TRAIN} labelled scenes', few, more, more)
    lines = [f'{"":<30}{"mIoU":>6}{"minutes":>9}']
    for run, note in zip(runs, notes):
        lines.append(
            f'{run.name:<30}{run.miou:>6.3f}{run.minutes:>9.1f}   {note}'
        )
    return '\n'.join(lines)


def main() -> None:
    """Train, show, and print the table."""
    args = parse_args()
    # The maps are too small to share among threads, which stall each other
    # for seconds where other programs use the cores.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    options = {}
    if args.steps is not None:
        for key in ('max_iters', 'val_interval'):
            options[f'train_cfg.{key}'] = args.steps
        options['default_hooks.logger.interval'] = max(1, args.steps // 4)
    out = args.out.absolute()
    try:
        data, runs = train_all(out, args.seed, options)
    except ValueError as error:
        sys.exit(f'error: {error}')
    print('Drawing the picture', flush=True)
    ended = ''
    if args.steps is not None:
        ended = f'Each ended after {args.steps} steps: no result.\n\n'
    picture = draw(data, columns_of(runs), out / 'digit_scenes.png')
    print(
        f'\n{table(runs)}\n\n{ended}'
        f'student with TaT  {runs[-1].checkpoint}\n'
        f'its plain config  {runs[-1].work_dir / "student.py"}\n'
        f'picture           {picture}'
    )


if __name__ == '__main__':
    main()
