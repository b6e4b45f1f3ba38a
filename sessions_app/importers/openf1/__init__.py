"""OpenF1's tables, which other importers make too."""

from .race import import_openf1, session_of

__all__ = ["import_openf1", "session_of"]
