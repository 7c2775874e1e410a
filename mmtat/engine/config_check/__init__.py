"""Whether a config can be trained, and does what it says."""

from .checking import (
    check_config,
    config_problems,
    raise_problems,
    report_of,
)
from .problem import Problem

__all__ = [
    'Problem',
    'check_config',
    'config_problems',
    'raise_problems',
    'report_of',
]
