"""Which numbers in tables of results say where they come from.

A number is *reported*, with the source in brackets behind it, or *measured*,
with the file that holds it or the command that gives it. One mark may stand
for many: in the header, in the row's cell under "source", or in the sentence
before the table.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List

from mmtat.engine.comparison.page import table as table_of_rows
from mmtat.engine.comparison.rows import read_rows

from .voc import ROOT

#: A table is one of results where a header, or any cell, holds such a word.
_OF_HEADER = re.compile(
    r'\b(reported|measured|mIoU|top-1|accuracy|val)\b', re.I
)
_OF_CELL = re.compile(r'\b(reported|measured|mIoU|top-1)\b', re.I)
#: No part of a version such as 2.11.0, nor of a name.
_NUMBER = re.compile(r'(?<![\w.])\d+\.\d+(?!\w|\.\d)')
_REPORTED = re.compile(r'\breported, (?=[\w\[])')
#: A code span, or the target of a link as unmarked() writes it.
_HOLDER = re.compile(r'`([^`]+)`|\[[^]]*\]<([^>]+)>')
_MEASURED = re.compile(rf'\bmeasured(?:,| by| in) (?={_HOLDER.pattern})')
_EVIDENCE = re.compile(r'<!-- table (\S+) -->(.*?)<!-- end -->', re.S)


@dataclass
class Table:
    """A table in Markdown: its cells, and the sentence that announces it."""

    head: List[str]
    rows: List[List[str]]
    before: str

    @property
    def is_of_results(self):
        cells = [cell for row in self.rows for cell in row]
        return any(map(_OF_HEADER.search, self.head)) or any(
            map(_OF_CELL.search, cells)
        )


def tables_of(text):
    """All tables of a text, but none in a block of code."""
    text = re.sub(r'^ *```.*?^ *```', '', text, flags=re.M | re.S)
    lines = text.splitlines()
    for index, line in enumerate(lines[1:], 1):
        dashes = all(re.fullmatch(r':?-+:?', cell) for cell in cells_of(line))
        if '|' not in line or not dashes:
            continue
        rows = []
        for row in lines[index + 1 :]:
            if '|' not in row:
                break
            rows.append(cells_of(row))
        before = _sentence('\n'.join(lines[: index - 1]))
        yield Table(cells_of(lines[index - 1]), rows, before)


def cells_of(line):
    """The cells of a table's line."""
    line = line.strip().removeprefix('|').removesuffix('|')
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', line)]


def _sentence(text):
    """The last sentence, where it ends in a colon."""
    paragraph = text.rstrip().rpartition('\n\n')[2].replace('\n', ' ')
    sentence = re.split(r'(?<=[.!?]) (?=[A-Z])', paragraph)[-1]
    return sentence if sentence.endswith(':') else ''


def numbers_of(cell):
    """Each number of a cell, and the brackets around it or behind it."""
    # Blanks, so that places stay: links' targets, and names in code.
    bare = re.sub(
        r'<[^>]*>|`[^`]*[A-Za-z][^`]*`', lambda m: ' ' * len(m[0]), cell
    )
    for number in _NUMBER.finditer(bare):
        brackets = [
            match[0]
            for match in re.finditer(r'\([^()]*\)', cell)
            if match.end() > number.start()
        ]
        yield number[0], (brackets or [''])[0]


def unmarked(text, path):
    """What is wrong with the numbers in the tables of results of a text.

    Args:
        text (str): In Markdown.
        path (Path): Of its file, which may not hold a number for itself.

    Returns:
        list[str]: A problem for each number that lacks its mark, or whose
        file lacks the number.
    """
    text = re.sub(r'\]\(([^)]*)\)', r']<\1>', _EVIDENCE.sub('', text))
    text = re.sub(r'\]\[[^]]*\]', ']', text)
    problems = []
    for table in tables_of(text):
        for row in table.rows if table.is_of_results else ():
            columns = list(zip(table.head, row))
            source = ' '.join(c for h, c in columns if h.lower() == 'source')
            for head, cell in columns:
                for number, own in numbers_of(cell):
                    marks = [own, head, source, table.before]
                    problem = _problem_of(number, head.lower(), marks, path)
                    if problem:
                        problems.append(f'{number} in {cell!r} {problem}')
    return problems


def _problem_of(number, head, marks, path):
    is_reported, is_measured = 'reported' in head, 'measured' in head
    if not is_measured and any(map(_REPORTED.search, marks)):
        return None
    if is_reported and not is_measured:
        # The column says the word, and the brackets the rest.
        named = re.search(r'[A-Za-z]{3}', marks[0])
        return None if named else 'names no source'
    holders = [h for mark in marks for h in _MEASURED.findall(mark)]
    if is_measured:
        holders = _HOLDER.findall(marks[0]) or holders
    if not holders:
        return 'is marked neither as reported nor as measured'
    problems = (_not_held(number, a or b, path) for a, b in holders)
    return next(filter(None, problems), None)


def _not_held(number, holder, path):
    """Why a file or a command does not give a number."""
    for file in (path.parent / holder, ROOT / holder):
        if file.is_file() and file.suffix not in ('.py', '.sh'):
            if file.resolve() == path.resolve():
                return 'is held by its own page'
            if not holds(file.read_text(), number):
                return f'is not in {holder}'
            return None
    if any((ROOT / word).is_file() for word in holder.split()):
        return None
    return f'comes from {holder!r}, which is no file and no command'


def holds(text, number):
    """Whether a text has a number, or a percentage as a fraction."""
    found = [float(other) for other in re.findall(r'\d+(?:\.\d+)?', text)]
    return any(
        abs(float(number) - factor * other) < 1e-9
        for other in found
        for factor in (1, 100)
    )


def wrong_evidence(text, docs):
    """Which tables between marks are not what their files give.

    Args:
        text (str): In Markdown.
        docs (Path): Folder of ``evidence/<name>.csv``.

    Returns:
        list[str]: A problem each.
    """
    problems = []
    for name, content in _EVIDENCE.findall(text):
        file = Path(docs, 'evidence', f'{name}.csv')
        if not file.is_file():
            problems.append(f'table {name}: there is no {file.name}')
        elif content.strip() != table_of_rows(read_rows(file)):
            problems.append(f'table {name} is not what {file.name} gives')
    return problems
