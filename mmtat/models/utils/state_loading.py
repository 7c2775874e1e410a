"""Loading a state dict into a model, and knowing what fitted."""

import re
from dataclasses import dataclass
from typing import Dict, List

from torch import Tensor, nn


@dataclass
class StateLoad:
    """What a state dict did not fill, or could not.

    Attributes:
        missing (list[str]): Names of the model that the file lacks.
        unexpected (list[str]): Names of the file that the model lacks.
        mismatched (list[str]): Names in both, of different shapes.
    """

    missing: List[str]
    unexpected: List[str]
    mismatched: List[str]


def load_state(model: nn.Module, state_dict: Dict[str, Tensor]) -> StateLoad:
    """Load what fits, with each module's own conversion of old files.

    ``nn.Module.load_state_dict`` raises for a shape, and mmengine's only
    logs: this tells. Counters of batches do not count: older files lack
    them, and a model in eval mode never reads them.

    Args:
        model (nn.Module): The model.
        state_dict (dict[str, Tensor]): Of a file; not changed.

    Returns:
        StateLoad: What did not fit.
    """
    missing, unexpected, errors = [], [], []
    metadata = getattr(state_dict, '_metadata', None) or {}

    def load(module: nn.Module, local: Dict[str, Tensor], prefix: str) -> None:
        module._load_from_state_dict(
            local,
            prefix,
            metadata.get(prefix[:-1], {}),
            True,
            missing,
            unexpected,
            errors,
        )
        for name, child in module.named_children():
            begin = f'{prefix}{name}.'
            part = {k: v for k, v in local.items() if k.startswith(begin)}
            load(child, part, begin)

    load(model, dict(state_dict), '')
    mismatched = re.findall(r'size mismatch for (\S+):', '\n'.join(errors))
    missing = [n for n in missing if not n.endswith('num_batches_tracked')]
    return StateLoad(missing, unexpected, mismatched)
