"""From what a user names as a model to a config that builds it."""

import copy
import difflib
import importlib.util
import os
import os.path as osp
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.model import BaseModel

from mmtat.registry import MODELS

from .config_file import read_config_file

ModelSource = Union[str, Dict, BaseModel]


def build_model(source: ModelSource, role: str) -> BaseModel:
    """Build a model from a config, a config's name, or take it as it is.

    Args:
        source (str | dict | BaseModel): See :func:`resolve_model_config`.
        role (str): Name of the argument, for messages.

    Returns:
        BaseModel: The model, with fresh weights.

    Raises:
        TypeError: No model comes of it.
        ValueError: The config is not found.
    """
    if not isinstance(source, BaseModel):
        config, _ = resolve_model_config(source, role)
        check_type(config, role, config.get('_scope_'))
        source = MODELS.build(config)
    if not isinstance(source, BaseModel):
        raise TypeError(
            f'{role} must be a mmengine BaseModel (a segmentor or a '
            f'classifier), got {type(source)}'
        )
    return source


def check_type(
    config: Dict[str, Any], role: str, scope: Optional[str] = None
) -> type:
    """The class of a config; raise unless it is registered.

    Args:
        config (dict): With a ``type``.
        role (str): Name of the argument, for messages.
        scope (str, optional): Where a type without a scope is looked up, by
            default the scope that is current.

    Returns:
        type: The class, or the function that is registered.

    Raises:
        ValueError: No type, or an unknown one; names close matches.
    """
    kind = config.get('type')
    if isinstance(kind, type):
        return kind
    if not isinstance(kind, str):
        raise ValueError(f'{role}: the config has no type: {dict(config)}')
    with MODELS.switch_scope_and_registry(scope) as registry:
        try:
            found = registry.get(kind)
        except (KeyError, RuntimeError):
            found = None
        if found is None:
            own, _, name = kind.rpartition('.')
            child = registry.root.children.get(own, registry)
            known = {*child.module_dict, *registry.root.module_dict}
            close = difflib.get_close_matches(name, sorted(known), n=3)
            raise ValueError(
                f'{role}: unknown type {kind!r} in the scope '
                f'{own or registry.scope!r}'
                + (f'; close matches: {", ".join(close)}' if close else '')
            )
    return found


def resolve_model_config(
    source: Union[str, Dict], role: str
) -> Tuple[ConfigDict, Optional[str]]:
    """The model config behind a name, a path, or a dict.

    Args:
        source (str | dict): ``'mmseg::...'`` or ``'mmpretrain::...'``, the
            path of a config file, ``dict(cfg_path=..., pretrained=...,
            <overrides>)`` with either of these, or a model config. There
            ``pretrained=True`` takes the zoo's weights, and
            ``pretrained=None`` fetches no file at all.
        role (str): Name of the argument, for messages.

    Returns:
        tuple[ConfigDict, str | None]: The config with its scope, and the
        zoo's weights where ``pretrained=True`` asks for them.

    Raises:
        TypeError: Neither a string nor a dict.
        ValueError: The config is not found or holds no model.
    """
    overrides: Dict[str, Any] = {}
    if isinstance(source, dict):
        overrides = copy.deepcopy(dict(source))
        if 'cfg_path' not in overrides:
            return _with_scope(overrides), None
        source = overrides.pop('cfg_path')
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if not isinstance(source, str):
        raise TypeError(
            f'{role} must be a config dict, the name or path of a config, '
            f'or a built model, got {type(source)}'
        )
    fetches_nothing = overrides.get('pretrained', False) is None
    pretrained = bool(overrides.pop('pretrained', False))
    config = load_config(source, role, pretrained)
    if 'model' not in config:
        raise ValueError(f'{role}: the config {source!r} defines no model')
    model = config.model
    if 'data_preprocessor' in config:
        # mmpretrain keeps it beside the model, and gives it no type.
        model.setdefault('data_preprocessor', config.data_preprocessor)
    model.setdefault('_scope_', config.get('default_scope', 'mmengine'))
    if fetches_nothing:
        model = without_pretrained(model)
    if overrides:
        model = Config._merge_a_into_b(overrides, model)
    return ConfigDict(model), config.get('model_path')


def load_config(source: str, role: str, pretrained: bool = False) -> Config:
    """Load a config from a zoo or from a file.

    Args:
        source (str): ``'mmseg::...'``, ``'mmpretrain::...'`` or a path.
        role (str): Name of the argument, for messages.
        pretrained (bool): Whether to look up the zoo's weights, as
            ``config.model_path``. Defaults to False.

    Returns:
        Config: The whole config.

    Raises:
        ValueError: Not found, with close matches of a zoo, or no config.
    """
    if '::' not in source:
        if not osp.isfile(source):
            raise ValueError(
                f'{role}: no config file {source!r}; give a path, or the '
                "name of a zoo's config such as "
                "'mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-"
                "512x512.py'"
            )
        return read_config_file(source, role)
    try:
        # mmengine would install a package that is missing.
        if importlib.util.find_spec(source.partition('::')[0]) is None:
            raise ValueError(f'the package of {source!r} is not installed')
        return get_config(source, pretrained)
    except (AssertionError, ValueError, FileNotFoundError) as error:
        raise ValueError(
            f'{role}: no config {source!r}; {_zoo_suggestions(source)}'
        ) from error


def _zoo_suggestions(source: str) -> str:
    package, _, name = source.partition('::')
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return "the zoos are 'mmseg::...' and 'mmpretrain::...'"
    root = Path(spec.origin).parent / '.mim' / 'configs'
    names = [
        path.relative_to(root).as_posix()
        for path in root.rglob('*.py')
        if '_base_' not in path.parts
    ]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return 'close matches: ' + ', '.join(f'{package}::{c}' for c in close)


def _with_scope(config: Dict[str, Any]) -> ConfigDict:
    """Let 'mmseg.EncoderDecoder' carry its scope to the types inside it."""
    scope = str(config.get('type', '')).rpartition('.')[0]
    if scope and '.' not in scope and scope != 'mmtat':
        config.setdefault('_scope_', scope)
    return ConfigDict(config)


def without_pretrained(config: Any) -> Any:
    """A copy of a model config that fetches no file of its own.

    The teacher's weights come from its checkpoint, whole: what its backbone
    was once initialised from is never needed.

    Args:
        config (Any): A model config, or a part of one.

    Returns:
        Any: The copy, without ``pretrained``, timm's ``checkpoint_path`` and
        ``init_cfg`` of type Pretrained at any depth.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(without_pretrained(item) for item in config)
    if not isinstance(config, dict):
        return config
    copied = {}
    for key, value in config.items():
        if key == 'pretrained':
            value = False if isinstance(value, bool) else None
        elif key == 'init_cfg' and _is_pretrained(value):
            value = None
        elif key == 'checkpoint_path':
            # Of timm's backbones, which may read it by plain pickle.
            value = ''
        copied[key] = without_pretrained(value)
    return type(config)(copied)


def _is_pretrained(init_cfg: Any) -> bool:
    entries = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return any(
        isinstance(entry, dict) and 'Pretrained' in str(entry.get('type'))
        for entry in entries
    )
