"""OpenF1: races as tables of positions, car data, laps, stints, weather and race control."""

from ..importer import Importer
from .folder import is_openf1
from .race import import_openf1

IMPORTER = Importer(
    "openf1",
    "a race as a folder of OpenF1 tables (Parquet, CSV or JSON)",
    import_openf1,
    is_openf1,
)

__all__ = ["IMPORTER", "import_openf1"]
