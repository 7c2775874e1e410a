"""Where a run is in its save: told, slowed and stopped from outside of it.

The library knows nothing of this: the functions that it calls are wrapped, in
a process that was forked for one run.
"""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any, Optional

#: Phases of a save of mmtat, in their order.
MMTAT = (
    'before',
    'temporary',
    'flushed',
    'renamed',
    'pointer',
    'old one removed',
)
#: And of mmengine, which removes first, and writes in place.
MMENGINE = (
    'before',
    'old one removed',
    'half written',
    'written',
    'pointer half written',
    'pointer',
)
#: Bytes that no file of these runs has.
WHOLE = 10**9
#: A pointer comes in one piece, which is cut in four.
POINTER = 4
OUTSIDE = ('training', 'after')
INSIDE = dict(mmtat=MMTAT, mmengine=MMENGINE)


@dataclass(frozen=True)
class Stop:
    """Where a run stops, and waits to be killed.

    Attributes:
        phase (str): Of a save, or 'after'.
        save (int): Which save, from 1.
        part (float): Of the bytes of a file that is being written, below 1.
    """

    phase: str
    save: int
    part: float = 0.0


class Watch:
    """Tells phases through a pipe, writes slowly, and stops in one.

    Args:
        pipe (int): File descriptor that the phases are written to.
        stop (Stop, optional): Where to stop.
        size (int): Bytes of a checkpoint, about; 0 writes it in one.
        pause (float): Seconds after each piece that is written.
    """

    def __init__(
        self,
        pipe: int,
        stop: Optional[Stop] = None,
        size: int = 0,
        pause: float = 0.0,
    ) -> None:
        self.pipe, self.stop, self.size = pipe, stop, size
        self.pause = pause
        self.save, self.phase = 0, ''

    def tell(self, phase: str, part: float = 0.0) -> None:
        self.phase = phase
        os.write(self.pipe, f'{phase},{self.save}\n'.encode())
        stop = self.stop
        if stop is None or (stop.phase, stop.save) != (phase, self.save):
            return
        if part >= stop.part:
            os.write(self.pipe, b'stopped,0\n')
            while True:
                signal.pause()

    def install(self, side: str) -> None:
        """Wrap what the run of a side calls."""
        from mmengine.fileio.backends import local_backend

        remove = local_backend.LocalBackend.remove

        def removed(backend: Any, path: str) -> None:
            remove(backend, path)
            self.tell('old one removed')

        local_backend.LocalBackend.remove = removed
        getattr(self, f'_install_{side}')()
        self._wrap_iterations()

    def _wrap_iterations(self) -> None:
        from mmengine.runner import IterBasedTrainLoop

        run_iter = IterBasedTrainLoop.run_iter

        def told(loop: Any, batch: Any) -> None:
            if not self.phase:
                self.tell('training')
            run_iter(loop, batch)

        IterBasedTrainLoop.run_iter = told

    def _wrap_save(self, hook: type) -> None:
        save = hook._save_checkpoint_with_step

        def told(*arguments: Any, **options: Any) -> None:
            self.save += 1
            self.tell('before')
            save(*arguments, **options)
            self.tell('after')

        hook._save_checkpoint_with_step = told

    def _install_mmtat(self) -> None:
        from mmtat import files
        from mmtat.engine.hooks import SafeCheckpointHook

        self._wrap_save(SafeCheckpointHook)
        files.os = _TellingOs(self)

        def opened(path: Any, mode: str = 'r', **options: Any) -> Any:
            file = open(path, mode, **options)
            if '.pth' in str(path) and 'w' in mode:
                return SlowFile(file, self, 'temporary', self.size)
            if 'last_checkpoint' in str(path) and 'w' in mode:
                # Beside its place: the phase is still the last.
                return SlowFile(file, self, 'renamed', POINTER)
            return file

        files.open = opened

    def _install_mmengine(self) -> None:
        from mmengine.fileio.backends import local_backend
        from mmengine.hooks import CheckpointHook, checkpoint_hook

        self._wrap_save(CheckpointHook)

        def opened(path: Any, mode: str = 'r', **options: Any) -> Any:
            file = open(path, mode, **options)
            if not str(path).endswith('.pth') or 'w' not in mode:
                return file
            return SlowFile(file, self, 'half written', self.size, 'written')

        def opened_pointer(path: Any, mode: str = 'r') -> Any:
            phase = 'pointer half written'
            return SlowFile(open(path, mode), self, phase, POINTER, 'pointer')

        local_backend.open = opened
        checkpoint_hook.open = opened_pointer


class _TellingOs:
    """The module ``os``, with a word after what matters."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        if self._watch.phase == 'temporary':
            self._watch.tell('flushed')

    def replace(self, source: Any, target: Any) -> None:
        os.replace(source, target)
        if str(target).endswith('.pth'):
            self._watch.tell('renamed')
        elif str(target).endswith('last_checkpoint'):
            self._watch.tell('pointer')


class SlowFile:
    """A file that is written in pieces, each of which is on the disk.

    Args:
        file (IO): To write to.
        watch (Watch): Is told of each piece.
        phase (str): That it is in meanwhile.
        size (int): Bytes that are about to come.
        closed (str, optional): Phase once it is closed.
    """

    def __init__(
        self,
        file: Any,
        watch: Watch,
        phase: str,
        size: int,
        closed: Optional[str] = None,
    ) -> None:
        self._file, self._watch, self._phase = file, watch, phase
        self._size, self._closed = size or WHOLE, closed
        self._written = 0
        # A stop at a later part than this one lies in the writing.
        watch.tell(phase)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: Any) -> int:
        piece = max(self._size // 16, 1)
        if self._size == POINTER:
            self._size, piece = len(content), -(-len(content) // POINTER)
        for begin in range(0, len(content), piece):
            part = content[begin : begin + piece]
            self._file.write(part)
            before, self._written = self._written, self._written + len(part)
            # torch writes hundreds of records of some bytes.
            is_full = before // piece != self._written // piece
            if is_full or self._written == self._size:
                self._file.flush()
                time.sleep(self._watch.pause)
                self._watch.tell(self._phase, self._written / self._size)
        return len(content)

    def __enter__(self) -> 'SlowFile':
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()
        if self._closed is not None and error[0] is None:
            self._watch.tell(self._closed)
