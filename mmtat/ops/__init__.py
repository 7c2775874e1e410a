"""Pure tensor functions: no modules, no registries, no state."""

from .attention import (
    attention_entropy,
    target_aware_attention,
    target_aware_loss,
)
from .attention_maps import (
    attention_column,
    attention_row,
    cell_numbers,
    pooled_attention,
    rebuilt_map,
)
from .backends import BACKENDS, Backend, check_backend, choose_backend
from .embedded_pass import EmbeddedPass, PointEmbedding
from .embedding import (
    Statistics,
    mean_and_var,
    mix_channels,
    normalise_by,
    normalise_images,
    with_gradient_laid_out,
)
from .features import check_feature, check_positive, match_features
from .image_pass import ImagePass
from .margins import negative_margin
from .region_blocks import AnchorPoints, PatchGroups, WholeMap
from .region_grid import RegionGrid, ungroup_patches
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
from .streaming import (
    HalfScale,
    images_at_a_time,
    is_large,
    streamed_losses,
)
from .tiles import scaled_channels, tiled
from .tokens import (
    token_grid,
    token_map_shape,
    tokens_and_grid,
    tokens_to_map,
)
from .variational import variational_information_loss
from .wasserstein import gaussian_wasserstein_loss

__all__ = [
    'BACKENDS',
    'Backend',
    'AnchorPoints',
    'EmbeddedPass',
    'HalfScale',
    'ImagePass',
    'PatchGroups',
    'PointEmbedding',
    'RegionGrid',
    'Statistics',
    'WholeMap',
    'attention_column',
    'attention_entropy',
    'attention_row',
    'cell_numbers',
    'check_backend',
    'check_feature',
    'check_levels',
    'check_pair',
    'check_patches',
    'check_positive',
    'choose_backend',
    'correlation_congruence_loss',
    'fuse_by_attention',
    'gaussian_wasserstein_loss',
    'group_patches',
    'hierarchical_context_loss',
    'images_at_a_time',
    'inter_channel_correlation_loss',
    'is_large',
    'match_features',
    'mean_and_var',
    'mix_channels',
    'negative_margin',
    'normalise_by',
    'normalise_images',
    'pool_anchors',
    'pooled_attention',
    'rebuilt_map',
    'scaled_channels',
    'similarity_preserving_loss',
    'streamed_losses',
    'target_aware_attention',
    'target_aware_loss',
    'tiled',
    'ungroup_patches',
    'token_grid',
    'token_map_shape',
    'tokens_and_grid',
    'tokens_to_map',
    'variational_information_loss',
    'with_gradient_laid_out',
]
