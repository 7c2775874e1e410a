"""Names of fetched files: where they lie, and what they promise."""

import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Optional, Union
from urllib.parse import urlsplit, urlunsplit

import torch

#: How the zoos end a name: with the first digits of the file's sha256.
_DIGITS = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_DATE = re.compile(r'20[0-4]\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])')


def is_url(source: str) -> bool:
    """Whether a source is fetched over HTTP.

    Args:
        source (str): Path, URL, or a name such as 'open-mmlab://...'.

    Returns:
        bool: It begins with http:// or https://.
    """
    return source.lower().startswith(('http://', 'https://'))


def cache_folder() -> Path:
    """Where fetched files lie, and files for a machine without a network.

    Returns:
        Path: ``MMTAT_CACHE`` of the environment, else where torch keeps its
        own: ``~/.cache/torch/hub/checkpoints``, or below ``TORCH_HOME``.
    """
    chosen = os.environ.get('MMTAT_CACHE')
    if chosen:
        return Path(chosen).expanduser()
    return Path(torch.hub.get_dir(), 'checkpoints')


def file_name(url: str) -> str:
    """What the file of a URL is called.

    Args:
        url (str): Of HTTP.

    Returns:
        str: Without folders; empty where the URL names none.
    """
    name = os.path.basename(urlsplit(url).path)
    return '' if name in ('.', '..') or '\0' in name else name


def shown(url: str) -> str:
    """A URL for messages: without password, and without a signed query.

    Args:
        url (str): Of HTTP.

    Returns:
        str: The same place.
    """
    parts = urlsplit(url)
    place = parts.netloc.rpartition('@')[2]
    return urlunsplit((parts.scheme, place, parts.path, '', ''))


def digest_in_name(name: str) -> Optional[str]:
    """What the name of a file says of its sha256.

    Args:
        name (str): Such as 'resnet18-5c106cde.pth'.

    Returns:
        str | None: The first digits, 8 or more; None where there are none,
        or they are a date.
    """
    found = _DIGITS.search(name)
    if found is None or _DATE.fullmatch(found[1]):
        return None
    return found[1]


def sha256(path: Union[str, Path]) -> str:
    """The sha256 of a file, computed anew when the file has changed.

    Args:
        path (str | Path): Of the file.

    Returns:
        str: 64 hex digits.
    """
    state = os.stat(path)
    return _sha256(
        os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns
    )


@functools.lru_cache(maxsize=64)
def _sha256(path: str, *state: int) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
