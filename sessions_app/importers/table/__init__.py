"""Any table of moving things, with a mapping file that says what its columns mean."""

from ..importer import Importer
from .reader import import_table, is_table

IMPORTER = Importer(
    "table",
    "any table of moving things (CSV, TSV, Parquet, JSON) with a mapping of its columns",
    import_table,
    is_table,
)

__all__ = ["IMPORTER", "import_table"]
