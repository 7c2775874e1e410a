from .exact_train_loops import (
    ExactEpochBasedTrainLoop,
    ExactIterBasedTrainLoop,
)
from .shifts_val_loop import ShiftsValLoop

__all__ = [
    'ExactEpochBasedTrainLoop',
    'ExactIterBasedTrainLoop',
    'ShiftsValLoop',
]
