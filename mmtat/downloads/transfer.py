"""Bytes over HTTP into a file, going on where a connection was cut."""

import contextlib
import http.client
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Optional
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

_BLOCK = 2**20
#: Statuses of servers that may do better in a moment.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_MEBIBYTE = 2**20


class TransferError(Exception):
    """Why a file could not be fetched, for a message."""


@dataclass(frozen=True)
class Patience:
    """How long a slow or broken connection is borne.

    Attributes:
        timeout (float): Seconds without a byte.
        attempts (int): In a row without a byte more than before.
        pause (float): Seconds before the next of them; doubled each time.
        stalled (float): Seconds that another process may fetch nothing.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    stalled: float = 600.0


class _Cut(Exception):
    """An attempt that ended early, and may be repeated."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Transfer:
    """Fetches one URL into one file.

    Args:
        url (str): What is fetched; proxies are those of the environment.
        path (Path): What it goes into; what it holds already is kept.
        patience (Patience): See there.
        say (Callable[[str], None]): Is told of progress and of cuts.
        is_whole (Callable[[], bool], optional): Whether the file is what it
            must be, where a digest tells; asked where the server's length
            says otherwise. Without it parts are joined only if the server
            says that they are of the same file.
    """

    def __init__(
        self,
        url: str,
        path: Path,
        patience: Patience,
        say: Callable[[str], None],
        is_whole: Optional[Callable[[], bool]] = None,
    ) -> None:
        self.url, self.path, self.patience = url, path, patience
        self.say, self.is_whole = say, is_whole
        self.was_joined = False
        self._validator: Optional[str] = None
        self._reached = False

    def run(self) -> None:
        """Fetch until the file is whole.

        Raises:
            TransferError: The server refuses, or too many attempts were cut.
            OSError: The file cannot be written.
        """
        failures, best = 0, self._size()
        while True:
            try:
                self._attempt()
                return
            except _Cut as cut:
                size = self._size()
                failures = 1 if size > best else failures + 1
                best = max(size, best)
                if failures > 1 and self.is_whole and self.is_whole():
                    return
                if failures >= self._most_attempts():
                    raise TransferError(
                        f'{cut} (after {failures} attempts without progress)'
                    ) from cut
                pause = self.patience.pause * 2 ** (failures - 1)
                self.say(f'{cut}; trying again')
                time.sleep(max(pause, min(cut.wait, 60.0)))

    def _most_attempts(self) -> int:
        # Where nothing ever answered, there is probably no network.
        attempts = self.patience.attempts
        return attempts if self._reached else min(attempts, 2)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _attempt(self) -> None:
        offset = self._size()
        if offset and not (self.is_whole or self._validator):
            self._forget()
            offset = 0
        try:
            response = self._open(offset)
        except HTTPError as error:
            with error:
                if error.code == 416 and offset:
                    self._end_of_range(error, offset)
                    return
                self._refuse(error)
        except (OSError, http.client.HTTPException) as error:
            raise _Cut(_words(error)) from error
        with response:
            self._receive(response, offset)

    def _open(self, offset: int) -> Any:
        headers: Dict[str, str] = {
            'User-Agent': 'mmtat',
            'Accept-Encoding': 'identity',
        }
        if offset:
            headers['Range'] = f'bytes={offset}-'
            if self._validator:
                headers['If-Range'] = self._validator
        request = Request(self.url, headers=headers)
        # A new one reads the proxies of the environment anew.
        opener = build_opener()
        response = opener.open(request, timeout=self.patience.timeout)
        self._reached = True
        return response

    def _end_of_range(self, error: HTTPError, offset: int) -> None:
        """The server has nothing behind what is there."""
        total = error.headers.get('Content-Range', '').rpartition('/')[2]
        if total == str(offset):
            self.was_joined = True
            return
        self._forget()
        raise _Cut('the server has another file than the part that is here')

    def _refuse(self, error: HTTPError) -> None:
        self._reached = True
        reason = f'the server answers {error.code} {error.reason}'
        if error.code in _PASSING:
            wait = error.headers.get('Retry-After', '')
            raise _Cut(reason, float(wait) if wait.isdigit() else 0.0)
        raise TransferError(reason) from error

    def _receive(self, response: Any, offset: int) -> None:
        if response.headers.get('Content-Encoding', 'identity') != 'identity':
            raise TransferError('the server sends it compressed, unasked')
        total = _number(response.headers.get('Content-Length'))
        if response.status == 206:
            begin, total = _range(response.headers.get('Content-Range', ''))
            if begin != offset:
                self._forget()
                raise _Cut('the server sends another part than was asked for')
            self.was_joined = self.was_joined or offset > 0
        else:
            offset = 0
        self._validator = _validator(response.headers)
        self._check_space(total, offset)
        with open(self.path, 'ab' if offset else 'wb') as file:
            self._copy(response, file, offset, total)
            file.flush()
            os.fsync(file.fileno())
        size = self._size()
        if total is not None and size != total:
            raise _Cut(f'cut after {size} of {total} bytes')

    def _copy(
        self, response: Any, file: Any, done: int, total: Optional[int]
    ) -> None:
        said = time.monotonic()
        while True:
            try:
                block = response.read1(_BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(
                    f'cut after {done} of {total or "?"} bytes: '
                    f'{_words(error)}'
                ) from error
            if not block:
                return
            file.write(block)
            done += len(block)
            if time.monotonic() - said > 30:
                said = time.monotonic()
                of = f' of {total / _MEBIBYTE:.0f}' if total else ''
                self.say(f'{done / _MEBIBYTE:.0f}{of} MiB')

    def _check_space(self, total: Optional[int], offset: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if total is not None and total - offset > free:
            raise TransferError(
                f'it needs {(total - offset) / _MEBIBYTE:.0f} MiB more in '
                f'{str(self.path.parent)!r}, and {free / _MEBIBYTE:.0f} MiB '
                'are free'
            )

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _validator(headers: Any) -> Optional[str]:
    """What tells one content of a URL from another."""
    tag = headers.get('ETag', '')
    # A weak one allows other bytes.
    return tag if tag.startswith('"') else headers.get('Last-Modified')


def _range(header: str) -> tuple:
    begin, _, total = header.removeprefix('bytes ').partition('/')
    return _number(begin.partition('-')[0]), _number(total)


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text and text.strip().isdigit() else None


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return 'timed out'
    return str(reason) or type(reason).__name__
