"""Pure tensor functions: no modules, no registries, no state."""

from .attention import (
    attention_entropy,
    target_aware_attention,
    target_aware_loss,
)
from .features import check_feature, check_positive, match_features
from .margins import negative_margin
from .regions import (
    check_pair,
    check_patches,
    group_patches,
    pool_anchors,
)
from .relations import (
    correlation_congruence_loss,
    inter_channel_correlation_loss,
    similarity_preserving_loss,
)
from .review import (
    check_levels,
    fuse_by_attention,
    hierarchical_context_loss,
)
from .variational import variational_information_loss
from .wasserstein import gaussian_wasserstein_loss

__all__ = [
    'attention_entropy',
    'check_feature',
    'check_levels',
    'check_pair',
    'check_patches',
    'check_positive',
    'correlation_congruence_loss',
    'fuse_by_attention',
    'gaussian_wasserstein_loss',
    'group_patches',
    'hierarchical_context_loss',
    'inter_channel_correlation_loss',
    'match_features',
    'negative_margin',
    'pool_anchors',
    'similarity_preserving_loss',
    'target_aware_attention',
    'target_aware_loss',
    'variational_information_loss',
]
