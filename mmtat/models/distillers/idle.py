"""A distiller whose weights are all 0: nothing to run the teacher for."""

from typing import Dict

from mmrazor.models.distillers import BaseDistiller
from torch import Tensor, nn

from .loss_modules import configured_modules, has_weight, own_modules


def is_idle(distiller: BaseDistiller) -> bool:
    """Whether every loss of a distiller has the weight 0 now.

    The weights are read anew at each call, so that a schedule may set them
    in any step. Only numbers count: reading a tensor would make a GPU wait.

    Args:
        distiller (ConfigurableDistiller): Its losses have ``loss_weight``;
            one that has none always counts.

    Returns:
        bool: False where any loss counts, or there is no loss at all.
    """
    configured = list(configured_modules(distiller).values())
    own = [] if _is_zero(distiller) else [*own_modules(distiller).values()]
    is_distilled = bool(configured or own) or _is_zero(distiller)
    return is_distilled and all(map(_is_zero, [*configured, *own]))


def no_losses(distiller: BaseDistiller, like: Tensor) -> Dict[str, Tensor]:
    """The losses of a distiller that does nothing in this step.

    Args:
        distiller (ConfigurableDistiller): Its parameters get gradients of
            0, for which DDP waits.
        like (Tensor): Any shape, of the losses' dtype and device.

    Returns:
        dict[str, Tensor]: Scalars 0 by the names that its losses have.
    """
    parameters = [p for p in distiller.parameters() if p.requires_grad]
    zero = sum((p.sum() for p in parameters), like.new_zeros(())) * 0
    names = [
        *distiller.loss_forward_mappings,
        *getattr(distiller, 'own_loss_names', ()),
    ]
    if parameters and not names:
        names = ['loss_stopped']
    return dict.fromkeys(names, zero)


def _is_zero(loss: nn.Module) -> bool:
    return has_weight(loss) and loss.loss_weight == 0
