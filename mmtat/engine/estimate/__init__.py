"""What a training step costs, without running it."""

from .capacity import gpu_budget, largest_batch
from .case import Case
from .estimating import KINDS, Estimate, estimate
from .measured import measured_peak
from .tables import print_check, print_estimate

__all__ = [
    'Case',
    'Estimate',
    'KINDS',
    'estimate',
    'gpu_budget',
    'largest_batch',
    'measured_peak',
    'print_check',
    'print_estimate',
]
