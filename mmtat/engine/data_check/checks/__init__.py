"""Whether samples are what a training takes them for: files and labels."""

from .expected import Expected, expected_of
from .finding import FaultyDataError, Finding, Kind
from .labels import wrong_label, wrong_labels_of_packed
from .samples import findings_of

__all__ = [
    'Expected',
    'FaultyDataError',
    'Finding',
    'Kind',
    'expected_of',
    'findings_of',
    'wrong_label',
    'wrong_labels_of_packed',
]
