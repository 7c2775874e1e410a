"""Disks that are full, and folders that are read-only, beneath a run."""

import contextlib
import random
import re
import resource
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

from . import children
from .judge import found, restored, unsafe_loading
from .kills import KEEPS, Undisturbed, modes, resumed, undisturbed
from .phases import Watch
from .runs import ITERS, WORK_DIR, begin

#: Of mmtat, or of the system where a log met the end of the disk.
_CLEAR = re.compile('cannot be written: |No space left on device')


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a small disk."""
    folder.mkdir(parents=True, exist_ok=True)
    with _mounted(folder, 64) as is_mounted:
        return is_mounted


@contextlib.contextmanager
def _mounted(folder: Path, kib: int) -> Iterator[bool]:
    command = ['mount', '-t', 'tmpfs', '-o', f'size={kib}k', 'tmpfs']
    done = subprocess.run([*command, str(folder)], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(['umount', '-l', str(folder)], check=True)


def full_disks(
    side: str, folder: Path, count: int, seed: int, say: Callable[[str], None]
) -> List[Dict[str, Any]]:
    """Let runs meet the end of a disk, or of what a file may have.

    Args:
        side (str): 'mmtat' or 'mmengine'.
        folder (Path): For all runs.
        count (int): Of runs.
        seed (int): Of the sizes.
        say (Callable[[str], None]): Is told how far it is.

    Returns:
        list[dict]: A record for each.
    """
    generator = random.Random(seed)
    reference = undisturbed(side, folder / 'undisturbed')
    mounts = can_mount(folder / 'probe')
    kind = 'disk full' if mounts else 'file size limited'
    records = []
    number = 0
    while len(records) < count:
        one = folder / f'full_{number}'
        begin(one)
        keep = KEEPS[number % len(KEEPS)]
        number += 1
        if mounts:
            run = one / WORK_DIR
            run.mkdir()
            saves = generator.uniform(0, ITERS if keep < 0 else keep + 1)
            # Beside them stand the config and the log.
            kib = int(24 + saves * reference.size / 1024)
            with _mounted(run, kib):
                ended = children.run(side, one, keep)
                record = _after_the_disk(kind, side, one, ended)
                _enlarge(run)
                _go_on(side, one, keep, reference, record)
        else:
            ended = _limited(side, one, keep, reference, generator)
            record = _after_the_disk(kind, side, one, ended)
            _go_on(side, one, keep, reference, record)
        # Else it was large enough.
        if ended.status:
            records.append(record)
        shutil.rmtree(one)
    say(f'{side}: {kind}, {count} times')
    return records


def _enlarge(run: Path) -> None:
    command = ['mount', '-o', 'remount,size=64m', str(run)]
    subprocess.run(command, check=True)


def _limited(
    side: str,
    folder: Path,
    keep: int,
    reference: Undisturbed,
    generator: random.Random,
) -> children.Ended:
    """A run in whose drawn save files may not become as large as it."""
    save, size = generator.randint(1, ITERS), int(reference.size * 0.5)

    def limit(watch: Watch) -> None:
        tell = watch.tell

        def told(phase: str, part: float = 0.0) -> None:
            if (phase, watch.save) == ('before', save):
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            tell(phase, part)

        watch.tell = told

    return children.run(side, folder, keep, meanwhile=limit)


def read_only(
    side: str, folder: Path, count: int, seed: int, say: Callable[[str], None]
) -> List[Dict[str, Any]]:
    """Let runs find, at a drawn save, that nothing can be written.

    By ``chattr +i`` on the folder where the system has it, else nothing.

    Args:
        side (str): 'mmtat' or 'mmengine'.
        folder (Path): For all runs.
        count (int): Of runs.
        seed (int): Of the saves.
        say (Callable[[str], None]): Is told how far it is.

    Returns:
        list[dict]: A record for each.
    """
    generator = random.Random(seed)
    reference = undisturbed(side, folder / 'undisturbed')
    if not _frozen(folder, True):
        say(f'{side}: no read-only folder, as chattr +i is refused here')
        return []
    _frozen(folder, False)
    records = []
    for number in range(count):
        one = folder / f'frozen_{number}'
        begin(one)
        keep, save = KEEPS[number % len(KEEPS)], generator.randint(1, ITERS)
        try:
            ended = children.run(
                side, one, keep, meanwhile=_freezes(one / WORK_DIR, save)
            )
        finally:
            _frozen(one / WORK_DIR, False)
        record = _after_the_disk('folder read-only', side, one, ended)
        _go_on(side, one, keep, reference, record)
        records.append(record)
        shutil.rmtree(one)
    say(f'{side}: folder read-only, {count} times')
    return records


def _frozen(folder: Path, is_frozen: bool) -> bool:
    command = ['chattr', '+i' if is_frozen else '-i', str(folder)]
    if shutil.which('chattr') is None:
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


def _freezes(folder: Path, save: int) -> Callable[[Watch], None]:
    def install(watch: Watch) -> None:
        tell = watch.tell

        def told(phase: str, part: float = 0.0) -> None:
            if (phase, watch.save) == ('before', save):
                _frozen(folder, True)
            tell(phase, part)

        watch.tell = told

    return install


def _after_the_disk(
    kind: str, side: str, folder: Path, ended: children.Ended
) -> Dict[str, Any]:
    log = (folder / children.LOG).read_text().strip()
    whole = ended.saves('renamed' if side == 'mmtat' else 'written')
    record = dict(kind=kind, whole=whole, status=ended.status)
    record['message'] = log.splitlines()[-1] if ended.status else ''
    return record


def _go_on(
    side: str,
    folder: Path,
    keep: int,
    reference: Undisturbed,
    record: Dict[str, Any],
) -> None:
    """With space again; first as torch does now, then as it did."""
    for name, is_unsafe in modes(side).items():
        with restored(folder), unsafe_loading(is_unsafe):
            there = found(side, folder)
            ending = resumed(side, folder, keep, reference)
        wrong = []
        if there.error or ending['status']:
            wrong.append('cannot be resumed')
        elif there.step < record['whole']:
            wrong.append('a saved step is lost')
        elif ending['differs']:
            wrong.append('the resumed run ends otherwise')
        if record['whole'] and not there.loadable:
            wrong.append('no checkpoint is left')
        if side == 'mmtat' and not _CLEAR.search(record['message']):
            wrong.append('no clear message')
        if side == 'mmtat' and there.temporary:
            wrong.append('a temporary file is left')
        record[name] = dict(asdict(there), wrong=wrong, **ending)
