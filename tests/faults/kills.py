"""Kills at drawn moments, and what is left of the run after each."""

import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from . import children
from .judge import Found, difference, found, last, restored, unsafe_loading
from .phases import INSIDE, Stop
from .runs import ITERS, WORK_DIR, begin

#: What ``max_keep_ckpts`` is, in turns.
KEEPS = (1, 2, -1)
#: Seconds between the pieces of a file: saving takes about half of a run.
PAUSE = 0.002
#: By side, the phases after which a save's file is whole.
_WHOLE = dict(mmtat=('renamed',), mmengine=('written',))
#: Phases in which a file is written; 'renamed' ends with the pointer's.
_IN_PIECES = ('temporary', 'renamed', 'half written', 'pointer half written')


@dataclass
class Undisturbed:
    """A run that nothing happened to.

    Attributes:
        content (Any): Of its last checkpoint.
        size (int): Bytes of its smallest.
        seconds (float): That it took, written slowly.
    """

    content: Any
    size: int
    seconds: float


def undisturbed(side: str, folder: Path) -> Undisturbed:
    """Train to the end."""
    begin(folder)
    ended = children.run(side, folder, keep=-1, pause=PAUSE, size=30000)
    if ended.status:
        raise RuntimeError((folder / children.LOG).read_text())
    files = (folder / WORK_DIR).glob('iter_*.pth')
    size = min(path.stat().st_size for path in files)
    return Undisturbed(last(folder, ITERS), size, ended.seconds)


def draw(side: str, number: int, generator: random.Random) -> Optional[Stop]:
    """Where the next kill falls; None is at any time.

    Every other one is put into a phase of the save, each in its turn.
    """
    if number % 2:
        return None
    phases = INSIDE[side]
    phase = phases[number // 2 % len(phases)]
    # Only from the third save on there is an old one to remove.
    first = 3 if phase == 'old one removed' else 1
    part = 0.9 * generator.random() if phase in _IN_PIECES else 0.0
    return Stop(phase, generator.randint(first, ITERS), part)


def kill(
    side: str,
    folder: Path,
    reference: Undisturbed,
    stop: Optional[Stop],
    keep: int,
    generator: random.Random,
) -> Dict[str, Any]:
    """Kill one run and look at what it left."""
    begin(folder)
    if stop is not None and stop.phase == 'old one removed':
        keep = max(keep, 1)
    after = None
    if stop is None:
        after = generator.uniform(0, reference.seconds)
    ended = children.run(
        side, folder, keep, stop=stop, after=after, size=reference.size,
        pause=PAUSE,
    )  # fmt: skip
    return dict(
        keep=keep,
        phase=ended.phase,
        stopped=stop is not None,
        status=ended.status,
        killed=ended.status < 0,
        whole=ended.saves(*_WHOLE[side]),
        log='' if ended.status < 0 else _tail(folder),
    )


def kills(
    side: str,
    folder: Path,
    count: int,
    seed: int,
    every: int,
    say: Callable[[str], None],
) -> List[Dict[str, Any]]:
    """Kill many runs, and resume every so many of them.

    Args:
        side (str): 'mmtat' or 'mmengine'.
        folder (Path): For all runs.
        count (int): Kills.
        seed (int): Of the moments.
        every (int): How many runs one is resumed of.
        say (Callable[[str], None]): Is told how far it is.

    Returns:
        list[dict]: A record for each.
    """
    generator = random.Random(seed)
    reference = undisturbed(side, folder / 'undisturbed')
    records: List[Dict[str, Any]] = []
    while len(records) < count:
        number = len(records)
        one = folder / f'kill_{number}'
        stop = draw(side, number, generator)
        keep = KEEPS[number // 2 % len(KEEPS)]
        record = kill(side, one, reference, stop, keep, generator)
        if stop is None and record['status'] == 0:
            # It was quicker than usual, and came to its end.
            shutil.rmtree(one)
            continue
        is_resumed = number % every in (0, 1)
        record.update(aftermath(side, one, record, reference, is_resumed))
        records.append(record)
        shutil.rmtree(one)
        if len(records) % 20 == 0:
            say(f'{side}: {len(records)} of {count} kills')
    return records


def modes(side: str) -> Dict[str, bool]:
    """Ways to load: for mmengine also as torch did before 2.6."""
    return dict(found=False, **(dict(unsafe=True) if side != 'mmtat' else {}))


def aftermath(
    side: str,
    folder: Path,
    record: Dict[str, Any],
    reference: Undisturbed,
    is_resumed: bool,
) -> Dict[str, Any]:
    """What a resume finds, and how it ends, in each way of loading."""
    result: Dict[str, Any] = {}
    for name, is_unsafe in modes(side).items():
        with unsafe_loading(is_unsafe):
            there = found(side, folder)
            result[name] = asdict(there)
            if is_resumed:
                with restored(folder):
                    ending = resumed(side, folder, record['keep'], reference)
                result[name].update(ending)
        result[name]['wrong'] = wrongs(record, there, result[name])
    return result


def resumed(
    side: str, folder: Path, keep: int, reference: Undisturbed
) -> Dict[str, Any]:
    """Go on to the end, and compare."""
    ended = children.run(side, folder, keep, resume=True)
    result = dict(status=ended.status, differs='')
    if ended.status:
        result['log'] = _tail(folder)
    else:
        result['differs'] = difference(last(folder, ITERS), reference.content)
        left = (folder / WORK_DIR).glob('.*.tmp')
        result['left_over'] = [path.name for path in left]
    return result


def wrongs(
    record: Dict[str, Any], there: Found, ending: Dict[str, Any]
) -> List[str]:
    """What must not be so after a kill."""
    wrong = []
    if there.error:
        wrong.append('cannot be resumed')
    elif there.step < record['whole']:
        wrong.append('a saved step is lost')
    if record['whole'] and not there.loadable:
        wrong.append('no checkpoint is left')
    if there.temporary > 1:
        wrong.append('more than one temporary file')
    if ending.get('status'):
        wrong.append('the resumed run fails')
    if ending.get('differs'):
        wrong.append('the resumed run ends otherwise')
    if ending.get('left_over') and there.step < ITERS:
        wrong.append('the next save leaves the temporary file')
    if not record['killed']:
        wrong.append('the run failed by itself')
    return wrong


def _tail(folder: Path) -> str:
    log = folder / children.LOG
    return log.read_text()[-1500:].strip() if log.is_file() else ''
