"""What ``tools/estimate.py`` prints."""

from typing import List, Optional

from ..report import mebibytes, note, print_table
from . import parts
from .capacity import MOST_IMAGES, SHARE
from .estimating import Estimate

_DEVICES = dict(cpu='a CPU', cuda='a GPU')


def print_estimate(found: Estimate) -> None:
    """Print the tables of an estimate.

    Args:
        found (Estimate): It.
    """
    _print_sizes(found)
    _print_memory(found)
    if found.batches:
        _print_batches(found)


def _print_sizes(found: Estimate) -> None:
    numbers, work = found.parameters, found.operations
    rows: List[List[Optional[str]]] = [
        [
            'student',
            _millions(numbers.student),
            _billions(work.student_forward),
            _billions(work.student_step),
        ]
    ]
    if numbers.teacher:
        last = ', '.join(numbers.recorded) or 'the end'
        rows += [
            [
                'teacher, whole',
                _millions(numbers.teacher),
                _billions(work.teacher_whole),
                None,
            ],
            [
                f'teacher, as run, to {last}',
                _millions(numbers.teacher_run),
                _billions(work.teacher_run),
                _billions(work.teacher_run),
            ],
            [
                'distillation',
                _millions(numbers.distiller),
                None,
                _billions(work.distillation),
            ],
        ]
    height, width = found.case.size
    assumed = ', assumed: give --size' if found.case.is_assumed else ''
    print_table(
        ['', 'parameters, M', 'forward, GMAC', 'step, GMAC'],
        rows,
        f'{found.case.config}: one image of {height} x {width}{assumed}',
    )
    note(
        'GMAC: 10^9 multiply-adds of products, convolutions and attention; '
        'FLOPs are twice as many.\n'
    )


def _print_memory(found: Estimate) -> None:
    peak = found.peak
    rows = [
        [
            part,
            mebibytes(peak.parts.get(part, 0)),
            mebibytes(peak.largest[part]),
        ]
        for part in parts.PARTS
        if peak.largest.get(part)
    ]
    rows.append(['all', mebibytes(peak.total), None])
    precision = ', mixed precision' if found.is_mixed else ''
    print_table(
        ['MiB', 'at the peak', 'at most'],
        rows,
        f'A step of {found.case.batch} images on {_DEVICES[found.kind]}'
        f'{precision}',
    )
    note(
        f'The peak is in: {peak.part}. Each further image takes '
        f'{mebibytes(found.growth)} MiB.\n'
    )


def _print_batches(found: Estimate) -> None:
    def shown(images: int) -> str:
        if images == 0:
            return 'none'
        return f'{images} or more' if images == MOST_IMAGES else str(images)

    print_table(
        ['GPU, GB', 'images'],
        [[f'{g:g}', shown(n)] for g, n in found.batches.items()],
        'Largest batch of one process',
    )
    note(
        f'As the code goes on a GPU, with {1 - SHARE:.0%} of its memory left '
        'to the driver and the libraries; not measured on one. With several '
        f'processes DDP takes another {mebibytes(found.trained_bytes)} MiB.'
    )


def print_check(found: Estimate, measured: int) -> float:
    """Print what was estimated beside what was measured.

    Args:
        found (Estimate): Of the device that was measured on.
        measured (int): Bytes.

    Returns:
        float: What was estimated over what was measured.
    """
    ratio = found.peak.total / measured
    print_table(
        ['estimated, MiB', 'measured, MiB', 'ratio'],
        [
            [
                mebibytes(found.peak.total),
                mebibytes(measured),
                f'{ratio:.3f}',
            ]
        ],
        f'\nPeak of a step of {found.case.batch} images, measured on '
        f'{_DEVICES[found.kind]} of this machine',
    )
    return ratio


def _millions(count: int) -> str:
    return f'{count / 1e6:.4g}'


def _billions(count: float) -> str:
    return f'{count / 1e9:.4g}'
