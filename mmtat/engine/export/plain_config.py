"""Configs that came with a checkpoint: read as data, never run.

The text of a config is Python, and a file of weights may come from anywhere.
What a user names by ``--config`` is run, as every config is; what is found
in or beside a checkpoint is only parsed, and may name registered parts only.
"""

import ast
import importlib
import inspect
from typing import Any, Dict, Iterator, List, Optional, Set

from mmengine.config import Config
from mmengine.registry import Registry

#: Packages whose registries a found config may name parts of.
_PACKAGES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'mmtat')
#: What models are made of, and built with.
_REGISTRIES = ('MODELS', 'TASK_UTILS', 'WEIGHT_INITIALIZERS', 'BATCH_AUGMENTS')
#: Parts that run, or fetch, what their arguments name.
_RUN_ARGUMENTS = ('FrozenTeacherDistill', 'HuggingFaceClassifier', 'VPD')
_RUN_ARGUMENTS_IN = (
    'mmpretrain.models.multimodal',
    'mmpretrain.models.retrievers',
)
_NUMBERS = dict(inf=float('inf'), nan=float('nan'))


def read_plain_config(text: str, source: str) -> Config:
    """Read a config as mmengine writes it, without running anything.

    Args:
        text (str): Assignments of literals and of ``dict(...)``.
        source (str): Where it is from, for messages.

    Returns:
        Config: The same as a file of this text gives.

    Raises:
        ValueError: It is no such text.
    """
    try:
        return Config(_values(ast.parse(text).body, source))
    except (
        SyntaxError,
        # Of what Python cannot hold: nested too deeply, a list as a key.
        MemoryError,
        RecursionError,
        TypeError,
        # Of names that mmengine keeps for itself.
        KeyError,
    ) as error:
        raise ValueError(
            f'the config {source} cannot be read: {error}'
        ) from error


def _values(statements: List[ast.stmt], source: str) -> Dict[str, Any]:
    values = {}
    for statement in statements:
        is_name = (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        )
        if not is_name:
            raise _no_data(statement, source)
        values[statement.targets[0].id] = _value(statement.value, source)
    return values


def _value(node: ast.AST, source: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _value(node.operand, source)
        if isinstance(operand, (int, float)):
            return -operand
    for kind, build in ((ast.List, list), (ast.Tuple, tuple), (ast.Set, set)):
        if isinstance(node, kind):
            return build(_value(item, source) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        pairs = zip(node.keys, node.values)
        return {_value(k, source): _value(v, source) for k, v in pairs}
    if isinstance(node, ast.Call) and _is_dict(node):
        # dict({'3x3': 1}) is how a key that is no name is written.
        values = _value(node.args[0], source) if node.args else {}
        for keyword in node.keywords:
            values[keyword.arg] = _value(keyword.value, source)
        return values
    raise _no_data(node, source)


def _is_dict(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and all(isinstance(argument, ast.Dict) for argument in node.args)
        and len(node.args) <= 1
        and all(keyword.arg is not None for keyword in node.keywords)
    )


def _no_data(node: ast.AST, source: str) -> ValueError:
    return ValueError(
        f'the config {source}, line {node.lineno}, is more than data, and '
        'what is found with a checkpoint is not run; give it by --config if '
        'you trust it'
    )


def is_zoo_name(source: str) -> bool:
    """Whether a name is that of a config in a known package.

    Args:
        source (str): As ``'mmseg::fcn/fcn_r50-d8_...py'``.

    Returns:
        bool: False for paths, also those that leave the package's folder.
    """
    package, separator, name = source.partition('::')
    steps = name.replace('\\', '/').split('/')
    is_inside = steps[0] and '..' not in steps and ':' not in name
    return bool(separator) and package in _PACKAGES and bool(is_inside)


def check_parts(config: Config, source: str) -> None:
    """Raise unless a found config's model is made of registered parts.

    mmengine imports and calls whatever a ``type`` with dots in it names.

    Args:
        config (Config): Of a student.
        source (str): Where it is from, for messages.

    Raises:
        ValueError: Names the part, or the import, that is not known.
    """
    model = config.model.to_dict()
    # timm's backbones look their norm up by its name alone.
    kinds = [*_named(model, 'type'), *_named(model, 'norm_layer')]
    imports = (config.get('custom_imports') or {}).get('imports', [])
    imports = [imports] if isinstance(imports, str) else list(imports)
    scopes = {kind.partition('.')[0] for kind in kinds if '.' in kind}
    scopes |= {config.get('default_scope') or 'mmengine'}
    scopes |= set(_named(model, '_scope_'))
    foreign = [
        name
        for name in (*sorted(scopes), *imports)
        if name.partition('.')[0] not in (*_PACKAGES, 'torch')
    ]
    known = _registered(scopes & set(_PACKAGES)) if not foreign else set()
    foreign = foreign or [
        kind for kind in kinds if kind.rpartition('.')[2] not in known
    ]
    if foreign:
        raise ValueError(
            f'the config {source} names {foreign[0]!r}, which is not '
            f'registered in {", ".join(_PACKAGES)}, and what is found with a '
            'checkpoint is not imported; give the config by --config if you '
            'trust it'
        )


def _named(value: Any, key: str) -> Iterator[str]:
    """The strings that stand under a key, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value[key]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _named(item, key)


def _registered(scopes: Set[str]) -> Set[str]:
    names: Set[str] = set()
    for scope in {'mmengine', *scopes} - {'mmcv'}:
        # mmcv registers its parts in the registries of mmengine.
        module = importlib.import_module(f'{scope}.registry')
        for name in _REGISTRIES:
            registry = getattr(module, name, None)
            if registry is not None:
                registry.import_from_location()
                names |= {
                    name
                    for name, part in registry.module_dict.items()
                    if _only_computes(name, part)
                }
    return names


def _only_computes(name: str, part: Any) -> bool:
    """Whether a registered part neither runs nor fetches anything else."""
    return (
        inspect.isclass(part)
        and name not in _RUN_ARGUMENTS
        and not part.__module__.startswith(_RUN_ARGUMENTS_IN)
    )


def registered_class(kind: Any, registry: Registry) -> Optional[type]:
    """The class of a part, where a known package has registered it.

    ``Registry.get`` would import whatever a name with dots in it says.

    Args:
        kind (str | type): The part's ``type``.
        registry (Registry): Of mmengine, such as ``DATASETS``.

    Returns:
        type | None: None where no known package has it.
    """
    if not isinstance(kind, str):
        return kind
    scope, _, name = kind.rpartition('.')
    scope = scope.partition('.')[0] or None
    if scope not in (None, *_PACKAGES):
        return None
    with registry.switch_scope_and_registry(scope) as found:
        while found is not None:
            found.import_from_location()
            if name in found.module_dict:
                return found.module_dict[name]
            found = found.parent
    return None
