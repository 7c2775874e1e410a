"""Names of the losses of a distiller that nobody has built yet."""

from typing import Any, Dict, List, Optional

from mmrazor.models.distillers import ConfigurableDistiller

from mmtat.models.distillers import (
    FeatureDistiller,
    ReviewKDDistiller,
    TaTDistiller,
)
from mmtat.models.distillers.layer_config import BRANCHES
from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller
from mmtat.models.distillers.review_distiller import LOSS_NAME

from .distiller import class_of


def own_loss_names(distiller: Dict[str, Any]) -> Optional[List[str]]:
    """Names of the losses that a distiller computes, without building it.

    Args:
        distiller (dict): Its config.

    Returns:
        list[str] | None: As the log shows them, without 'distill.'; None
        for a distiller that names its losses by itself.
    """
    kind = class_of(distiller)
    if kind is None:
        return None
    layers = distiller.get('layers') or ()
    if issubclass(kind, TaTDistiller):
        branches = distiller.get('branches') or dict(whole={})
        names = [
            f'loss_tat{BRANCHES[name][1]}'
            for name in branches
            if name in BRANCHES
        ]
    elif issubclass(kind, FeatureDistiller):
        names = list(distiller.get('losses') or ())
    elif issubclass(kind, ReviewKDDistiller):
        names, layers = [LOSS_NAME], ()
    elif issubclass(kind, LayerPairDistiller) or not _is_plain(kind):
        return None
    else:
        names = []
    if len(layers) > 1:
        indices = range(len(layers))
        names = [f'{name}_{index}' for name in names for index in indices]
    if distiller.get('logits') is not None:
        loss = str(distiller['logits'].get('type', 'KLDivergence'))
        is_kl = loss.split('.')[-1] == 'KLDivergence'
        names.append('loss_kl' if is_kl else 'loss_logits')
    return [*(distiller.get('loss_forward_mappings') or ()), *names]


def _is_plain(kind: type) -> bool:
    """Whether its losses are those of its mappings alone."""
    compute = getattr(kind, 'compute_distill_losses', None)
    return compute is ConfigurableDistiller.compute_distill_losses
