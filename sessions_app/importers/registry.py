"""Importers by name: what `import_session` and the REST API offer.

Ours stand below; a package of others adds its own by an entry point of the group
`replayproject.importers` (docs/importing.md has an example). None is loaded before it is asked for,
because most need packages that a server without imports does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from .importer import Importer
from .options import ImportOptions
from .result import ImportResult, ImportSourceError, Progress, no_progress
from .text import shown

GROUP = "replayproject.importers"

OURS = (
    EntryPoint("adsb", "sessions_app.importers.adsb:IMPORTER", GROUP),
    EntryPoint("fastf1", "sessions_app.importers.fastf1:IMPORTER", GROUP),
    EntryPoint("gpx", "sessions_app.importers.gpx:IMPORTER", GROUP),
    EntryPoint("livetiming", "sessions_app.importers.livetiming:IMPORTER", GROUP),
    EntryPoint("mcap", "sessions_app.importers.mcap:IMPORTER", GROUP),
    EntryPoint("openf1", "sessions_app.importers.openf1:IMPORTER", GROUP),
    EntryPoint("table", "sessions_app.importers.table:IMPORTER", GROUP),
    EntryPoint("tracking", "sessions_app.importers.tracking:IMPORTER", GROUP),
)


def importers() -> Mapping[str, EntryPoint]:
    """Every importer that is installed, by name; of one name, ours counts."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    return dict(sorted((found | {point.name: point for point in OURS}).items()))


def importer_named(name: str) -> Importer:
    """Load one importer.

    Raises: ImportSourceError if there is none of that name, or it cannot be loaded; the message
        says which there are, or what is missing.
    """
    known = importers()
    if name not in known:
        raise ImportSourceError(
            f"no importer is called {shown(name)}: expected one of {', '.join(known)}"
        )
    try:
        importer = known[name].load()
    except ModuleNotFoundError as error:
        raise ImportSourceError(
            f"importer {name} needs the package {error.name}: pip install {error.name}"
        ) from error
    except Exception as error:  # of others: one package must not cost the rest
        raise ImportSourceError(
            f"importer {name} cannot be loaded from {known[name].value}: {error}: expected a module"
        ) from error
    if not isinstance(importer, Importer):
        raise ImportSourceError(
            f"importer {name}: {known[name].value} is {shown(importer)}: expected an Importer"
        )
    return importer


def guess(source: Path, options: ImportOptions) -> str:
    """The name of the one importer that recognises a file or folder by its content.

    Raises: ImportSourceError if none or several do; the message says which.
    """
    if not source.exists():
        raise ImportSourceError("no such file or folder: expected a source", file=source)
    fits, unknown = [], []
    for name in importers():
        try:
            importer = importer_named(name)
        except ImportSourceError as error:
            unknown.append(str(error))
            continue
        try:
            if importer.recognises(source, options):
                fits.append(name)
        except (ImportSourceError, OSError):
            continue
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ImportSourceError(
            f"this may be {' or '.join(fits)}: expected the format to be named", file=source
        )
    # The first that could not be asked may be the one.
    also = f" ({unknown[0]})" if unknown else ""
    raise ImportSourceError(
        f"no format is recognised: expected one of {', '.join(importers())}{also}", file=source
    )


def run_importer(
    name: str, source: Path | None, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a source with one importer. Writes neither files nor the database.

    Args:
        name: of the importer, "" to recognise it by the content.
        source: a file or a folder; None for the session that the options name, which the importer
            then fetches (year, round, circuit, session).
        options: see `ImportOptions`.
        progress: called with the fraction done, 0…1, and what is being done.

    Returns:
        The whole session, for `store_result`.

    Raises:
        ImportSourceError: no such importer, or the source cannot be used; the message names file,
            row and column where they are known.
    """
    if source is not None:
        return importer_named(name or guess(source, options)).run(source, options, progress)
    importer = importer_named(name)
    if importer.fetch is None:
        raise ImportSourceError(f"importer {name} reads files: expected a file or folder")
    return importer.fetch(options, progress)
