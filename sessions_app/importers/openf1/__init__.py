"""OpenF1's tables, which other importers make too."""

from ..importer import Importer
from ..options import ImportOptions
from ..result import ImportResult, Progress
from .folder import is_openf1
from .race import import_openf1, session_of


def fetch_openf1(options: ImportOptions, progress: Progress) -> ImportResult:
    """See `server.fetch_openf1`, which needs packages that reading a folder does not."""
    from .server import fetch_openf1 as fetch  # noqa: PLC0415

    return fetch(options, progress)


IMPORTER = Importer(
    "openf1",
    "a session of Formula 1 as OpenF1 tables: a folder (Parquet, CSV, JSON), or from a server",
    import_openf1,
    is_openf1,
    fetch_openf1,
)

__all__ = ["IMPORTER", "import_openf1", "session_of"]
