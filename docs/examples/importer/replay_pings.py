"""An importer of others: text files of positions, one a line: seconds, name, x and y in metres."""

from pathlib import Path

import numpy as np

from sessions_app.importers.bounds import Allowance
from sessions_app.importers.ground import bounds_around
from sessions_app.importers.importer import Importer
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.report import Done, Report
from sessions_app.importers.result import (
    EntityRecord,
    GeometryRecord,
    ImportResult,
    ImportSourceError,
    Progress,
)
from sessions_app.importers.tracks import samples_of, track_of, usual_rate
from sessions_app.recording import Field, FieldKind

FIELDS = [Field(name, "m", 0.01, FieldKind.CUBIC) for name in ("x", "y")]


def import_pings(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read a file of pings. Raises: ImportSourceError if there is no position in it."""
    report = Report(source, strict=options.strict)
    pings: dict[str, list[tuple[float, float, float]]] = {}
    text = Allowance(options.bounds).read(source).decode("utf-8", "replace")
    for row, line in enumerate(text.splitlines(), 1):
        try:
            seconds, name, x, y = line.split()
            ping = (float(seconds), float(x), float(y))
        except ValueError:
            expected = "seconds, a name, x and y"
            report.leave_out(Done.ROW, expected, table="pings", file=source, row=row, found=line)
            continue
        pings.setdefault(name, []).append(ping)
    progress(0.5, "following the entities")
    tracks = []
    for name, rows in pings.items():
        times, x_values, y_values = np.array(rows).T
        tracks.append(track_of(EntityRecord(name), times, {"x": x_values, "y": y_values}))
    bounds = bounds_around((track.values["x"], track.values["y"]) for track in tracks)
    if bounds is None:
        raise ImportSourceError("no position found: expected seconds, a name, x and y", file=source)
    rate = options.frame_rate or usual_rate(tracks)
    samples, _first = samples_of(tracks, FIELDS, rate=rate, report=report, table="pings")
    return ImportResult(
        title=options.title or source.stem,
        kind="other",
        source=f"pings:{source.name}",
        samples=samples,
        entities=[track.entity for track in tracks],
        geometry=GeometryRecord(kind="map", unit="m", bounds=bounds),
        report=report,
    )


def is_pings(source: Path, options: ImportOptions) -> bool:
    """Whether it is a file that says so."""
    return source.suffix == ".pings" and source.is_file()


IMPORTER = Importer("pings", "text files of positions", import_pings, is_pings)
