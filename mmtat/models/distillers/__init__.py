from .feature_distiller import FeatureDistiller
from .review_distiller import ReviewKDDistiller
from .tat_distiller import TaTDistiller

__all__ = ['FeatureDistiller', 'ReviewKDDistiller', 'TaTDistiller']
