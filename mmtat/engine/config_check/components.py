"""The class that a config names, and whether it takes what stands there."""

from typing import Any, Dict, Iterable, Iterator, Optional

from mmengine.registry import Registry

from .problem import Problem
from .signatures import arguments_of, did_you_mean, unknown_argument

#: What a registry takes out of a config before it builds.
_OF_REGISTRIES = ('type', '_scope_', '_delete_')


def find_class(
    registry: Registry, kind: Any, scope: Optional[str] = None
) -> Any:
    """The class or function that a type names.

    Args:
        registry (Registry): mmengine's own, at the root.
        kind (Any): A ``type``.
        scope (str, optional): Where one without a scope is looked up, by
            default the scope that is current.

    Returns:
        Any: It.

    Raises:
        ValueError: There is none; names close matches.
    """
    if callable(kind):
        return kind
    if not isinstance(kind, str):
        raise ValueError(f'must name a component, got {kind!r}')
    with registry.switch_scope_and_registry(scope) as current:
        try:
            found = current.get(kind)
        except (KeyError, RuntimeError):
            found = None
        if found is None:
            raise ValueError(
                f'there is no {current.name} {kind!r}'
                f'{_suggestion(kind, current)}'
            )
    return found


def component_problems(
    config: Any,
    place: str,
    registry: Registry,
    scope: Optional[str] = None,
    also: Iterable[str] = (),
    suffix: str = '',
) -> Iterator[Problem]:
    """What is wrong with the type and the arguments of a component.

    Args:
        config (Any): Of the component.
        place (str): Of it.
        registry (Registry): mmengine's own, at the root.
        scope (str, optional): See :func:`find_class`.
        also (Iterable[str]): Further names that are taken.
        suffix (str): What the registry adds to the type. Defaults to ''.

    Yields:
        Problem: For each.
    """
    if not isinstance(config, dict):
        # Built already, or by another rule of its owner.
        return
    kind = config.get('type')
    if kind is None:
        yield Problem(place, f'must have a type, got {dict(config)}')
        return
    scope = config.get('_scope_', scope)
    named = f'{kind}{suffix}' if isinstance(kind, str) else kind
    try:
        component = find_class(registry, named, scope)
    except ValueError as error:
        yield Problem(f'{place}.type', str(error))
        return
    known = arguments_of(component)
    if known is not None:
        name = getattr(component, '__name__', str(kind))
        yield from unknown_keys(config, place, name, {*known, *also})


def unknown_keys(
    config: Dict[str, Any], place: str, name: str, known: Iterable[str]
) -> Iterator[Problem]:
    """Keys of a config that nothing reads.

    Args:
        config (dict): What came.
        place (str): Of it.
        name (str): What takes them.
        known (Iterable[str]): Names that it takes.

    Yields:
        Problem: For each.
    """
    for key in config:
        if key not in known and key not in _OF_REGISTRIES:
            message = unknown_argument(str(key), name, known)
            yield Problem(f'{place}.{key}', message)


def _suggestion(kind: str, current: Registry) -> str:
    """The same name in another scope, or names that are close."""
    root = current
    while root.parent is not None:
        root = root.parent
    scope, _, name = kind.rpartition('.')
    elsewhere = [
        f'{own.scope}.{name}'
        for own in root.children.values()
        if name in own.module_dict
    ]
    if elsewhere:
        return f'; did you mean {" or ".join(map(repr, elsewhere))}?'
    if scope in root.children:
        known = [f'{scope}.{own}' for own in root.children[scope].module_dict]
    else:
        own = root.children.get('mmtat')
        known = [*current.module_dict, *root.module_dict]
        known += [f'mmtat.{name}' for name in own.module_dict] if own else []
    return did_you_mean(kind, known)
