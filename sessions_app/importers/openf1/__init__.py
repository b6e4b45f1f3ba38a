"""OpenF1's tables, which other importers make too."""

from ..importer import Importer
from .folder import is_openf1
from .race import import_openf1, session_of

IMPORTER = Importer(
    "openf1",
    "a session of Formula 1 as a folder of OpenF1 tables (Parquet, CSV or JSON)",
    import_openf1,
    is_openf1,
)

__all__ = ["IMPORTER", "import_openf1", "session_of"]
