"""Reading docstrings as Google writes them."""

import inspect
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

#: Headers of the sections, with what each is kept as.
_SECTIONS = {
    'Args': 'args',
    'Attributes': 'args',
    'Raises': 'raises',
    'Returns': 'returns',
    'Yields': 'returns',
    'Examples': 'example',
    'Example': 'example',
}
_ARGUMENT = re.compile(r'(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*) ?\(')


@dataclass(frozen=True)
class Entry:
    """One argument, or one error.

    Attributes:
        names (tuple[str]): As ``('query', 'key')`` where they share a text.
        kind (str): What stands in parentheses; '' for an error.
        text (str): What is said of it on one line, but for the items of a
            list, which begin lines of their own.
    """

    names: Tuple[str, ...]
    kind: str
    text: str


@dataclass
class Docstring:
    """What a docstring says.

    Attributes:
        summary (str): Its first paragraph, on one line.
        body (str): What stands between that and the first section.
        args (list[Entry]): Arguments or attributes, in their order.
        raises (list[Entry]): Errors, in their order.
        returns (str): What is returned, on one line; '' where nothing is.
        example (str): Code without ``>>>``; '' where there is none.
    """

    summary: str = ''
    body: str = ''
    args: List[Entry] = field(default_factory=list)
    raises: List[Entry] = field(default_factory=list)
    returns: str = ''
    example: str = ''

    def argument(self, name: str) -> Entry:
        """The entry of an argument.

        Args:
            name (str): Without asterisks.

        Returns:
            Entry: Of it alone, or with those that share its text.

        Raises:
            KeyError: It is not documented.
        """
        for entry in self.args:
            if name in [one.lstrip('*') for one in entry.names]:
                return entry
        raise KeyError(name)


def parse_docstring(thing: Any) -> Docstring:
    """Read the docstring of a class, a function or a method.

    Args:
        thing (Any): What has it; one of its own, not an inherited one.

    Returns:
        Docstring: Empty where there is none.
    """
    text = inspect.cleandoc(thing.__doc__ or '')
    head, sections = _split(text)
    summary, _, body = head.partition('\n\n')
    found = Docstring(one_line(summary), body.strip())
    found.args = _arguments(sections.get('args', ''))
    found.raises = [
        Entry(tuple(names.split(', ')), '', rest)
        for names, rest in _items(sections.get('raises', ''))
    ]
    found.returns = one_line(sections.get('returns', ''))
    found.example = _code(sections.get('example', ''))
    return found


def one_line(text: str) -> str:
    """A text without its line breaks.

    Args:
        text (str): Any.

    Returns:
        str: With single spaces.
    """
    return ' '.join(text.split())


def _split(text: str) -> Tuple[str, Dict[str, str]]:
    """What stands before the sections, and each section's text."""
    head: List[str] = []
    sections: Dict[str, List[str]] = {}
    lines = head
    for line in text.split('\n'):
        header = line[:-1] if line.endswith(':') else None
        if header in _SECTIONS:
            lines = sections.setdefault(_SECTIONS[header], [])
        else:
            lines.append(line)
    joined = {
        name: textwrap.dedent('\n'.join(lines)).strip('\n')
        for name, lines in sections.items()
    }
    return '\n'.join(head).strip(), joined


def _paragraphs(section: str) -> List[str]:
    """The items of a section: each begins where the margin does."""
    items: List[List[str]] = []
    is_new = False
    for line in section.split('\n'):
        text = one_line(line)
        if line and not line.startswith(' '):
            items.append([text])
        elif items and text:
            if is_new or text.startswith('- '):
                items[-1].append(text)
            else:
                items[-1][-1] += f' {text}'
        is_new = not text
    return ['\n'.join(lines) for lines in items]


def _items(section: str) -> List[Tuple[str, str]]:
    return [
        (name, rest)
        for name, _, rest in (
            item.partition(': ') for item in _paragraphs(section)
        )
    ]


def _arguments(section: str) -> List[Entry]:
    entries = []
    for item in _paragraphs(section):
        match = _ARGUMENT.match(item)
        if match is None:
            names, _, text = item.partition(': ')
            entries.append(Entry(tuple(names.split(', ')), '', text))
            continue
        end = _closing(item, match.end())
        kind, rest = item[match.end() : end], item[end + 1 :]
        names = tuple(match['names'].split(', '))
        entries.append(Entry(names, kind, rest.lstrip(': ')))
    return entries


def _closing(text: str, start: int) -> int:
    """Index of the parenthesis that closes the one before ``start``."""
    depth = 1
    for index in range(start, len(text)):
        depth += {'(': 1, ')': -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def _code(section: str) -> str:
    """Statements of a doctest, without what they print."""
    return '\n'.join(
        line[4:]
        for line in section.split('\n')
        if line.startswith(('>>> ', '... '))
    )
