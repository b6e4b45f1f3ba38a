"""OpenF1: races as tables of positions, car data, laps, stints, weather and race control."""

from ..importer import Importer
from ..options import ImportOptions
from ..result import ImportResult, Progress
from .folder import is_openf1
from .race import import_openf1


def fetch_openf1(options: ImportOptions, progress: Progress) -> ImportResult:
    """See `server.fetch_openf1`, which needs packages that reading a folder does not."""
    from .server import fetch_openf1 as fetch  # noqa: PLC0415

    return fetch(options, progress)


IMPORTER = Importer(
    "openf1",
    "a race as a folder of OpenF1 tables (Parquet, CSV or JSON), or fetched from a server",
    import_openf1,
    is_openf1,
    fetch_openf1,
)

__all__ = ["IMPORTER", "import_openf1"]
