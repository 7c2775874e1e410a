"""Registered components: the public interface of mmtat."""

from .algorithms import FrozenTeacherDistill
from .backbones import CIFARVGG, CIFARResNet, WideResNet
from .connectors import (
    ABFConnector,
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from .distillers import ReviewKDDistiller, TaTDistiller
from .losses import CCLoss, HCLLoss, ICKDLoss, SPLoss, TaTLoss, VIDLoss

__all__ = [
    'ABFConnector',
    'AnchorPointConnector',
    'CCLoss',
    'CIFARResNet',
    'CIFARVGG',
    'EmbeddingConnector',
    'FrozenTeacherDistill',
    'HCLLoss',
    'ICKDLoss',
    'PatchGroupConnector',
    'ReviewKDDistiller',
    'SPLoss',
    'TaTDistiller',
    'TaTLoss',
    'VIDLoss',
    'WideResNet',
]
