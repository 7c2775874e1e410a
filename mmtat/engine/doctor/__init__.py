"""Whether a run can work here. Imports nothing but the standard library.

``tools/doctor.py`` loads this package without mmtat around it, as
``import mmtat`` itself may be what fails; what needs mmtat imports it where
it is looked at.
"""

from .findings import NOTE, OK, PROBLEM, Finding, guarded
from .sections import Section, look_at_config, look_at_installation

__all__ = [
    'NOTE',
    'OK',
    'PROBLEM',
    'Finding',
    'Section',
    'guarded',
    'look_at_config',
    'look_at_installation',
]
