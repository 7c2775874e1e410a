"""What mmengine does several times at each start, once."""

import functools
import os
from typing import Any, Callable

from .workaround import Workaround


def _read_once(load: Callable) -> Callable:
    """Keep what each file holds until it changes."""

    @functools.lru_cache(maxsize=None)
    def read(path: str, changed_at: int) -> Any:
        return load(path)

    @functools.wraps(load)
    def load_once(path: str) -> Any:
        return read(path, os.stat(path).st_mtime_ns)

    return load_once


def _format_once(format_code: Callable) -> Callable:
    """Keep the last texts that were formatted, which take 0.3 s each."""

    @functools.lru_cache(maxsize=8)
    def formatted(text: str, style: tuple) -> Any:
        return format_code(text, style_config=dict(style))

    @functools.wraps(format_code)
    def format_once(text: str, style_config: Any = None, **kwargs) -> Any:
        if kwargs or not isinstance(style_config, dict):
            return format_code(text, style_config=style_config, **kwargs)
        return formatted(text, tuple(style_config.items()))

    return format_once


def _zoo_index_needed() -> bool:
    from mmengine.config import utils

    return not hasattr(utils.load, '__wrapped__')


def _apply_zoo_index() -> None:
    from mmengine.config import utils

    utils.load = _read_once(utils.load)


def _config_text_needed() -> bool:
    from mmengine.config import config

    return not hasattr(config.FormatCode, '__wrapped__')


def _apply_config_text() -> None:
    from mmengine.config import config

    config.FormatCode = _format_once(config.FormatCode)


ZOO_INDEX = Workaround(
    'zoo-index',
    'mmengine reads all 50 metafiles of a zoo for each "mmseg::..." that a '
    'config names, a tenth of a second each time',
    'mmengine keeps what it read',
    _zoo_index_needed,
    _apply_zoo_index,
)
CONFIG_TEXT = Workaround(
    'config-text',
    'mmengine formats the same config four times at each start, and once '
    'for each checkpoint, 0.3 s each time',
    'mmengine keeps the text of its config',
    _config_text_needed,
    _apply_config_text,
)
