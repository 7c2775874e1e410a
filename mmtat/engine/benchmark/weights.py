"""What weights and an optimizer's state take."""

import torch
from mmengine.optim import OptimWrapper
from torch import nn


def weight_bytes(model: nn.Module) -> int:
    """Bytes of parameters and buffers.

    Args:
        model (nn.Module): The model.

    Returns:
        int: Their sum.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors)


def trained_bytes(module: nn.Module, optimizer: OptimWrapper) -> int:
    """Bytes of weights and buffers, and of what an optimizer keeps of them.

    Args:
        module (nn.Module): A part of what is trained.
        optimizer (OptimWrapper): After its first step.

    Returns:
        int: Their sum.
    """
    state = optimizer.optimizer.state
    kept = (
        value
        for parameter in module.parameters()
        for value in state.get(parameter, {}).values()
        if torch.is_tensor(value)
    )
    own = weight_bytes(module)
    return own + sum(t.numel() * t.element_size() for t in kept)
