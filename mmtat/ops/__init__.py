"""Pure tensor functions: no modules, no registries, no state."""

from .attention import target_aware_attention, target_aware_loss
from .regions import (
    check_pair,
    check_patches,
    group_patches,
    pool_anchors,
)

__all__ = [
    'check_pair',
    'check_patches',
    'group_patches',
    'pool_anchors',
    'target_aware_attention',
    'target_aware_loss',
]
