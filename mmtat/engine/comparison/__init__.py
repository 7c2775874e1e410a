"""Comparing distillation methods under the same rules."""

from .methods import METHODS, Method, distiller_of
from .publish import publish, refresh
from .scenario import Regime, Scenario
from .stages import Comparison
from .statistics import Interval, mean_and_deviation, paired_interval

__all__ = [
    'METHODS',
    'Comparison',
    'Interval',
    'Method',
    'Regime',
    'Scenario',
    'distiller_of',
    'mean_and_deviation',
    'paired_interval',
    'publish',
    'refresh',
]
