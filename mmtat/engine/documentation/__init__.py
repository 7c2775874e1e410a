"""The config reference, written from the docstrings of the components."""

from .components import Component, Group, component_groups
from .docstring import Docstring, Entry, parse_docstring
from .reference import reference_page

__all__ = [
    'Component',
    'Docstring',
    'Entry',
    'Group',
    'component_groups',
    'parse_docstring',
    'reference_page',
]
