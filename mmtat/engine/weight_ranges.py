"""Ranges of iterations in which the weight of a loss moves."""

import difflib
import math
from typing import Any, Dict, Iterable, Optional, Sequence

#: A range of a schedule, as in a config.
Range = Dict[str, Any]

#: Arguments of each type of range; 'begin' may be left out.
_ARGUMENTS = {
    'constant': {'begin', 'value'},
    'linear': {'begin', 'end', 'start', 'stop'},
    'cosine': {'begin', 'end', 'start', 'stop'},
}


def weight_at(
    schedule: Sequence[Range], iteration: int, base_weight: float
) -> float:
    """The weight of a loss in an iteration.

    Before the first range it is the configured weight. The last value of a
    range holds until the next begins.

    Args:
        schedule (list[dict]): Ranges that passed :func:`check_schedule`.
        iteration (int): From 0 on, over the whole training.
        base_weight (float): The configured weight.

    Returns:
        float: Of the loss in that iteration.

    Examples:
        >>> warm_up = [dict(type='linear', begin=0, end=4, start=0, stop=1)]
        >>> [weight_at(warm_up, i, 2.0) for i in (0, 1, 4, 100)]
        [0.0, 0.5, 2.0, 2.0]
    """
    begun = [part for part in schedule if part.get('begin', 0) <= iteration]
    if not begun:
        return base_weight
    return base_weight * _factor(begun[-1], iteration)


def _factor(part: Range, iteration: int) -> float:
    if part['type'] == 'constant':
        return part['value']
    begin, end = part.get('begin', 0), part['end']
    done = min(1.0, (iteration - begin) / (end - begin))
    if part['type'] == 'cosine':
        done = (1 - math.cos(math.pi * done)) / 2
    # The ends are exact, or a weight of 0 would run the teacher.
    return part['start'] * (1 - done) + part['stop'] * done


def check_schedule(schedule: Any, name: str) -> None:
    """Raise for a schedule that cannot be.

    Args:
        schedule (Any): What came; see :class:`DistillWeightHook`.
        name (str): Of the argument.

    Raises:
        TypeError: No list of dicts.
        ValueError: A range of an unknown type, with unknown or missing
            arguments or numbers out of range, or one that overlaps another.
    """
    is_list = isinstance(schedule, (list, tuple)) and bool(schedule)
    if not is_list or not all(isinstance(part, dict) for part in schedule):
        raise TypeError(
            f'{name} must be a list of ranges, such as [dict(type="linear", '
            f'begin=0, end=1000, start=0.0, stop=1.0)], got {schedule!r}'
        )
    before: Optional[Range] = None
    for index, part in enumerate(schedule):
        _check_range(part, f'{name}[{index}]')
        if before is not None:
            # A constant range ends where the next begins.
            end = before.get('end', before.get('begin', 0) + 1)
            if part.get('begin', 0) < end:
                raise ValueError(
                    f'{name}: ranges must be in order and may not overlap, '
                    f'got {before!r} before {part!r}'
                )
        before = part


def _check_range(part: Range, name: str) -> None:
    kind = part.get('type')
    if kind not in _ARGUMENTS:
        raise ValueError(
            f'{name}: type must be one of {", ".join(_ARGUMENTS)}, got '
            f'{kind!r}{close_match(kind, _ARGUMENTS)}'
        )
    arguments = _ARGUMENTS[kind]
    for key in set(part) - {'type'} - arguments:
        hint = close_match(key, arguments)
        if kind == 'constant' and key == 'end':
            hint = '; it holds until the next range begins'
        raise ValueError(
            f'{name}: {kind} has no argument {key!r}{hint}. There are '
            f'{", ".join(sorted(arguments))}'
        )
    lacking = arguments - set(part) - {'begin'}
    if lacking:
        raise ValueError(
            f'{name}: {kind} needs {", ".join(sorted(lacking))}, got {part!r}'
        )
    for key in ('begin', 'end'):
        value = part.get(key, 0)
        if not _is_number(value, int) or value < 0:
            raise ValueError(
                f'{name}: {key} must be an iteration, a whole number of at '
                f'least 0, got {value!r}'
            )
    if 'end' in part and part['end'] <= part.get('begin', 0):
        raise ValueError(
            f'{name}: end must be after begin={part.get("begin", 0)}, got '
            f'{part["end"]}'
        )
    for key in arguments & {'start', 'stop', 'value'}:
        if not _is_number(part[key], (int, float)) or not (
            0 <= part[key] < math.inf
        ):
            raise ValueError(
                f'{name}: {key} must be a factor of the configured weight, '
                f'a number of at least 0, got {part[key]!r}'
            )


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def close_match(name: Any, known: Iterable[str]) -> str:
    """A hint at what was meant, for a message.

    Args:
        name (Any): What came.
        known (Iterable[str]): What there is.

    Returns:
        str: Begins with a semicolon; empty where nothing is close.
    """
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f' (did you mean {close[0]!r}?)' if close else ''
