"""What a checkpoint file would import, told without importing it.

For messages alone: what is refused is decided by torch's unpickler.
"""

import contextlib
import os
import pickletools
import tarfile
import zipfile
from typing import IO, Any, Iterator, List, Set, Union

import torch

File = Union[str, os.PathLike, IO[bytes]]

#: A file before torch 1.6 is five pickles and raw bytes; one more may hide.
_PICKLES = 8
#: Ends the search in a file that was made to keep one searching.
_OPERATIONS = 2_000_000
_ZIP = b'PK\x03\x04'
_STRINGS = ('UNICODE', 'STRING')
_UNKNOWN = '?'
#: Beside what the unpickler allows by name.
_HARMLESS = frozenset({'torch.storage.UntypedStorage'})


def unsafe_globals(file: File) -> List[str]:
    """What the pickles of a file import that is not allowed.

    Args:
        file (str | PathLike | IO[bytes]): A checkpoint, of any format that
            torch ever had: zip, tar, pickles one after another, or a plain
            pickle.

    Returns:
        list[str]: Such as ``'posix.system'``, each once, in their order.
        Empty also for what is no pickle at all.
    """
    found: List[str] = []
    with contextlib.suppress(OSError), _opened(file) as stream:
        for pickle in _pickles(stream):
            found.extend(_globals_of(pickle))
    allowed = _allowed()
    return [name for name in dict.fromkeys(found) if name not in allowed]


def is_tar(file: File) -> bool:
    """Whether torch would take a file for a tar, its format until 2017.

    Args:
        file (str | PathLike | IO[bytes]): Any file.

    Returns:
        bool: It is one, and not compressed.
    """
    with _opened(file) as stream:
        try:
            with tarfile.open(fileobj=stream, mode='r:') as archive:
                # Zeros alone are an empty one, or a file that is not
                # written yet.
                return archive.next() is not None
        except tarfile.TarError:
            return False


def is_script(file: File) -> bool:
    """Whether torch would take a file for a TorchScript archive.

    Args:
        file (str | PathLike | IO[bytes]): Any file.

    Returns:
        bool: It is one, and holds code.
    """
    with contextlib.suppress(zipfile.BadZipFile), _opened(file) as stream:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                return any(
                    name.rpartition('/')[2] == 'constants.pkl'
                    for name in archive.namelist()
                )
    return False


@contextlib.contextmanager
def _opened(file: File) -> Iterator[IO[bytes]]:
    """A file from its begin; one that is open stays where it was."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, 'rb') as stream:
            yield stream
        return
    position = file.tell()
    try:
        yield file
    finally:
        file.seek(position)


def _pickles(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The parts of a file that are pickles, or could be."""
    stream.seek(0)
    # As torch tells it: what merely ends as a zip is none.
    if stream.read(len(_ZIP)) == _ZIP:
        with contextlib.suppress(zipfile.BadZipFile, RuntimeError):
            with zipfile.ZipFile(stream) as archive:
                names = archive.namelist()
                for name in names:
                    if name.endswith('.pkl') or len(names) == 1:
                        with archive.open(name) as member:
                            yield member
        return
    stream.seek(0)
    if is_tar(stream):
        with tarfile.open(fileobj=stream, mode='r:') as archive:
            for member in archive:
                if member.isfile():
                    yield archive.extractfile(member)
        return
    stream.seek(0)
    yield stream


def _globals_of(stream: IO[bytes]) -> Iterator[str]:
    """Names that pickles, one after another, import."""
    budget = [_OPERATIONS]
    for _ in range(_PICKLES):
        try:
            yield from _globals_of_one(stream, budget)
        # What is no pickle, or is cut, or was made to confuse.
        except Exception:
            return


def _globals_of_one(stream: IO[bytes], budget: List[int]) -> Iterator[str]:
    memo: List[Any] = []
    places: dict = {}
    strings = [_UNKNOWN, _UNKNOWN]
    last = None
    for opcode, argument, _ in pickletools.genops(stream):
        budget[0] -= 1
        if budget[0] < 0:
            return
        name = opcode.name
        if name in ('GLOBAL', 'INST'):
            yield _named(*argument.split(' ', 1))
        elif name == 'STACK_GLOBAL':
            yield _named(*strings[-2:])
        if name == 'MEMOIZE':
            places[len(memo)] = last
            memo.append(last)
        elif name.endswith('PUT'):
            places[int(argument)] = last
            memo.append(last)
        else:
            last = None
            if name.endswith('GET'):
                last = places.get(int(argument))
            elif any(kind in name for kind in _STRINGS):
                last = argument
            if last is not None:
                strings.append(str(last))
                del strings[:-2]


def _named(module: str, name: str) -> str:
    # As pickles of protocol 2 call it, which torch writes.
    module = 'builtins' if module == '__builtin__' else module
    return f'{module}.{name}'


def _allowed() -> Set[str]:
    """Names that torch's unpickler takes."""
    unpickler = torch._weights_only_unpickler
    allowed = set(_HARMLESS)
    # Of no public name; without them a message only names more.
    for lookup in ('_get_allowed_globals', '_get_user_allowed_globals'):
        with contextlib.suppress(AttributeError):
            allowed.update(getattr(unpickler, lookup)())
    for each in torch.serialization.get_safe_globals():
        if isinstance(each, tuple):
            allowed.add(each[1])
        else:
            allowed.add(f'{each.__module__}.{each.__name__}')
    return {_named(*name.rpartition('.')[::2]) for name in allowed}
