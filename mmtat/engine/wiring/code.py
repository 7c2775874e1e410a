"""Values and comments as the Python of a config."""

import textwrap
from dataclasses import dataclass
from typing import Any, List, Tuple

WIDTH = 79


@dataclass(frozen=True)
class Commented:
    """A value of a dict, with a comment above it.

    Attributes:
        value (Any): It.
        comment (str): Wrapped into as many lines as it needs.
    """

    value: Any
    comment: str


@dataclass(frozen=True)
class Code:
    """An expression that stands as it is.

    Attributes:
        text (str): It, on one line.
    """

    text: str


def comment(text: str, indent: int = 0) -> str:
    """A comment of as many lines as it needs.

    Args:
        text (str): Sentences, in one paragraph or several.
        indent (int): Spaces in front of it. Defaults to 0.

    Returns:
        str: Lines that begin with '# '.
    """
    lead = ' ' * indent + '# '
    # No line ends inside of '512 x 64 x 64'.
    text = text.replace(' x ', '\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}')
    wrapped = [
        # What is indented is code, with its own lines.
        [lead + part]
        if part.startswith(' ')
        else textwrap.wrap(
            part,
            WIDTH,
            initial_indent=lead,
            subsequent_indent=lead,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for part in text.split('\n')
    ]
    lines = [line for lines in wrapped for line in lines]
    return '\n'.join(lines).replace('\N{NO-BREAK SPACE}', ' ')


def assignment(name: str, value: Any) -> str:
    """A statement that sets a variable, as ruff formats it.

    Args:
        name (str): Of the variable.
        value (Any): Of dicts, lists, tuples, plain values,
            :class:`Commented` and :class:`Code`.

    Returns:
        str: The statement, with the comments of a :class:`Commented`.
    """
    if isinstance(value, Commented):
        return f'{comment(value.comment)}\n{assignment(name, value.value)}'
    return _item(f'{name} = ', value, 0, '')


def plain(value: Any) -> Any:
    """A value without its comments.

    Args:
        value (Any): See :func:`assignment`.

    Returns:
        Any: A copy; dicts and lists are new.
    """
    if isinstance(value, Commented):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def _item(lead: str, value: Any, indent: int, end: str) -> str:
    """One item on one line where it fits, else on several."""
    space = ' ' * indent
    if isinstance(value, Commented):
        rest = _item(lead, value.value, indent, end)
        return f'{comment(value.comment, indent)}\n{rest}'
    line = f'{space}{lead}{_inline(value)}{end}'
    fits = len(line) <= WIDTH and not _has_comment(value)
    if fits or not isinstance(value, (dict, list, tuple)) or not value:
        return line
    opening, items, closing = _parts(value)
    row = ' ' * (indent + 4) + _inline(value)[len(opening) : -len(closing)]
    if len(row) <= WIDTH and not _has_comment(value):
        return f'{space}{lead}{opening}\n{row}\n{space}{closing}{end}'
    inner = [_item(key, item, indent + 4, ',') for key, item in items]
    lines = [f'{space}{lead}{opening}', *inner, f'{space}{closing}{end}']
    return '\n'.join(lines)


def _parts(value: Any) -> Tuple[str, List[Tuple[str, Any]], str]:
    if not isinstance(value, dict):
        opening, closing = '[]' if isinstance(value, list) else '()'
        return opening, [('', item) for item in value], closing
    if all(isinstance(k, str) and k.isidentifier() for k in value):
        return 'dict(', [(f'{k}=', v) for k, v in value.items()], ')'
    return '{', [(f'{k!r}: ', v) for k, v in value.items()], '}'


def _inline(value: Any) -> str:
    if isinstance(value, Commented):
        return _inline(value.value)
    if isinstance(value, Code):
        return value.text
    if not isinstance(value, (dict, list, tuple)):
        return repr(value)
    opening, items, closing = _parts(value)
    inner = ', '.join(f'{key}{_inline(item)}' for key, item in items)
    if isinstance(value, tuple) and len(value) == 1:
        inner += ','
    return f'{opening}{inner}{closing}'


def _has_comment(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_comment(item) for item in value)
    return isinstance(value, Commented)
