"""Reading a checkpoint as weights only, and saying what was refused."""

import contextlib
import contextvars
import functools
import io
import logging
import os
import pickle
import re
import zipfile
from typing import Any, Iterator, List, Optional

import torch
from mmengine.logging import print_log
from mmengine.utils import digit_version

from .pickle_globals import File, is_script, is_tar, unsafe_globals

_SCRIPT = 'it is a TorchScript archive, which holds code'

_argument = contextvars.ContextVar('argument', default=None)
_trusted = contextvars.ContextVar('trusted', default=False)


class RefusedFile(ValueError, pickle.UnpicklingError):
    """A checkpoint that holds more than weights and plain values."""


@contextlib.contextmanager
def reading_for(argument: str) -> Iterator[None]:
    """Name what the files are for that are read inside, for messages.

    Args:
        argument (str): Such as 'teacher_ckpt'. Where it is named already,
            that name stays.
    """
    if _argument.get() is not None:
        yield
        return
    token = _argument.set(argument)
    try:
        yield
    finally:
        _argument.reset(token)


def argument_name() -> str:
    """What the file that is read now is for.

    Returns:
        str: Of :func:`reading_for`, by default 'checkpoint'.
    """
    return _argument.get() or 'checkpoint'


@contextlib.contextmanager
def trust_checkpoints(trusted: bool = True) -> Iterator[None]:
    """Let checkpoints that are read inside run what they hold.

    It is what ``--trust-checkpoint`` of the tools stands for. Each file is
    read as weights only first; one that is refused is then read by plain
    pickle, and the log names it and what it imports.

    Args:
        trusted (bool): False changes nothing. Defaults to True.
    """
    token = _trusted.set(trusted or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def load_weights(
    file: File, map_location: Any = None, is_mapped: bool = False
) -> Any:
    """``torch.load``, weights only.

    Args:
        file (str | PathLike | IO[bytes]): A checkpoint.
        map_location (Any): Of ``torch.load``.
        is_mapped (bool): Whether tensors may stay in the file, of which
            :func:`is_archive` is true, until they are used. Defaults to
            False.

    Returns:
        Any: What the file holds.

    Raises:
        RefusedFile: It holds anything else; names what, the file, and the
            argument that it is for.
        Exception: Of torch, for a file that is damaged.
    """
    _warn_of_old_torch()
    options = dict(mmap=True) if is_mapped else {}
    try:
        if is_tar(file):
            # torch 2.4 and 2.5 read it, and the switch does not hold there.
            raise pickle.UnpicklingError('it is a tar, as torch once wrote')
        if is_script(file):
            # The same torches run it all the same.
            raise pickle.UnpicklingError(_SCRIPT)
        return torch.load(
            _unzipped(file), map_location, weights_only=True, **options
        )
    except Exception as error:
        reason = _reason(file, error)
        if reason is None:
            raise
        if _trusted.get():
            _say_that_it_runs(file, reason)
            return torch.load(
                _unzipped(file), map_location, weights_only=False
            )
        raise RefusedFile(
            f'{argument_name()}: {_shown(file)} cannot be read as a '
            f'checkpoint of weights: {reason}. Save its weights alone; or, if '
            'you trust whoever made the file, let it run what it holds by '
            '--trust-checkpoint (in Python: with '
            'mmtat.models.utils.trust_checkpoints():)'
        ) from error


def old_torch_hole() -> str:
    """What this torch's ``weights_only=True`` is known not to refuse.

    Returns:
        str: One sentence; empty from torch 2.6 on.
    """
    if digit_version(torch.__version__.split('+')[0]) >= digit_version('2.6'):
        return ''
    return (
        f'torch {torch.__version__} is older than 2.6: files can be made '
        'that run code although they are loaded with weights_only=True '
        '(CVE-2025-32434). mmtat refuses tar files and TorchScript, as '
        'torch does since; load files of sources that you trust only, or '
        'install torch 2.6 or newer'
    )


@functools.lru_cache(maxsize=None)
def _warn_of_old_torch() -> None:
    hole = old_torch_hole()
    if hole:
        print_log(hole, 'current', logging.WARNING)


def _reason(file: File, error: Exception) -> Optional[str]:
    """Why a file is refused; None where it is merely damaged."""
    message = str(error)
    if message == _SCRIPT:
        return _SCRIPT
    names: List[str] = unsafe_globals(file)
    named = re.search(r'GLOBAL ([\w.]+)', message)
    if named and not any(name.endswith(named[1]) for name in names):
        names.append(named[1])
    if len(names) == 1:
        return f'it holds {names[0]}, which is no weight and may run code'
    if names:
        shown = ', '.join(names[:8]) + (', ...' if names[8:] else '')
        return f'it holds {shown}, which are no weights and may run code'
    asked = re.search(r'the file asks for .*|it is a tar.*', message)
    if asked:
        return asked[0].rstrip('.')
    unusual = re.search(r'Can only .*|Trying to call reduce .*', message)
    return unusual and f'it builds what is no weight ({unusual[0]})'


def _say_that_it_runs(file: File, reason: str) -> None:
    print_log(
        f'--trust-checkpoint: {argument_name()} {_shown(file)} is read '
        f'UNSAFELY and may run any code: {reason}',
        'current',
        logging.WARNING,
    )


def _shown(file: File) -> str:
    if isinstance(file, (str, os.PathLike)):
        return repr(os.fspath(file))
    return repr(getattr(file, 'name', 'a stream'))


def is_archive(file: File) -> bool:
    """Whether a file is a zip of ``torch.save``, not of one old file.

    Args:
        file (str | PathLike | IO[bytes]): A checkpoint.

    Returns:
        bool: It is one, and has a path.
    """
    if not isinstance(file, (str, os.PathLike)):
        return False
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return len(archive.infolist()) != 1


def _unzipped(file: File) -> File:
    """The one file in a zip, as old zoos have it, else the file itself."""
    is_path = isinstance(file, (str, os.PathLike))
    if not is_path or not zipfile.is_zipfile(file) or is_archive(file):
        return file
    with zipfile.ZipFile(file) as archive:
        return io.BytesIO(archive.read(archive.infolist()[0]))
