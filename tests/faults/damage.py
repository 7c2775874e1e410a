"""Damaged files of a run."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, List

from . import children
from .judge import found, last, restored, unsafe_loading, weights_differ
from .kills import Undisturbed, modes, resumed, undisturbed
from .phases import Stop
from .runs import WORK_DIR, begin

#: The step after whose save a run is killed, to be damaged.
STEP = 4

Damage = Callable[[Path, random.Random], None]


def newest_of(folder: Path) -> Path:
    """The checkpoint that is damaged."""
    return folder / WORK_DIR / f'iter_{STEP}.pth'


def pointer_of(folder: Path) -> Path:
    """The file that names it."""
    return folder / WORK_DIR / 'last_checkpoint'


def _cut(path: Path, generator: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: generator.randrange(1, len(content))])


def _flip(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def _zero(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    first = generator.randrange(len(content))
    last = min(first + 4096, len(content))
    # A block that a file system never wrote.
    content[first:last] = bytes(last - first)
    path.write_bytes(content)


DAMAGES: Dict[str, Damage] = {
    'newest cut off': lambda folder, draw: _cut(newest_of(folder), draw),
    'newest empty': lambda folder, _: newest_of(folder).write_bytes(b''),
    'newest, a bit flipped': lambda folder, draw: _flip(
        newest_of(folder), draw
    ),
    'newest, 4 KiB of zeros': lambda folder, draw: _zero(
        newest_of(folder), draw
    ),
    'newest gone': lambda folder, _: newest_of(folder).unlink(),
    'pointer gone': lambda folder, _: pointer_of(folder).unlink(),
    'pointer empty': lambda folder, _: pointer_of(folder).write_bytes(b''),
    'pointer cut off': lambda folder, draw: _cut(pointer_of(folder), draw),
    'pointer garbage': lambda folder, draw: pointer_of(folder).write_bytes(
        draw.randbytes(40)
    ),
}


def damages(
    side: str, folder: Path, count: int, seed: int, say: Callable[[str], None]
) -> List[Dict[str, Any]]:
    """Damage a run that was killed, in every way, and resume it.

    Args:
        side (str): 'mmtat' or 'mmengine'.
        folder (Path): For all runs.
        count (int): Of each kind.
        seed (int): Of the places.
        say (Callable[[str], None]): Is told how far it is.

    Returns:
        list[dict]: A record for each.
    """
    generator = random.Random(seed)
    reference = undisturbed(side, folder / 'undisturbed')
    one = folder / 'killed'
    begin(one)
    children.run(side, one, stop=Stop('after', STEP))
    whole = last(one, STEP)
    records = []
    for kind, damage in DAMAGES.items():
        for _ in range(count):
            record = dict(kind=kind)
            state = generator.getstate()
            for name, is_unsafe in modes(side).items():
                generator.setstate(state)
                with restored(one), unsafe_loading(is_unsafe):
                    damage(one, generator)
                    record[name] = _ending(side, one, reference, whole)
            records.append(record)
        say(f'{side}: {kind}, {count} times')
    return records


def _ending(
    side: str, folder: Path, reference: Undisturbed, whole: Any
) -> Dict[str, Any]:
    there = found(side, folder)
    is_taken = not there.error and there.step == STEP
    is_changed = is_taken and weights_differ(last(folder, STEP), whole)
    ending = dict(asdict(there), **resumed(side, folder, 2, reference))
    wrong = []
    if there.error or ending['status']:
        wrong.append('cannot be resumed')
    elif is_changed:
        wrong.append('goes on from damaged weights, silently')
    elif ending['differs']:
        wrong.append('the resumed run ends otherwise')
    if not there.error and there.step == 0:
        wrong.append('begins anew, silently')
    ending['wrong'] = wrong
    return ending
