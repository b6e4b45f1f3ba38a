"""Any table of moving things, with a mapping file that says what its columns mean."""

from .reader import import_table

__all__ = ["import_table"]
