"""The pages of the documentation: blocks of code, links, messages."""

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        ROOT / 'README.md',
        ROOT / 'CONTRIBUTING.md',
        ROOT / 'CHANGELOG.md',
        *(ROOT / 'docs').glob('**/*.md'),
        *(ROOT / 'configs').glob('**/*.md'),
    ]
)
#: What is shown, and not run.
SHOWN = ('text',)

_FENCE = re.compile(r'^( *)(`{3,}|~{3,})([\w-]*) *$')
_COMMENT = re.compile(r'<!--\s*(.*?)\s*-->', re.S)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page (Path): Where it stands.
        line (int): Of its fence, from 1.
        language (str): Behind the fence.
        text (str): Its lines.
        comment (str): The HTML comment right before it, or ''.
    """

    page: Path
    line: int
    language: str
    text: str
    comment: str

    @property
    def name(self) -> str:
        return f'{name_of(self.page)}:{self.line}'

    @property
    def reason(self) -> Optional[str]:
        """Why it is not run; None where it is."""
        match = re.fullmatch(r'not run: (.+)', self.comment, re.S)
        return match and match[1]

    @property
    def file(self) -> Optional[str]:
        """The config that it is, by a first line ``# name.py``."""
        match = re.match(r'# (\w+\.py)\n', self.text)
        return match and match[1]


def blocks_of(page: Path) -> List[Block]:
    blocks, opened = [], None
    lines = page.read_text(encoding='utf-8').split('\n')
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match and opened is None:
            opened = number, match
        elif match and opened and match[2] == opened[1][2] and not match[3]:
            start, fence = opened
            indent = len(fence[1])
            inside = [text[indent:] for text in lines[start + 1 : number]]
            before = '\n'.join(lines[:start]).rstrip()
            comments = list(_COMMENT.finditer(before))
            comment = ''
            if comments and comments[-1].end() == len(before):
                comment = comments[-1][1]
            text = '\n'.join(inside) + '\n'
            blocks.append(Block(page, start + 1, fence[3], text, comment))
            opened = None
    assert opened is None, f'{page}: a block is not closed'
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@dataclass(frozen=True)
class Command:
    """One command of a block.

    Attributes:
        block (Block): Where it stands.
        words (tuple[str]): As bash splits it, without the environment.
        environment (dict): What is set in front of it.
    """

    block: Block
    words: Tuple[str, ...]
    environment: tuple

    @property
    def name(self) -> str:
        return f'{self.block.name} {shlex.join(self.words)[:60]}'


def commands_of(block: Block) -> List[Command]:
    commands = []
    for line in block.text.replace('\\\n', ' ').split('\n'):
        words = shlex.split(line, comments=True)
        while words:
            end = words.index('&&') if '&&' in words else len(words)
            one, words = words[:end], words[end + 1 :]
            environment = []
            while one and re.match(r'[A-Z_]+=', one[0]):
                environment.append(tuple(one.pop(0).split('=', 1)))
            if one:
                found = Command(block, tuple(one), tuple(environment))
                commands.append(found)
    return commands


COMMANDS = [
    command
    for block in BLOCKS
    if block.language == 'bash' and block.reason is None
    for command in commands_of(block)
]


def prose_of(page: Path) -> str:
    """A page without its blocks of code and its comments."""
    text = page.read_text(encoding='utf-8')
    text = re.sub(r'^( *)(```+).*?^\1\2 *$', '', text, flags=re.S | re.M)
    return _COMMENT.sub('', text)


def links_of(page: Path) -> List[str]:
    """Targets of the links and images of a page."""
    text = re.sub(r'`[^`\n]*`', '', prose_of(page))
    inline = re.findall(r'\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)', text)
    named = re.findall(r'^\[[^\]]+\]: (\S+)$', text, flags=re.M)
    return inline + named


def anchors_of(page: Path) -> List[str]:
    """The anchors that a forge gives the headings of a page."""
    anchors = []
    for title in re.findall(r'^#{1,6} (.+?) *$', prose_of(page), flags=re.M):
        title = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', title)
        title = re.sub(r'[^\w\- ]', '', title.lower())
        anchors.append(title.replace(' ', '-'))
    return anchors


def messages() -> List[re.Pattern]:
    """Every text in mmtat's source, with anything where it is filled in."""
    patterns = []
    for path in sorted((ROOT / 'mmtat').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            parts = _parts(node)
            fixed = ''.join(part for part in parts if part is not None)
            if len(fixed) >= 12:
                pattern = ''.join(
                    '.*?' if part is None else re.escape(part)
                    for part in parts
                )
                patterns.append(re.compile(pattern, re.S))
    return patterns


def _parts(node: ast.AST) -> List[Optional[str]]:
    """The fixed parts of an expression for a string; None for a hole."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values for part in _parts(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _parts(node.left) + _parts(node.right)
    if isinstance(node, (ast.FormattedValue, ast.expr)):
        return [None]
    return []
