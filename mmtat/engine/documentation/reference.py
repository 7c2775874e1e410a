"""The reference page, from components and their docstrings."""

import inspect
import re
from pathlib import Path
from typing import Any, Dict, List

import mmtat

from .components import Component, Group, component_groups
from .docstring import Docstring, Entry, one_line, parse_docstring

ROOT = Path(mmtat.__file__).resolve().parents[1]

_HEAD = """# Config reference

<!-- Written by `python tools/config_reference.py`; do not edit. -->

Every component that mmtat registers, from its docstring. A config names them
as `mmtat.X` from any scope, without `custom_imports`; Python imports the
models from `mmtat.models`. How they play together:
[How TaT works](how_tat_works.md), [Recipes](recipes.md).

A shape such as (B, C, H, W) is that of a tensor: images, channels, rows and
columns. The column *default* says *needed* where an argument has none.
"""

#: Packages whose modules are called by the user's own code as well.
_CALLED = ('mmtat.models.losses', 'mmtat.models.connectors')


def reference_page() -> str:
    """The whole page.

    Returns:
        str: Markdown.
    """
    groups = component_groups()
    anchors = {}
    for group in groups:
        for component in group.components:
            for name in (component.name, component.source.__name__):
                anchors[name] = f'#{slug(component.name)}'
    parts = [_HEAD, _contents(groups)]
    for group in groups:
        parts.append(f'## {group.title}\n\n{group.text}\n')
        parts += [_section(one, anchors) for one in group.components]
    return '\n'.join(parts)


def slug(heading: str) -> str:
    """The anchor that a forge gives a heading.

    Args:
        heading (str): Its text, without markup.

    Returns:
        str: Without the leading '#'.
    """
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def to_markdown(text: str, anchors: Dict[str, str], module: Any) -> str:
    """A docstring's text, which is reStructuredText, as Markdown.

    Args:
        text (str): Of one or several paragraphs.
        anchors (dict[str, str]): Links of the names that have a section.
        module (module): Where the constants are that it names.

    Returns:
        str: The same in Markdown.
    """

    def role(match: re.Match) -> str:
        kind, name = match[1], match[2].lstrip('~')
        if kind == 'data' and hasattr(module, name):
            return f'``{_shown(getattr(module, name))}``'
        own = name.rpartition('.')[2]
        if own in anchors:
            return f'[``{own}``]({anchors[own]})'
        return f'``{name}``'

    text = re.sub(r':(\w+):`([^`]+)`', role, text)
    text = re.sub(r'`([^`<]+?)\s*<(https?://[^>]+)>`_', _link, text)
    parts = re.split(r'(`[^`]*`)', text.replace('``', '`'))
    return ''.join(p if p.startswith('`') else _escaped(p) for p in parts)


def _escaped(text: str) -> str:
    """Text in which a product is no emphasis, and a bracket no tag."""
    text = re.sub(r'(?<=\w)\*(?=\w)|(?<= )\*(?=\w+\[)', r'\\*', text)
    return re.sub(r'<(?!br>)', '&lt;', text)


def _link(match: re.Match) -> str:
    return f'[{one_line(match[1])}]({match[2]})'


def _contents(groups: List[Group]) -> str:
    lines = ['| kind | components |', '|---|---|']
    for group in groups:
        links = [
            f'[{one.name}](#{slug(one.name)})' for one in group.components
        ]
        title = f'[{group.title}](#{slug(group.title)})'
        lines.append(f'| {title} | {", ".join(links)} |')
    return '\n'.join(lines) + '\n'


def _section(component: Component, anchors: Dict[str, str]) -> str:
    docstring = parse_docstring(component.source)
    path = Path(inspect.getfile(component.source)).relative_to(ROOT)
    place = f'[{path.as_posix()}](../{path.as_posix()})'
    if component.type:
        place = f"`type='{component.type}'` · {place}"
    parts = [f'### {component.name}', place, docstring.summary]
    if docstring.body:
        parts.append(docstring.body)
    parts.append(_arguments(component, docstring))
    if component.source.__module__.startswith(_CALLED):
        parts.append(_call(component.source))
    if docstring.raises:
        lines = [f'- {_error(entry)}' for entry in docstring.raises]
        parts.append('**Errors**\n\n' + '\n'.join(lines))
    module = inspect.getmodule(component.source)
    kept = [to_markdown(part, anchors, module) for part in parts if part]
    if docstring.example:
        kept.append(f'```python\n{_whole(component, docstring)}\n```')
    return '\n\n'.join(kept) + '\n'


def _arguments(component: Component, docstring: Docstring) -> str:
    parameters = component.parameters()
    rows = []
    for entry in docstring.args:
        defaults = [
            _default(parameters[name.lstrip('*')])
            for name in entry.names
            if name.lstrip('*') in parameters
        ]
        names = ', '.join(f'`{name}`' for name in entry.names)
        default = ', '.join(dict.fromkeys(filter(None, defaults)))
        kind = re.sub(r',? ?optional', '', entry.kind).replace(' | ', ' or ')
        text = _without_default(entry.text, parameters, entry)
        text = text.replace('\n- ', '<br>• ').replace('\n', '<br>')
        rows.append(f'| {names} | {kind} | {default} | {text} |')
    if not rows:
        return 'It has no arguments.' if component.type else ''
    head = '| argument | type | default | meaning |\n|---|---|---|---|\n'
    return head + '\n'.join(rows)


def _default(parameter: inspect.Parameter) -> str:
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return ''
    if parameter.default is parameter.empty:
        return '*needed*'
    return f'`{_shown(parameter.default)}`'


def _shown(value: Any) -> str:
    """A value as a config has it."""
    if isinstance(value, dict):
        inside = ', '.join(f'{k}={_shown(v)}' for k, v in value.items())
        return f'dict({inside})'
    if isinstance(value, list):
        return f'[{", ".join(map(_shown, value))}]'
    return repr(value)


def _without_default(text: str, parameters: Dict, entry: Entry) -> str:
    """Leave out a last sentence that only repeats the default."""
    name = entry.names[0].lstrip('*')
    if name in parameters:
        shown = re.escape(_shown(parameters[name].default))
        text = re.sub(rf' Defaults\s+to `*{shown}`*\.$', '', text)
    return text


def _call(source: type) -> str:
    """What the module itself is called with, and gives."""
    method = getattr(source, 'forward_train', None) or source.forward
    docstring = parse_docstring(method)
    lines = [
        f'- `{", ".join(entry.names)}`: {entry.text}'
        for entry in docstring.args
    ]
    if docstring.returns:
        lines.append(f'- gives: {docstring.returns}')
    return '**Called with**\n\n' + '\n'.join(lines) if lines else ''


def _error(entry: Entry) -> str:
    return f'`{", ".join(entry.names)}`: {entry.text}'


def _whole(component: Component, docstring: Docstring) -> str:
    """The example with the imports that it needs."""
    code = docstring.example
    imports = []
    if re.search(r'\btorch\.', code):
        imports.append('import torch')
    if 'BaseDataElement' in code:
        imports.append('from mmengine.structures import BaseDataElement')
    if re.search(rf'\b{component.name}\(', code):
        package = component.source.__module__.rpartition('.')[0]
        public = 'mmtat.models' if '.models.' in package else package
        imports.append(f'from {public} import {component.name}')
    first, *others = imports or ['']
    lines = [first, *others] if not others else [first, '', *others]
    head = '\n'.join(lines) + '\n\n' if imports else ''
    return head + code
