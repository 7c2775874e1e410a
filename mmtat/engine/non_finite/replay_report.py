"""What ``tools/replay.py`` prints."""

from typing import Dict, List, Optional

from ..report import note, print_table
from .layer_watch import BrokenLayer
from .replay import Replay


def report_replay(replayed: Replay) -> None:
    """Print a step that was run once more, and where it goes wrong.

    Args:
        replayed (Replay): It.
    """
    dump = replayed.dump
    rank = f', rank {dump["rank"]}' if dump['processes'] > 1 else ''
    before = dump['terms']
    print_table(
        ('loss', 'in the run', 'now'),
        [
            (name, _number(before.get(name)), _number(value))
            for name, value in replayed.terms.items()
        ],
        f'Iteration {dump["iteration"] + 1}{rank}',
    )
    for line in _lines(replayed):
        note(line)


def _lines(replayed: Replay) -> List[str]:
    lines = []
    if replayed.files:
        lines.append(f'images: {", ".join(replayed.files)}')
    lines += _named('inputs that are not finite', replayed.inputs)
    lines += _named(
        'weights that were not finite before the step', replayed.weights
    )
    lines += _where(replayed)
    lines += _named('gradients that are not finite', replayed.gradients)
    if not replayed.is_reproduced:
        lines.append(
            'All losses and gradients are finite here: the step depends on '
            'what no dump holds, such as other processes, an accumulation, '
            'or kernels of another device'
        )
    return lines


def _where(replayed: Replay) -> List[str]:
    """The layer at which it begins, in the forward or in the backward."""
    layer, behind = replayed.layer, replayed.gradient_layer
    if layer is not None:
        given = 'hold some too' if layer.is_given_any else 'are finite'
        return [
            f'first output that is not finite: {_layer(layer)}; its inputs '
            f'and weights {given}'
        ]
    lines = ['all outputs of layers are finite']
    if behind is not None:
        lines.append(
            'first output whose gradient is not finite: '
            f'{_layer(behind)}; what uses this output is at fault'
        )
    return lines


def _layer(layer: BrokenLayer) -> str:
    return f'{layer.name} ({layer.kind}), {layer.values}'


def _named(title: str, found: Dict[str, str]) -> List[str]:
    named = [f'{name} ({count})' for name, count in found.items()]
    more = f' and {len(named) - 8} more' if len(named) > 8 else ''
    return [f'{title}: {", ".join(named[:8])}{more}'] if named else []


def _number(value: Optional[float]) -> str:
    return '' if value is None else f'{value:.6g}'
