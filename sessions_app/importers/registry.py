"""Importers by name: what `import_session` and the REST API offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .openf1 import import_openf1
from .options import ImportOptions
from .result import ImportResult, ImportSourceError, Progress, no_progress
from .table import import_table

Run = Callable[[Path, ImportOptions, Progress], ImportResult]


@dataclass(frozen=True, slots=True)
class Importer:
    """A source format. run: pure, raises ImportSourceError; description: one line for people."""

    name: str
    description: str
    run: Run


IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer
    for importer in (
        Importer(
            "openf1",
            "a race as a folder of OpenF1 tables (Parquet, CSV or JSON)",
            import_openf1,
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
    """Import a source. Raises: ImportSourceError, also for an unknown name."""
    importer = IMPORTERS.get(name)
    if importer is None:
        known = ", ".join(sorted(IMPORTERS))
        raise ImportSourceError(f"no importer is called {name!r}: expected one of {known}")
    return importer.run(source, options, progress)
