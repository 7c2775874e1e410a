"""Registered components: the public interface of mmtat."""

from .algorithms import FrozenTeacherDistill
from .backbones import CIFARVGG, CIFARResNet, WideResNet
from .connectors import (
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from .distillers import TaTDistiller
from .losses import TaTLoss

__all__ = [
    'AnchorPointConnector',
    'CIFARResNet',
    'CIFARVGG',
    'EmbeddingConnector',
    'FrozenTeacherDistill',
    'PatchGroupConnector',
    'TaTDistiller',
    'TaTLoss',
    'WideResNet',
]
