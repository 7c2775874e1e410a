from .abf_connector import ABFConnector
from .anchor_point_connector import AnchorPointConnector
from .embedding_connector import EmbeddingConnector
from .patch_group_connector import PatchGroupConnector

__all__ = [
    'ABFConnector',
    'AnchorPointConnector',
    'EmbeddingConnector',
    'PatchGroupConnector',
]
