"""Files of weights that a config names; needs mmtat."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple
from urllib.parse import urlparse

from .findings import NOTE, OK, PROBLEM, Finding, first_line
from .of_config import Run

#: How the zoos end the name of a file: with the first digits of its sha256.
_DIGITS = re.compile(r'-([0-9a-f]{8})\.(?:pth|pt)$')
_BLOCK = 2**20


def look_at_teacher(run: Run) -> Iterator[Finding]:
    """The teacher's file: there, readable, what its name says, and fitting.

    Args:
        run (Run): Of a distillation.

    Yields:
        Finding: One, or several.
    """
    from mmtat.models.utils import resolve_model_config

    model = run.config.model
    given = source = model.get('teacher_ckpt')
    if source is None:
        _, source = resolve_model_config(model.teacher, 'teacher')
    if isinstance(source, dict):
        source = source.get('checkpoint')
    if source is None:
        yield Finding(
            NOTE,
            'teacher_ckpt is None: the teacher is random, and distils noise',
            'set model.teacher_ckpt=FILE_OR_URL',
        )
        return
    path = _local(str(source))
    if path is None:
        yield _not_here('teacher_ckpt', str(source))
        return
    yield from look_at_file('teacher_ckpt', path)
    if path.is_file():
        yield from _fits(run, given, path)


def look_at_student(run: Run) -> Iterator[Finding]:
    """Files that the student's parts begin from.

    Args:
        run (Run): Of a training.

    Yields:
        Finding: For each.
    """
    from mmtat.models.utils import resolve_model_config

    model, zoo = run.config.model, None
    if run.is_distillation:
        model, zoo = resolve_model_config(model.architecture, 'architecture')
    found = dict.fromkeys([*([zoo] if zoo else []), *_pretrained(model)])
    for source in found:
        path = _local(source)
        if path is None:
            yield _not_here('the student begins from', source)
        else:
            yield from look_at_file('the student begins from', path)


def look_at_file(name: str, path: Path) -> Iterator[Finding]:
    """A file of weights: there, readable, and what its name says.

    Args:
        name (str): What names it.
        path (Path): The file.

    Yields:
        Finding: One, or several.
    """
    from mmtat.models.utils import read_state_dict

    if not path.is_file():
        yield Finding(
            PROBLEM,
            f'{name}: no file {str(path)!r}',
            'give the path or the URL of a checkpoint',
        )
        return
    try:
        tensors = len(read_state_dict(str(path), name))
    except Exception as error:
        yield Finding(PROBLEM, first_line(error), f'fetch {path.name} again')
        return
    digits = _DIGITS.search(path.name)
    if digits is None:
        yield Finding(
            OK, f'{name}: {path}, {tensors} tensors; its name has no sha256'
        )
        return
    found = sha256(path)
    if found.startswith(digits[1]):
        yield Finding(
            OK, f'{name}: {path}, {tensors} tensors; sha256 as in its name'
        )
    else:
        yield Finding(
            PROBLEM,
            f'{name}: {path} has the sha256 {found[:8]}..., and its name '
            f'says {digits[1]}: it is another file, or damaged',
            'fetch it again; or, where you know that it is right, rename it '
            'without the digits',
        )


def sha256(path: Path) -> str:
    """The sha256 of a file.

    Args:
        path (Path): The file.

    Returns:
        str: 64 hex digits.
    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        for block in iter(lambda: file.read(_BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()


def _fits(run: Run, given: Any, path: Path) -> Iterator[Finding]:
    """Whether the weights are those that the recorded layers depend on."""
    try:
        teacher = run.model._teacher
    except Exception:
        # Why it does not build is a finding of its own.
        return
    teacher.checkpoint = str(path)
    if isinstance(given, dict):
        teacher.checkpoint = dict(given, checkpoint=str(path))
    try:
        teacher.load()
    except Exception as error:
        yield Finding(PROBLEM, first_line(error))
    else:
        yield Finding(OK, 'teacher_ckpt: fits the layers that are recorded')


def _pretrained(config: Any) -> Iterator[str]:
    """Names of files in a model's config, at any depth."""
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _pretrained(item)
    elif isinstance(config, dict):
        for key, value in config.items():
            if key == 'pretrained' and isinstance(value, str):
                yield value
            elif key == 'init_cfg' and isinstance(value, dict):
                if 'Pretrained' in str(value.get('type')):
                    yield str(value.get('checkpoint'))
            else:
                yield from _pretrained(value)


def _local(source: str) -> Optional[Path]:
    """Where a file lies, or would lie; None where nothing is fetched yet."""
    if '://' not in source:
        return Path(source)
    cached = _cached(source)
    return cached if cached is not None and cached.is_file() else None


def _cached(url: str) -> Optional[Path]:
    """Where a file fetched by HTTP lies."""
    from mmtat.downloads import cache_folder, is_url

    if not is_url(url):
        return None
    return cache_folder() / os.path.basename(urlparse(url).path)


def _not_here(name: str, source: str) -> Finding:
    kind, remedy = _network(source)
    return Finding(NOTE, f'{name}: {source} is {kind}', remedy)


def _network(source: str) -> Tuple[str, str]:
    if urlparse(source).scheme in ('http', 'https'):
        folder = _cached(source).parent
        return (
            'not fetched yet: the first run does',
            f'without a network, put the file into {folder}',
        )
    return 'looked up and fetched by the run, where it is not there', ''
