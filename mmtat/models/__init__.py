"""Registered components: the public interface of mmtat."""

from .algorithms import FrozenTeacherDistill
from .backbones import CIFARVGG, CIFARResNet, MobileNetV1, WideResNet
from .connectors import (
    ABFConnector,
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from .decode_heads import DeepLabV3PlusHead
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
    'DeepLabV3PlusHead',
    'EmbeddingConnector',
    'FeatureDistiller',
    'FrozenTeacherDistill',
    'HCLLoss',
    'ICKDLoss',
    'MobileNetV1',
    'PatchGroupConnector',
    'ReviewKDDistiller',
    'SPLoss',
    'TaTDistiller',
    'TaTLoss',
    'VIDLoss',
    'WKDLoss',
    'WideResNet',
]
