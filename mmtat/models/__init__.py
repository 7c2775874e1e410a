"""Registered components: the public interface of mmtat."""

from .algorithms import FrozenTeacherDistill
from .connectors import (
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from .distillers import TaTDistiller
from .losses import TaTLoss

__all__ = [
    'AnchorPointConnector',
    'EmbeddingConnector',
    'FrozenTeacherDistill',
    'PatchGroupConnector',
    'TaTDistiller',
    'TaTLoss',
]
