"""Measure what the loss, the teacher, a step and the start cost.

Everything in one run and in turns, beside its floor and what others offer.
Tables go to the terminal, numbers to --json, both into a page by --docs.

python tools/benchmark.py loss --preset voc-r18 voc-mbv2
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import torch

from mmtat.engine import benchmark
from mmtat.engine.user_errors import readable_errors

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
PARTS = ('loss', 'teacher', 'step', 'startup')
WHAT = (*PARTS, 'all', 'traffic')
Job = Callable[[], benchmark.Result]


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Measure what distillation costs'
    )
    parser.add_argument(
        'what',
        nargs='?',
        choices=WHAT,
        default='all',
        help='traffic counts, on paper, what several GPUs send; now all the '
        'others',
    )
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu, cuda or cuda:1; now %(default)s',
    )
    parser.add_argument(
        '--preset',
        nargs='+',
        choices=list(benchmark.PRESETS),
        default=['voc-r18'],
        help='shapes and networks of an experiment; now voc-r18',
    )
    parser.add_argument(
        '--batch', type=int, help="images; now the preset's for the device"
    )
    parser.add_argument(
        '--repeats',
        type=int,
        help='rounds that count; now 5 on a CPU, 20 on a GPU',
    )
    parser.add_argument('--threads', type=int, help='of a CPU; now all cores')
    parser.add_argument(
        '--allocator',
        choices=['exact', 'system'],
        default='exact',
        help="of a CPU's memory: exact gives each map back when it is freed, "
        'system leaves that to the C library, whose holes come and go; now '
        '%(default)s',
    )
    parser.add_argument(
        '--dtype',
        nargs='+',
        choices=list(benchmark.DTYPES),
        default=['float32'],
        help="of mmtat's rows of the loss; now float32",
    )
    parser.add_argument(
        '--layer',
        nargs='+',
        help="distilled layers of teacher and step; now the preset's",
    )
    parser.add_argument(
        '--size',
        type=int,
        help="side of the images of teacher and step; now the preset's",
    )
    parser.add_argument('--json', type=Path, help='file for all numbers')
    parser.add_argument(
        '--plot',
        type=Path,
        help='picture of the growth with image size and batch, of the loss '
        'or of the step',
    )
    parser.add_argument(
        '--sizes',
        type=int,
        nargs='+',
        default=[256, 512, 768, 1024],
        help='sides of the images of --plot; now 256 to 1024',
    )
    parser.add_argument(
        '--batches',
        type=int,
        nargs='+',
        default=[1, 2, 4, 8],
        help='of --plot; now 1 to 8',
    )
    parser.add_argument(
        '--docs',
        type=Path,
        metavar='PAGE',
        help='replace the tables of this page, docs/performance.md',
    )
    parser.add_argument(
        '--write-measurements',
        action='store_true',
        help="time the loss's backends only, and keep the numbers that "
        "backend='auto' chooses by",
    )
    return parser.parse_args()


def say(line: str) -> None:
    """Tell what begins, where it does not disturb the tables."""
    print(line, file=sys.stderr, flush=True)


def jobs(args: argparse.Namespace, device: torch.device) -> Dict[str, Job]:
    """What is asked for, by the names of the tables."""
    wanted = PARTS if args.what == 'all' else (args.what,)
    found: Dict[str, Job] = {}
    for name in args.preset:
        if 'loss' in wanted:
            preset = benchmark.check_preset(name)
            batch = args.batch or preset.batches[device.type != 'cpu']
            found[benchmark.table_name('loss', name, device)] = partial(
                benchmark.run_loss,
                preset,
                settings_of(args, device, batch),
                args.dtype,
            )
        if {'teacher', 'step'} & set(wanted):
            found.update(network_jobs(args, name, device, wanted))
    if 'startup' in wanted:
        found['startup'] = partial(
            benchmark.run_startup,
            CONFIGS,
            ROOT / 'tools' / 'train.py',
            settings_of(args, device).repeats,
            say,
        )
    return found


def settings_of(
    args: argparse.Namespace, device: torch.device, batch: int = 1
) -> benchmark.Settings:
    """How everything is measured."""
    repeats = args.repeats or (5 if device.type == 'cpu' else 20)
    return benchmark.Settings(device, batch, repeats, args.allocator, say)


def network_jobs(
    args: argparse.Namespace,
    name: str,
    device: torch.device,
    wanted: Sequence[str],
) -> Dict[str, Job]:
    """What is asked for of the networks of a preset."""
    workloads = benchmark.workloads_of(
        name, CONFIGS, device, args.layer, args.size
    )
    batch = args.batch or benchmark.default_batch(name, device)
    common = (name, settings_of(args, device, batch))
    found: Dict[str, Job] = {}
    runs = dict(teacher=benchmark.run_teacher, step=benchmark.run_step)
    for part, function in runs.items():
        if part not in wanted:
            continue
        for workload in workloads:
            table = benchmark.table_name(part, name, device, workload.layer)
            found[table] = partial(function, workload, *common)
    if 'step' in wanted:
        table = benchmark.table_name('validation', name, device)
        found[table] = partial(benchmark.run_validation, workloads[0], *common)
        found[f'checkpoint-{name}'] = partial(
            benchmark.run_checkpoints, workloads[0], name, say
        )
    return found


def plot(args: argparse.Namespace, device: torch.device) -> List[Dict]:
    """Measure and draw the growth; its points as plain values."""
    name = args.preset[0]

    def candidates_at(size: int) -> List[Any]:
        if args.what == 'loss':
            # Maps of 128 x 128 belong to images of 512 x 512.
            preset = benchmark.check_preset(name).scaled(size / 512)
            return benchmark.growth_candidates(preset)
        layer = args.layer and args.layer[:1]
        workloads = benchmark.workloads_of(name, CONFIGS, device, layer, size)
        return benchmark.growth_steps(workloads[0])

    points = benchmark.measure_growth(
        candidates_at,
        args.sizes,
        args.batches,
        settings_of(args, device),
    )
    benchmark.draw_growth(points, args.plot)
    say(f'picture: {args.plot}')
    return [point.record() for point in points]


def check(args: argparse.Namespace) -> torch.device:
    """Refuse now what would fail after hours."""
    device = benchmark.check_device(args.device)
    for name in ('batch', 'repeats', 'threads', 'size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise SystemExit(
                f'error: --{name} must be at least 1, got {value}'
            )
    if args.plot and args.what not in ('loss', 'step'):
        raise SystemExit('error: --plot is of loss or of step')
    if args.write_measurements and args.what != 'loss':
        raise SystemExit('error: --write-measurements is of loss')
    return device


def measure(args: argparse.Namespace, device: torch.device) -> None:
    """Measure, print, and write what was asked for."""
    todo = jobs(args, device)
    if args.docs:
        benchmark.check_places(args.docs, list(todo))
    results: List[benchmark.Result] = []
    growth: List[Dict[str, Any]] = []
    for job in todo.values():
        result = job()
        results.append(result)
        text = benchmark.table_text(result, device)
        print(f'\n{text}', flush=True)
        # At once, so that what follows cannot take it away.
        write(args, device, results, growth)
        if args.docs:
            benchmark.insert_results(args.docs, {result.name: text})
    if args.plot:
        growth += plot(args, device)
        write(args, device, results, growth)


def write(
    args: argparse.Namespace,
    device: torch.device,
    results: List[benchmark.Result],
    growth: List[Dict[str, Any]],
) -> None:
    """Write the numbers so far into --json."""
    if args.json:
        content = benchmark.report(results, device, growth)
        benchmark.write_report(args.json, content)


def main() -> None:
    """Do what the command line asks for."""
    args = parse_args()
    with readable_errors():
        device = check(args)
        if args.threads:
            torch.set_num_threads(args.threads)
        if args.what == 'traffic':
            table = benchmark.traffic_table(CONFIGS, say=say)
            print(table)
            if args.docs:
                benchmark.insert_results(args.docs, {'traffic': table})
        elif args.write_measurements:
            repeats = args.repeats or 9
            rows = benchmark.measure_backends(
                benchmark.SHAPES, device, repeats=repeats, say=say
            )
            command = benchmark.command()
            benchmark.write_measurements(rows, device, command)
        else:
            measure(args, device)


if __name__ == '__main__':
    main()
