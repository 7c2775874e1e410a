from .review_distiller import ReviewKDDistiller
from .tat_distiller import TaTDistiller

__all__ = ['ReviewKDDistiller', 'TaTDistiller']
