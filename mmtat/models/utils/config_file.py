"""Reading a config file, which is a program and may fail as one."""

import traceback

from mmengine.config import Config


def read_config_file(path: str, name: str) -> Config:
    """Read a config file that is there.

    Args:
        path (str): Of the file.
        name (str): Name of the argument, for messages.

    Returns:
        Config: The whole config.

    Raises:
        ValueError: It is no config, or fails as it is run; the message says
            what went wrong, and on which line.
    """
    try:
        return Config.fromfile(path)
    except Exception as error:
        # The text of a SyntaxError has a name of no file at its end.
        text = str(getattr(error, 'msg', error))
        what = (text.splitlines() or [''])[0]
        raise ValueError(
            f'{name}: {path!r} cannot be read as a config: '
            f'{type(error).__name__}: {what}{_place(error)}'
        ) from error


def _place(error: Exception) -> str:
    """The line of a config that an error comes from, if it is one's."""
    if isinstance(error, SyntaxError):
        return f', line {error.lineno}' if error.lineno else ''
    last = traceback.extract_tb(error.__traceback__)[-1]
    # A config is compiled, and has no line of source in a module.
    if '/mmengine/' in last.filename or last.filename.startswith('<'):
        return ''
    return f', line {last.lineno} of {last.filename!r}'
