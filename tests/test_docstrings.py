"""Public docstrings name every argument, shape, result and error."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import typing
from typing import Any, Iterator, Tuple

import pytest
from torch import Tensor

from mmtat.engine.documentation import parse_docstring

PACKAGES = ('mmtat.models', 'mmtat.ops', 'mmtat.engine.hooks')
#: Of a shape: '(N, C, H, W)', '(C,)', or words that say as much.
SHAPE = re.compile(r'\([^)]*[A-Za-z0-9*_\]]\s*(,[^)]*)?\)|[Ss]calar|shape')
#: Annotations of what gives nothing; the last is that of a context.
NOTHING = (None, 'None', inspect.Signature.empty, Iterator[None])


def modules():
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, name + '.'):
            yield importlib.import_module(found.name)


def public() -> Iterator[Tuple[str, Any, Any]]:
    """Functions, classes and methods, with the class of a method."""
    for module in modules():
        for name, thing in vars(module).items():
            if name.startswith('_') or not callable(thing):
                continue
            if getattr(thing, '__module__', '') != module.__name__:
                continue
            where = f'{module.__name__}.{name}'
            yield where, thing, None
            if not isinstance(thing, type):
                continue
            for method, value in vars(thing).items():
                value = getattr(value, '__func__', value)
                if not method.startswith('_') and inspect.isfunction(value):
                    yield f'{where}.{method}', value, thing


PUBLIC = list(public())
IDS = [where for where, _, _ in PUBLIC]


def parameters_of(thing, owner):
    source = thing
    if isinstance(thing, type):
        if '__init__' not in vars(thing):
            return {}
        source = thing.__init__
    found = dict(inspect.signature(source).parameters)
    if owner is not None or isinstance(thing, type):
        found.pop(next(iter(found), None), None)
    return found


def refers(text):
    """Whether it leaves what is asked for to another docstring."""
    return re.search(r'[Ss]ee :\w+:|[Ll]ike :\w+:|As :\w+:', text)


def is_exempt(where, docstring):
    """Not judged: what refers elsewhere, or says what torch documents."""
    text = f'{docstring.summary} {docstring.body}'
    name = where.rpartition('.')[2]
    return name == 'extra_repr' or refers(text)


def is_tensor(annotation):
    return annotation is Tensor or annotation == typing.Optional[Tensor]


@pytest.mark.parametrize('where, thing, owner', PUBLIC, ids=IDS)
def test_a_docstring_names_every_argument(where, thing, owner):
    docstring = parse_docstring(thing)
    assert docstring.summary, 'it has none'
    if is_exempt(where, docstring):
        return
    documented = {
        name.lstrip('*') for entry in docstring.args for name in entry.names
    }
    for name, parameter in parameters_of(thing, owner).items():
        assert name in documented, f'{name} is not among its Args'
        if is_tensor(parameter.annotation):
            entry = docstring.argument(name)
            is_there = SHAPE.search(entry.text) or refers(entry.text)
            assert is_there, f'{name}: no shape in {entry.text!r}'


@pytest.mark.parametrize('where, thing, owner', PUBLIC, ids=IDS)
def test_a_docstring_names_results_and_errors(where, thing, owner):
    docstring = parse_docstring(thing)
    if is_exempt(where, docstring):
        return
    if inspect.isfunction(thing):
        returned = inspect.signature(thing).return_annotation
        if returned not in NOTHING:
            assert docstring.returns, 'it does not say what it returns'
        if is_tensor(returned):
            assert SHAPE.search(docstring.returns), 'no shape of the result'
    raised = errors_raised(thing)
    named = {name for entry in docstring.raises for name in entry.names}
    assert raised <= named, f'Raises lacks {", ".join(sorted(raised - named))}'


def errors_raised(thing):
    """Errors of a user that its own body raises."""
    body = thing
    if isinstance(thing, type):
        if '__init__' not in vars(thing):
            return set()
        body = thing.__init__
    try:
        source = textwrap.dedent(inspect.getsource(body))
    except (OSError, TypeError):
        return set()
    return {
        node.exc.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in ('ValueError', 'TypeError', 'KeyError')
    }
