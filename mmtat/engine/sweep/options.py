"""From a run to the config that it trains, and whether its options exist."""

import copy
import difflib
import functools
import hashlib
import inspect
import json
import os.path as osp
from typing import Any, Dict, Iterable, List, NoReturn, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
)
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmtat.models.utils import load_config

from ..dataset_check import set_data_root
from .grid import Run

#: By the part of a config, or by the name of an option.
_REGISTRIES = dict(
    model=MODELS,
    optim_wrapper=OPTIM_WRAPPERS,
    optimizer=OPTIMIZERS,
    dataset=DATASETS,
    sampler=DATA_SAMPLERS,
)

#: Nearer than this to a name that is there, a new one is a slip.
_SLIP = 0.85


def resolve(run: Run) -> Config:
    """The config that a run trains.

    Args:
        run (Run): The run.

    Returns:
        Config: With the run's options merged, and its data root.

    Raises:
        ValueError: The config is not there, or an option is not in it.
    """
    config = copy.deepcopy(base_config(run))
    for key, value in run.options.items():
        if key != 'randomness.seed':
            _check_option(dict(config.items()), key)
        # mmengine takes '_delete_' out of what it merges.
        config.merge_from_dict({key: copy.deepcopy(value)})
    if run.data_root is not None:
        set_data_root(config, run.data_root)
    return config


def base_config(run: Run) -> Config:
    """The config of a run without its options.

    Args:
        run (Run): The run.

    Returns:
        Config: Shared by all runs of it; not to be changed.

    Raises:
        ValueError: The config is not there.
    """
    return _load(run.config)


@functools.lru_cache(maxsize=32)
def _load(path: str) -> Config:
    return load_config(path, 'config')


def digest(run: Run, config: Config) -> str:
    """What tells two configs apart, wherever their folder lies.

    Args:
        run (Run): The run.
        config (Config): Of :func:`resolve`.

    Returns:
        str: 16 hexadecimal digits.
    """
    content = {k: v for k, v in config.to_dict().items() if k != 'work_dir'}
    text = json.dumps(_plain(content), sort_keys=True)
    # Configs name their neighbours by absolute paths.
    text = text.replace(osp.dirname(osp.abspath(run.config)), '')
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    # A class or function, whose repr may hold its address.
    return getattr(value, '__qualname__', repr(value))


def _check_option(config: Dict[str, Any], key: str) -> None:
    """Raise where mmengine would add an option that nothing reads."""
    *parents, leaf = key.split('.')
    node: Any = config
    scope = config.get('default_scope')
    for depth, name in enumerate(parents):
        if not _has(node, name):
            _refuse(key, parents[:depth], name, node)
        node = node[name] if isinstance(node, dict) else node[int(name)]
        if not isinstance(node, (dict, list, tuple)):
            place = '.'.join(parents[: depth + 1])
            raise ValueError(
                f'{key!r} is no option of the config: {place!r} is {node!r}, '
                'which has no options'
            )
        if isinstance(node, dict):
            scope = node.get('_scope_', scope)
    if _has(node, leaf):
        return
    names, takes_others = _arguments(node, parents, scope)
    slip = _close(leaf, [*node, *names], _SLIP)
    if leaf not in names and (slip or not takes_others):
        _refuse(key, parents, leaf, [*node, *names])


def _class_of(
    name: str, top: str, own: str, scope: Optional[str]
) -> Optional[type]:
    """The class that a type names, by where in the config it stands."""
    registry = _REGISTRIES.get(own) or _REGISTRIES.get(top)
    if registry is None:
        return None
    with registry.switch_scope_and_registry(scope) as current:
        return current.get(name)


def _has(node: Any, name: str) -> bool:
    if isinstance(node, dict):
        return name in node
    return name.isdigit() and int(name) < len(node)


def _refuse(
    key: str, place: List[str], name: str, names: Iterable[Any]
) -> NoReturn:
    where = f'{".".join(place)!r}' if place else 'the config'
    close = _close(name, names, 0.6)
    hint = '.'.join([*place, *close])
    raise ValueError(
        f'{key!r} is no option of the config: {where} has no {name!r}'
        + (f'; did you mean {hint!r}?' if close else '')
    )


def _close(name: str, names: Iterable[Any], cutoff: float) -> List[str]:
    names = [other for other in names if isinstance(other, str)]
    return difflib.get_close_matches(name, names, n=1, cutoff=cutoff)


def _arguments(
    node: Any, parents: List[str], scope: Optional[str]
) -> Tuple[List[str], bool]:
    """What a component takes, and whether it takes other names as well."""
    if not isinstance(node, dict):
        return [], False
    cls = node.get('type')
    if cls is None and parents == ['optim_wrapper']:
        cls = 'OptimWrapper'
    if not parents:
        cls = Runner
    elif isinstance(cls, str):
        cls = _class_of(cls, parents[0], parents[-1], scope)
    elif parents[0].endswith('_dataloader') and len(parents) == 1:
        cls = DataLoader
    elif parents == ['env_cfg']:
        return [
            'cudnn_benchmark',
            'mp_cfg',
            'dist_cfg',
            'resource_limit',
        ], False
    if not isinstance(cls, type):
        return [], True
    known = []
    for base in inspect.getmro(cls):
        if '__init__' in vars(base):
            parameters = inspect.signature(base).parameters.values()
            known += [p.name for p in parameters if p.kind != p.VAR_KEYWORD]
            # Other names go on to the next class.
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                return known, False
    return known, True
