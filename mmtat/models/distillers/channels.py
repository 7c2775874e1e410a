"""Checking losses, and filling in channels of connectors and losses."""

from inspect import signature
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional

from mmengine.registry import DefaultScope
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import nn

from ..utils import check_type

#: Arguments for the channels of what a connector takes, and of the target.
_OWN = ('in_channel', 'in_channels', 'dim_in')
_TARGET = ('out_channel', 'out_channels')


def build_with_channels(
    config: Dict[str, Any], name: str, own: int, student: int, teacher: int
) -> nn.Module:
    """Build a connector or a loss; the channels that it asks for are given.

    Arguments ``in_channel``, ``in_channels`` and ``dim_in`` are the feature's
    own, ``out_channel`` and ``out_channels`` the teacher's, and
    ``student_channels`` and ``teacher_channels`` what they say, unless the
    config has them.

    Args:
        config (dict): Types without a scope are mmrazor's.
        name (str): What is built, for the message.
        own (int): Channels of the feature that it takes.
        student (int): Channels of the student's feature.
        teacher (int): Channels of the teacher's.

    Returns:
        nn.Module: The connector or loss.

    Raises:
        ValueError: An unknown type, or arguments that it does not take.
    """
    taken = signature(check_type(config, name, 'mmrazor')).parameters
    known = dict.fromkeys(_OWN, own)
    known.update(dict.fromkeys(_TARGET, teacher))
    known.update(student_channels=student, teacher_channels=teacher)
    given = {key: known[key] for key in known if key in taken}
    with DefaultScope.overwrite_default_scope('mmrazor'):
        try:
            return MMRAZOR_MODELS.build({**given, **config})
        except TypeError as error:
            raise ValueError(f'{name}: {error}') from error


def required_arguments(function: Callable) -> List[str]:
    """Names of the arguments that have no default, but ``self``.

    Args:
        function (Callable): A function or a method.

    Returns:
        list[str]: In their order.
    """
    return [
        parameter.name
        for parameter in signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.name != 'self'
    ]


def check_losses(losses: Optional[Dict[str, Dict]]) -> FrozenSet[str]:
    """Raise for losses of features that cannot be.

    Args:
        losses (dict[str, dict], optional): Configs by their log keys.

    Returns:
        frozenset[str]: Names of those that take ``data_samples``.

    Raises:
        TypeError: Not a dict.
        ValueError: A name that does not begin with 'loss' or has a dot, an
            unknown type, or one that needs other arguments.
    """
    if not isinstance(losses, (dict, type(None))):
        raise TypeError(f'losses must be a dict of dicts, got {losses!r}')
    takes_samples = set()
    for name, config in (losses or {}).items():
        is_name = str(name).startswith('loss') and '.' not in name
        if not is_name or not isinstance(config, dict):
            raise ValueError(
                "losses must name each loss as 'loss_...', and give its "
                f'config, got {name!r}: {config!r}'
            )
        kind = check_type(config, f'losses.{name}', 'mmrazor')
        needed = required_arguments(kind.forward)
        if len(needed) < 2 or needed[2:] not in ([], ['data_samples']):
            raise ValueError(
                f'losses.{name}: {config["type"]} needs {needed}, not just '
                'the features of student and teacher (and data_samples); '
                'wire it by distill_losses and loss_forward_mappings'
            )
        if needed[2:]:
            takes_samples.add(name)
    return frozenset(takes_samples)


def check_loss_names(
    own: Iterable[str], logits: Optional[str], configured: Iterable[str]
) -> None:
    """Raise where two losses have one name.

    Args:
        own (Iterable[str]): Of the losses of layers.
        logits (str, optional): Of the loss of the logits, if there is one.
        configured (Iterable[str]): Of ``distill_losses``.

    Raises:
        ValueError: Names them.
    """
    own = set(own)
    if logits in own:
        raise ValueError(
            f'losses: {logits!r} is the name of the loss of the logits; '
            'choose another'
        )
    taken = (own | {logits}) & set(configured)
    if taken:
        raise ValueError(
            f'distill_losses: {sorted(taken)} are names of losses that the '
            'distiller adds by itself; choose others'
        )
