"""The state dict of a distilled student is the student's own.

Hooks, not an override: mmengine walks the modules itself and never calls
``state_dict`` or ``load_state_dict`` of the algorithm.
"""

from typing import Any, Dict, List

from torch import nn

_ARCHITECTURE = 'architecture.'
_DISTILLER = 'distiller.'
_TEACHER = 'teacher.'


def rename_for_save(
    module: nn.Module, state_dict: Dict, prefix: str, local_metadata: Any
) -> None:
    """Drop 'architecture.' from the names (a state dict hook).

    Args:
        module (nn.Module): The algorithm.
        state_dict (dict[str, Tensor]): Changed in place.
        prefix (str): In front of the algorithm's own names.
        local_metadata (dict): Unused.
    """
    begin = prefix + _ARCHITECTURE
    for name in [name for name in state_dict if name.startswith(begin)]:
        state_dict[prefix + name[len(begin) :]] = state_dict.pop(name)
    metadata = getattr(state_dict, '_metadata', None)
    if metadata is not None:
        for name in [name for name in metadata if name.startswith(begin)]:
            metadata[prefix + name[len(begin) :]] = metadata.pop(name)
        student = metadata.pop(begin[:-1], None)
        if student is not None:
            metadata[prefix[:-1]] = student


def rename_for_load(
    state_dict: Dict,
    prefix: str,
    local_metadata: Any,
    strict: bool,
    missing_keys: List[str],
    unexpected_keys: List[str],
    error_msgs: List[str],
) -> None:
    """Put 'architecture.' before the student's names (a load pre-hook).

    A file of stock mmrazor has it already, and a teacher that is dropped.

    Args:
        state_dict (dict[str, Tensor]): Changed in place.
        prefix (str): In front of the algorithm's own names.
        local_metadata (dict): Unused.
        strict (bool): Unused.
        missing_keys (list[str]): Unused.
        unexpected_keys (list[str]): Unused.
        error_msgs (list[str]): Unused.
    """
    names = [name for name in state_dict if name.startswith(prefix)]
    if any(name.startswith(prefix + _ARCHITECTURE) for name in names):
        for name in names:
            if name.startswith(prefix + _TEACHER):
                del state_dict[name]
        return
    for name in names:
        own = name[len(prefix) :]
        if not own.startswith(_DISTILLER):
            state_dict[prefix + _ARCHITECTURE + own] = state_dict.pop(name)
    metadata = getattr(state_dict, '_metadata', None)
    if metadata is not None:
        for name in [name for name in metadata if name.startswith(prefix)]:
            own = name[len(prefix) :]
            metadata.setdefault(prefix + _ARCHITECTURE + own, metadata[name])
