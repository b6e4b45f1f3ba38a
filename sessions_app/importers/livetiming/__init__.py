"""Recorded streams of Formula 1's live timing."""

from ..importer import Importer
from .reading import is_livetiming
from .session import import_livetiming

IMPORTER = Importer(
    "livetiming",
    "recorded streams of Formula 1's live timing, a file or a folder of them",
    import_livetiming,
    is_livetiming,
)

__all__ = ["IMPORTER", "import_livetiming"]
