"""Norms that the convolution before them does."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmtat.models.utils import NormWatch
from mmtat.models.utils.norm_watch import can_fold


@torch.no_grad()
def fold_norms(network: nn.Module, inputs: Tensor) -> int:
    """Fold batch norms into the convolutions whose output they take.

    Which belong together is seen in a run, not guessed from the order of
    the modules.

    Args:
        network (nn.Module): In eval mode; changed in place.
        inputs (Tensor): (N, C, H, W), to run it with.

    Returns:
        int: How many were folded.
    """
    with NormWatch(network) as watch:
        network(inputs)
    modules = dict(network.named_modules())
    folded = 0
    for convolution, norm in watch.pairs().items():
        if can_fold(modules[convolution], modules[norm]):
            fused = fuse_conv_bn_eval(modules[convolution], modules[norm])
            _replace(network, convolution, fused)
            _replace(network, norm, nn.Identity())
            folded += 1
    return folded


def drop_auxiliary_heads(network: nn.Module) -> None:
    """Take out what only trains, so that a graph does not carry it.

    Args:
        network (nn.Module): Of a student; changed in place.
    """
    if getattr(network.model, 'auxiliary_head', None) is not None:
        del network.model.auxiliary_head


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, attribute = name.rpartition('.')
    setattr(network.get_submodule(owner), attribute, module)
