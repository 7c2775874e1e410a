"""A file of a URL, from the folder or from the network."""

import os
from pathlib import Path
from typing import Callable, Optional

from mmengine.logging import print_log

from .locks import only_one
from .names import cache_folder, digest_in_name, file_name, sha256, shown
from .transfer import Patience, Transfer, TransferError

_WAY_OUT = (
    'Where you know that it is right (what mmengine publishes itself is named '
    'by another digest), fetch it by hand, rename it without the digits, and '
    'give its path'
)


class FetchError(ValueError):
    """A file of the network that cannot be had."""


def fetch(
    url: str,
    name: str = 'checkpoint',
    folder: Optional[str] = None,
    patience: Optional[Patience] = None,
) -> Path:
    """The file of a URL, fetched where it is not there yet.

    It is put in place whole, and by one of all processes on the machine.
    Where its name ends in digits, they are compared with its sha256, each
    time.

    Args:
        url (str): Of HTTP.
        name (str): Name of the argument, for messages. Defaults to
            'checkpoint'.
        folder (str, optional): Where it lies, by default
            :func:`cache_folder`.
        patience (Patience, optional): How long is tried.

    Returns:
        Path: Of the file.

    Raises:
        FetchError: It cannot be fetched or written, or is another file than
            its name says.
    """
    patience = patience or Patience()
    folder = Path(folder) if folder else cache_folder()
    base = file_name(url)
    if not base:
        raise FetchError(f'{name}: {shown(url)!r} names no file')
    path = folder / base
    if path.is_file():
        _check(path, url, name)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch_once(url, path, name, patience)
    except TransferError as error:
        raise FetchError(
            f'{name}: {shown(url)!r} cannot be fetched or opened: {error}. '
            f'Without a network, put the file into {str(folder)!r} '
            '(MMTAT_CACHE names another folder), or give the path of a file'
        ) from error
    except OSError as error:
        raise FetchError(
            f'{name}: {shown(url)!r} cannot be kept in {str(folder)!r}: '
            f'{error.strerror or error}. MMTAT_CACHE names another folder'
        ) from error
    return path


def _fetch_once(url: str, path: Path, name: str, patience: Patience) -> None:
    """Fetch, unless another process does just that."""
    partial = path.with_name(f'.{path.name}.partial')
    lock = path.with_name(f'.{path.name}.lock')

    def say(line: str) -> None:
        print_log(f'{path.name}: {line}', 'current')

    with only_one(lock, partial, patience.stalled, say) as is_alone:
        if path.is_file():
            _check(path, url, name)
            return
        if not is_alone:
            partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
        say(f'fetching {shown(url)} to {str(path.parent)!r}')
        try:
            _transfer(url, path, partial, name, patience, say)
        except OSError:
            # A part would only help to fill the disk.
            partial.unlink(missing_ok=True)
            raise
        os.replace(partial, path)


def _transfer(
    url: str,
    path: Path,
    partial: Path,
    name: str,
    patience: Patience,
    say: Callable[[str], None],
) -> None:
    digits = digest_in_name(path.name)
    if digits is None:
        # Of another process, and perhaps of another file.
        partial.unlink(missing_ok=True)
        Transfer(url, partial, patience, say).run()
        return

    def is_right() -> bool:
        return partial.exists() and sha256(partial).startswith(digits)

    while True:
        transfer = Transfer(url, partial, patience, say, is_right)
        transfer.run()
        if is_right():
            return
        found, is_page = sha256(partial), _is_page(partial)
        partial.unlink()
        if not transfer.was_joined:
            break
        say('its parts are of different files; fetching it anew')
    hint = ' It looks like a web page.' if is_page else ''
    raise FetchError(
        f'{name}: what {shown(url)!r} sent has the sha256 '
        f'{found[: len(digits)]}..., and its name says {digits}: it is '
        f'damaged, or another file; it was not kept.{hint} {_WAY_OUT}'
    )


def _check(path: Path, url: str, name: str) -> None:
    """Compare a file that lies there with its name."""
    digits = digest_in_name(path.name)
    if digits is not None and not sha256(path).startswith(digits):
        found = sha256(path)
        raise FetchError(
            f'{name}: {str(path)!r} has the sha256 {found[: len(digits)]}..., '
            f'and its name says {digits}: it is damaged, or another file. '
            f'Delete it to have it fetched from {shown(url)!r}. {_WAY_OUT}'
        )


def _is_page(path: Path) -> bool:
    with open(path, 'rb') as file:
        return file.read(100).lstrip().startswith(b'<')
