"""What a component takes: the arguments of a class and of its bases."""

import ast
import difflib
import functools
import inspect
import textwrap
from typing import Any, FrozenSet, Iterable, List, Optional, Set, Tuple


@functools.lru_cache(maxsize=None)
def arguments_of(component: Any) -> Optional[FrozenSet[str]]:
    """Names of the arguments that a component takes.

    Arguments by ``**kwargs`` are those of the base classes, as far as the
    constructor does nothing with them but pass them on.

    Args:
        component (type | Callable): A class, or a function that builds.

    Returns:
        frozenset[str] | None: They; None where any other may be taken too,
        or nobody can tell.
    """
    if not isinstance(component, type):
        names, other = _parameters(component)
        return None if other else frozenset(names)
    known: Set[str] = set()
    for base in inspect.getmro(component):
        if '__init__' not in vars(base):
            continue
        if base is object:
            return frozenset(known)
        names, other = _parameters(vars(base)['__init__'])
        known.update(names[1:])
        if other is None:
            return frozenset(known)
        popped = _only_passed_on(vars(base)['__init__'], other)
        if popped is None:
            return None
        known.update(popped)
    return frozenset(known)


def unknown_argument(name: str, component: str, known: Iterable[str]) -> str:
    """What to say of an argument that a component does not take.

    Args:
        name (str): That came.
        component (str): What was to take it.
        known (Iterable[str]): What it takes.

    Returns:
        str: Names a close match, and all that there are.
    """
    return f'{component} has no argument {name!r}{what_is_known(name, known)}'


def what_is_known(name: Any, known: Iterable[str]) -> str:
    """A hint at what was meant, and all that there is.

    Args:
        name (Any): What came.
        known (Iterable[str]): What there is.

    Returns:
        str: Goes on behind what is wrong.
    """
    known = sorted(set(known))
    hint = did_you_mean(name, known) or '.'
    return f'{hint} There are {", ".join(known) or "none"}'


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """A hint at what was meant.

    Args:
        name (Any): What came.
        known (Iterable[str]): What there is.

    Returns:
        str: Begins with a semicolon; empty where nothing is close.
    """
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(str(name), names, n=2)
    words = ' or '.join(map(repr, close))
    return f'; did you mean {words}?' if close else ''


def _parameters(function: Any) -> Tuple[List[str], Optional[str]]:
    """Names of the arguments, and that of ``**kwargs``."""
    names, other = [], None
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Of a builtin.
        return [], 'kwargs'
    for parameter in parameters:
        if parameter.kind == parameter.VAR_KEYWORD:
            other = parameter.name
        elif parameter.kind != parameter.VAR_POSITIONAL:
            names.append(parameter.name)
    return names, other


def _only_passed_on(function: Any, name: str) -> Optional[Set[str]]:
    """What a constructor takes out of its ``**kwargs``, before its base.

    None where it gives them to anything else than its base, or to nobody.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return None
    harmless, popped, passed = set(), set(), False
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if _is_base_constructor(node.func):
            for keyword in node.keywords:
                if keyword.arg is None and _is_name(keyword.value, name):
                    harmless.add(keyword.value)
                    passed = True
        elif isinstance(node.func, ast.Attribute):
            if _is_name(node.func.value, name) and _is_look(node):
                harmless.add(node.func.value)
                popped.add(node.args[0].value)
    uses = {node for node in ast.walk(tree) if _is_name(node, name)}
    return popped if passed and uses <= harmless else None


def _is_base_constructor(function: ast.AST) -> bool:
    """Of ``super().__init__`` or ``super(Own, self).__init__``."""
    return (
        isinstance(function, ast.Attribute)
        and function.attr == '__init__'
        and isinstance(function.value, ast.Call)
        and _is_name(function.value.func, 'super')
    )


def _is_look(call: ast.Call) -> bool:
    """Of ``kwargs.get('name')`` and the like."""
    return (
        call.func.attr in ('get', 'pop', 'setdefault')
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    )


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
