"""Interchangeable ways to attend and take the mean squared error."""

from .backend import Backend
from .choice import (
    BACKENDS,
    MAX_MAP_BYTES,
    MEASUREMENTS,
    Shape,
    check_backend,
    choose_backend,
    serving_backend,
)
from .plain import attend, attention_logits

__all__ = [
    'BACKENDS',
    'MAX_MAP_BYTES',
    'MEASUREMENTS',
    'Backend',
    'Shape',
    'attend',
    'attention_logits',
    'check_backend',
    'choose_backend',
    'serving_backend',
]
