"""Whether a step's numbers are finite, decided by all processes together."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping

import torch
from mmengine.utils import is_list_of
from torch import Tensor

from .finiteness import agreed, broken, suspicion

#: What the names of a distillation's losses begin with.
DISTILLATION = 'distill.'


@dataclass(frozen=True)
class Verdict:
    """What of a step is not finite, in any process.

    Attributes:
        task (bool): A loss of the task.
        distillation (bool): A loss of the distillation.
        gradient (bool): A gradient.
        weights (bool): A weight, or a statistic, after the step.
    """

    task: bool = False
    distillation: bool = False
    gradient: bool = False
    weights: bool = False

    def __bool__(self) -> bool:
        return any(vars(self).values())


def judge(
    terms: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> Verdict:
    """Judge a step; all processes must call it.

    A GPU is waited for once, where the losses are read anyway.

    Args:
        terms (Mapping[str, Tensor]): Losses, each ().
        gradients (Mapping[str, Tensor]): By the parameters' names.
        weights (Mapping[str, Tensor]): By their names.

    Returns:
        Verdict: The same in each process.
    """
    found = agreed(
        [
            *loss_flags(terms),
            suspicion(gradients.values()),
            suspicion(weights.values()),
        ]
    )
    if found[2] or found[3]:
        exact = [bool(broken(named)) for named in (gradients, weights)]
        found[2:] = agreed([torch.tensor(flag) for flag in exact])
    return Verdict(*found)


def loss_flags(terms: Mapping[str, Tensor]) -> List[Tensor]:
    """Whether losses of the task, and of the distillation, are not finite.

    Args:
        terms (Mapping[str, Tensor]): Losses, each ().

    Returns:
        list[Tensor]: Two of (), bool.
    """
    flags = []
    for is_distilled in (False, True):
        own = [
            value.detach().float()
            for name, value in terms.items()
            if name.startswith(DISTILLATION) is is_distilled
        ]
        flags.append(
            ~torch.stack(own).isfinite().all()
            if own
            else torch.zeros((), dtype=torch.bool)
        )
    return flags


def terms_of(losses: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The terms that a step's losses are the sum of.

    Args:
        losses (Mapping[str, Tensor | list[Tensor]]): Of a model's forward,
            or what its ``train_step`` logs, with their sum 'loss'.

    Returns:
        dict[str, Tensor]: Each (), detached. Numbers that are not learnt
        from, such as accuracies, are left out.
    """
    terms = {}
    for name, value in losses.items():
        if 'loss' not in name:
            continue
        if isinstance(value, Tensor):
            terms[name] = value.detach().mean()
        elif is_list_of(value, Tensor):
            terms[name] = sum(part.detach().mean() for part in value)
    if len(terms) > 1:
        terms.pop('loss', None)
    return terms
