"""Comparing distillation methods under the same rules."""

from .methods import METHODS, Method, distiller_of
from .publish import publish, refresh
from .scenario import Regime, Scenario
from .stages import Comparison

__all__ = [
    'METHODS',
    'Comparison',
    'Method',
    'Regime',
    'Scenario',
    'distiller_of',
    'publish',
    'refresh',
]
