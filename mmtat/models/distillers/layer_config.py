"""The settings of the distilled layers, checked before they are built."""

import difflib
import inspect
from typing import Any, Dict

from torch import nn

from mmtat.ops.backends import check_backend

from ..connectors import (
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)

FORMULATIONS = ('released', 'paper')

#: Branches, their connectors, and the log keys that they end in.
BRANCHES = {
    'whole': (nn.Identity, ''),
    'patch_group': (PatchGroupConnector, '_patch_group'),
    'anchor_point': (AnchorPointConnector, '_anchor_point'),
}


def layer_config(**config: Any) -> Dict[str, Any]:
    """Check the settings of a :class:`TaTLayer`.

    Args:
        **config: Its arguments but the channels.

    Returns:
        dict: The same.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An unknown name or a missing one.
    """
    if config['formulation'] not in FORMULATIONS:
        raise ValueError(
            f'formulation must be one of {FORMULATIONS}, got '
            f'{config["formulation"]!r}'
        )
    if not isinstance(config['resize'], bool):
        raise TypeError(f'resize must be a bool, got {config["resize"]!r}')
    if config['stream'] not in (None, True, False):
        raise TypeError(
            f'stream must be a bool or None, got {config["stream"]!r}'
        )
    check_backend(config['backend'])
    allowed = _names(EmbeddingConnector) - {'in_channels', 'out_channels'}
    for name in ('query', 'key', 'value'):
        if config[name] is not None:
            _check_arguments(name, config[name], allowed)
    branches = config['branches']
    if not isinstance(branches, dict):
        raise TypeError(f'branches must be a dict of dicts, got {branches!r}')
    if not branches:
        raise ValueError(
            f'branches must name at least one of {", ".join(BRANCHES)}'
        )
    for name, arguments in branches.items():
        if name not in BRANCHES:
            raise ValueError(
                f'branches: unknown {name!r}; there are {", ".join(BRANCHES)}'
            )
        connector = BRANCHES[name][0]
        allowed = {'loss_weight'}
        if connector is not nn.Identity:
            allowed |= _names(connector)
        _check_arguments(f'branches.{name}', arguments, allowed)
    return config


def _names(connector: type) -> set:
    return set(inspect.signature(connector).parameters)


def _check_arguments(name: str, arguments: Any, allowed: set) -> None:
    if not isinstance(arguments, dict):
        raise TypeError(
            f'{name} must be a dict of arguments, got {arguments!r}'
        )
    for argument in arguments:
        if argument not in allowed:
            close = difflib.get_close_matches(argument, allowed, n=1)
            hint = f'did you mean {close[0]!r}? ' if close else ''
            raise ValueError(
                f'{name} has no argument {argument!r}; {hint}There are '
                f'{", ".join(sorted(allowed))}'
            )
