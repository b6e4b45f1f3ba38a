"""Importers by name: what `import_session` and the REST API offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .livetiming import import_livetiming
from .openf1 import import_openf1
from .options import ImportOptions
from .result import ImportResult, ImportSourceError, Progress, no_progress
from .table import import_table

Run = Callable[[Path, ImportOptions, Progress], ImportResult]


@dataclass(frozen=True, slots=True)
class Importer:
    """A source format.

    Attributes:
        name: as in `import_session NAME`.
        description: one line for the operator.
        run: reads a source; no database, no files written. Raises: ImportSourceError.
    """

    name: str
    description: str
    run: Run


IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer
    for importer in (
        Importer(
            "openf1",
            "a session as a folder of OpenF1 tables (Parquet, CSV or JSON)",
            import_openf1,
        ),
        Importer(
            "livetiming",
            "recorded Formula 1 live timing: the archive's folder, or a file of SignalR lines",
            import_livetiming,
        ),
        Importer(
            "table",
            "any table of moving things (CSV, TSV or Parquet) with a mapping of its columns",
            import_table,
        ),
    )
}


def run_importer(
    name: str, source: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a source with one of `IMPORTERS`. Writes neither files nor the database.

    Args:
        name: of the importer, one of `IMPORTERS`.
        source: a file or a folder.
        options: see `ImportOptions`.
        progress: called with the fraction done, 0…1, and what is being done.

    Returns:
        The whole session, for `store_result`.

    Raises:
        ImportSourceError: no such importer, or the source cannot be used; the message names file,
            row and column where they are known.
    """
    importer = IMPORTERS.get(name)
    if importer is None:
        known = ", ".join(sorted(IMPORTERS))
        raise ImportSourceError(f"no importer is called {name!r}: expected one of {known}")
    return importer.run(source, options, progress)
