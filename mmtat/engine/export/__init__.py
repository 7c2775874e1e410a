"""Taking a student out of its training."""

from .exporting import Export, export_student
from .options import ExportOptions

__all__ = ['Export', 'ExportOptions', 'export_student']
