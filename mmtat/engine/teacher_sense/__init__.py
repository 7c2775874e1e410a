"""Whether a teacher can teach: what is warned of when a training starts."""

from .chance import ChanceLevel
from .classes import class_warnings
from .features import RecordLook, channel_ranges
from .normalisation import normalisation_warning

__all__ = [
    'ChanceLevel',
    'RecordLook',
    'channel_ranges',
    'class_warnings',
    'normalisation_warning',
]
