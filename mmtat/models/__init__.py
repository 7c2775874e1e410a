"""Registered components: the public interface of mmtat."""

from .algorithms import FrozenTeacherDistill
from .backbones import CIFARVGG, CIFARResNet, WideResNet
from .connectors import (
    ABFConnector,
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from .distillers import FeatureDistiller, ReviewKDDistiller, TaTDistiller
from .losses import (
    CCLoss,
    CRDLoss,
    HCLLoss,
    ICKDLoss,
    SPLoss,
    TaTLoss,
    VIDLoss,
    WKDLoss,
)

__all__ = [
    'ABFConnector',
    'AnchorPointConnector',
    'CCLoss',
    'CRDLoss',
    'CIFARResNet',
    'CIFARVGG',
    'EmbeddingConnector',
    'FeatureDistiller',
    'FrozenTeacherDistill',
    'HCLLoss',
    'ICKDLoss',
    'PatchGroupConnector',
    'ReviewKDDistiller',
    'SPLoss',
    'TaTDistiller',
    'TaTLoss',
    'VIDLoss',
    'WKDLoss',
    'WideResNet',
]
