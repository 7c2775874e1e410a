from .corruptions import GaussianNoise
from .evaluate_resized import EvaluateResized

__all__ = ['EvaluateResized', 'GaussianNoise']
