"""What a run is beside its weights: random numbers, waiting gradients.

All of it is tensors and plain values, so that a checkpoint which carries it
is loaded by ``weights_only=True``.
"""

from typing import Any, Dict, List

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import nn

from mmtat.models.utils import random_state, set_random_state

#: Parts of a random state that are tensors.
_TORCH = ('torch', 'cuda')


def random_as_plain(state: Dict[str, Any]) -> Dict[str, Any]:
    """A random state in tensors and plain values.

    Args:
        state (dict): Of ``mmtat.models.utils.random_state``.

    Returns:
        dict: The same, which ``weights_only=True`` loads.
    """
    version, numbers, gauss = state['python']
    name, keys, position, has_gauss, cached = state['numpy']
    return dict(
        state,
        python=dict(
            version=version, numbers=torch.tensor(numbers), gauss=gauss
        ),
        numpy=dict(
            name=name,
            keys=torch.from_numpy(keys.astype(np.int64)),
            position=int(position),
            has_gauss=int(has_gauss),
            cached=float(cached),
        ),
    )


def random_from_plain(state: Dict[str, Any]) -> Dict[str, Any]:
    """A random state as it was.

    Args:
        state (dict): Of :func:`random_as_plain`.

    Returns:
        dict: For ``mmtat.models.utils.set_random_state``.
    """
    own, numbers = state['python'], state['numpy']
    return dict(
        {name: value.cpu() for name, value in state.items() if name in _TORCH},
        python=(
            own['version'],
            tuple(own['numbers'].tolist()),
            own['gauss'],
        ),
        numpy=(
            numbers['name'],
            numbers['keys'].numpy().astype(np.uint32),
            numbers['position'],
            numbers['has_gauss'],
            numbers['cached'],
        ),
    )


def gather_ranks(model: nn.Module) -> List[Dict[str, Any]]:
    """What differs between the processes of a run.

    All of them must call it. Norms that do not talk to each other have
    statistics of their own in each process, and a checkpoint's weights are
    those of the first.

    Args:
        model (nn.Module): The Runner's, without a wrapper.

    Returns:
        list[dict]: For each rank its ``random`` state and those of its
        ``buffers`` that are not as the first's.
    """
    own = dict(random=random_as_plain(random_state()), buffers={})
    if get_world_size() == 1:
        return [own]
    for name, buffer in model.named_buffers():
        own['buffers'][name] = buffer.detach().cpu().clone()
    ranks = all_gather_object(own)
    first = ranks[0]['buffers']
    for rank in ranks:
        rank['buffers'] = {
            name: buffer
            for name, buffer in rank['buffers'].items()
            if not torch.equal(buffer, first[name])
        }
    return ranks


def restore_rank(model: nn.Module, ranks: List[Dict[str, Any]]) -> None:
    """Put back what :func:`gather_ranks` found for this process.

    Args:
        model (nn.Module): The Runner's, without a wrapper.
        ranks (list[dict]): One for each process of this run.
    """
    own = ranks[get_rank()]
    buffers = dict(model.named_buffers())
    with torch.no_grad():
        for name, value in own['buffers'].items():
            buffers[name].copy_(value)
    set_random_state(random_from_plain(own['random']))


def pending_gradients(model: nn.Module) -> Dict[str, torch.Tensor]:
    """Gradients that wait for the optimizer's next step.

    Args:
        model (nn.Module): The Runner's, without a wrapper.

    Returns:
        dict[str, Tensor]: By the names of the parameters, on the CPU.
    """
    return {
        name: parameter.grad.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def set_gradients(
    model: nn.Module, gradients: Dict[str, torch.Tensor]
) -> None:
    """Put gradients back that were saved amid an accumulation.

    Args:
        model (nn.Module): The Runner's, without a wrapper.
        gradients (dict[str, Tensor]): Of :func:`pending_gradients`.
    """
    for name, parameter in model.named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(
                parameter.device, parameter.dtype, copy=True
            )
