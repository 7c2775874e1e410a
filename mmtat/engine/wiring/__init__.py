"""Wiring any teacher to any student, as a config."""

from .methods import method_names
from .plan import Plan, make_plan
from .wire import (
    check_free,
    checked_text,
    launch_command,
    quiet_output,
    write,
)

__all__ = [
    'Plan',
    'check_free',
    'checked_text',
    'launch_command',
    'make_plan',
    'method_names',
    'quiet_output',
    'write',
]
