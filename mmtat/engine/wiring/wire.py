"""From a plan to a config that works, in its place."""

import contextlib
import logging
import os
import os.path as osp
import shlex
import sys
import tempfile
import warnings
from typing import Any, Dict, Iterator, Optional

from mmengine.logging import MMLogger

from mmtat.files import write_atomically

from ..class_check import check_class_numbers
from ..inspected import built, read_config
from .plan import Plan
from .text import config_text


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Keep what models say while they are built out of the output.

    The output is the config's; a training says it all again.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                yield
    finally:
        logger.setLevel(level)


def check_free(out: str, force: bool, work_dir: Optional[str] = None) -> None:
    """Refuse a place where a config cannot be written.

    Args:
        out (str): Path of the config.
        force (bool): Whether a file may be replaced.
        work_dir (str, optional): Of the run that follows, if one does; by
            default the one that it gets by itself.

    Raises:
        ValueError: No Python file, a folder, a file that is there, or one
            that the Runner would replace.
    """
    if not out.endswith('.py'):
        raise ValueError(f'--out: a config ends in .py, got {out!r}')
    if osp.isdir(out):
        raise ValueError(f'--out: {out!r} is a folder; name a file in it')
    if osp.exists(out) and not force:
        raise ValueError(
            f'--out: {out!r} exists; name another file, or replace it with '
            '--force'
        )
    name = osp.splitext(osp.basename(out))[0]
    work_dir = work_dir or osp.join('work_dirs', name)
    if osp.dirname(osp.abspath(out)) == osp.abspath(work_dir):
        raise ValueError(
            f'--out: the run would replace {out!r} by its own copy; name a '
            'file outside of its work dir'
        )


def launch_command(
    path: str,
    data_root: Optional[str] = None,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> str:
    """The command that trains a config.

    Args:
        path (str): Of the config.
        data_root (str, optional): Folder of the data.
        cfg_options (dict, optional): Settings to override.

    Returns:
        str: For a shell.
    """
    command = f'python tools/train.py {shlex.quote(path)}'
    if data_root is not None:
        command += f' --data-root {shlex.quote(data_root)}'
    if cfg_options:
        options = [
            shlex.quote(f'{key}={_option(value)}')
            for key, value in cfg_options.items()
        ]
        command += f' --cfg-options {" ".join(options)}'
    return command


def _option(value: Any) -> str:
    # In a list or tuple, spaces would end it.
    return value if isinstance(value, str) else str(value).replace(' ', '')


def checked_text(
    plan: Plan,
    out: Optional[str],
    command: str,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> str:
    """The config of a plan, which was built once.

    Args:
        plan (Plan): It.
        out (str, optional): Where it will be.
        command (str): For its header.
        cfg_options (dict, optional): Settings to override in the check.

    Returns:
        str: Its text.

    Raises:
        ValueError: It cannot be built.
    """
    text = config_text(plan, out, command)
    with _beside(out, text) as path:
        config = read_config(path, cfg_options)
        check_class_numbers(config, ('train_dataloader',))
        built(config)
    return text


def write(text: str, out: str) -> None:
    """Put a config in its place, whole.

    Args:
        text (str): Its text.
        out (str): Its path; folders are made.
    """
    os.makedirs(osp.dirname(osp.abspath(out)), exist_ok=True)
    write_atomically(out, text)


@contextlib.contextmanager
def _beside(out: Optional[str], text: str) -> Iterator[str]:
    """A file as the config will be, gone afterwards.

    It reads other configs by paths from its folder, so it must be there.
    """
    folder = None
    if out is not None:
        folder = osp.dirname(osp.abspath(out))
        made = _missing_folders(folder)
        os.makedirs(folder, exist_ok=True)
    file, path = tempfile.mkstemp('.py', 'distill_', folder)
    try:
        with os.fdopen(file, 'w', encoding='utf-8') as opened:
            opened.write(text)
        yield path
    except BaseException:
        if out is not None:
            os.remove(path)
            for folder in made:
                os.rmdir(folder)
        raise
    finally:
        if osp.exists(path):
            os.remove(path)


def _missing_folders(folder: str) -> list:
    """Folders that must be made for one, the inner ones first."""
    missing = []
    while not osp.isdir(folder):
        missing.append(folder)
        folder = osp.dirname(folder)
    return missing
