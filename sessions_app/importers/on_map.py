"""Tracks in degrees → a session on a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..recording import Field, FieldKind
from .ground import bounds_around, middle_of, projected
from .options import ImportOptions
from .report import Done, Report
from .result import GeometryRecord, ImportResult, ImportSourceError
from .tracks import Track, samples_of, without_strays

LATITUDE, LONGITUDE = "latitude", "longitude"
"""Values of a track that become x and y."""


def session_on_map(
    tracks: Sequence[Track],
    fields: Sequence[Field],
    *,
    kind: str,
    title: str,
    source: str,
    rate: float,
    max_gap: float,
    options: ImportOptions,
    report: Report,
    step: float = 0.1,
    metadata: Mapping[str, Any] | None = None,
) -> ImportResult:
    """A session from tracks whose values hold `LATITUDE` and `LONGITUDE`, degrees; times are
    seconds since 1970.

    Args:
        tracks: of the entities, in the order that they are to have.
        fields: recorded beside x and y.
        kind, title, source, metadata: of the session.
        rate: frames a second.
        max_gap: seconds without a sample beyond which an entity was not seen.
        options: title, year and round.
        report: where what is left out is listed.
        step: metres, of x and y.

    Returns:
        The session; x and y are metres east and north of the middle of all positions.

    Raises:
        ImportSourceError: there is no position, or too many frames.
    """
    report.read(kind, None, sum(len(track.times) for track in tracks), range(len(tracks)))
    placed = _placed(without_strays(tracks, report, kind), report, kind)
    latitude = np.concatenate([track.values[LATITUDE] for track in placed])
    longitude = np.concatenate([track.values[LONGITUDE] for track in placed])
    origin = middle_of(latitude, longitude)
    if np.isnan(origin).any():
        raise ImportSourceError("no position found: expected latitude and longitude")
    plane = []
    for track in placed:
        x, y = projected(track.values[LATITUDE], track.values[LONGITUDE], origin)
        plane.append(Track(track.entity, track.times, {**track.values, "x": x, "y": y}))
    samples, first = samples_of(
        plane,
        [Field("x", "m", step, FieldKind.CUBIC), Field("y", "m", step, FieldKind.CUBIC), *fields],
        rate=rate,
        max_gap=max_gap,
        report=report,
        table=kind,
    )
    bounds = bounds_around((track.values["x"], track.values["y"]) for track in plane)
    assert bounds is not None  # the origin is the middle of positions
    start = datetime.fromtimestamp(first, UTC)
    return ImportResult(
        title=options.title or title,
        kind=kind,
        source=source,
        samples=samples,
        entities=[track.entity for track in plane],
        geometry=GeometryRecord(kind="map", unit="m", bounds=bounds, origin=origin),
        start_time=start,
        year=options.year or start.year,
        round=options.round,
        metadata={"unseen_share": report.unseen_share, **(metadata or {})},
        report=report,
    )


def _placed(tracks: Sequence[Track], report: Report, table: str) -> list[Track]:
    """Without positions that are none on earth, and without entities that have no position."""
    kept = []
    for track in tracks:
        values = {name: np.array(own) for name, own in track.values.items()}
        for name, limit in ((LATITUDE, 90.0), (LONGITUDE, 180.0)):
            with np.errstate(invalid="ignore"):
                wrong = np.abs(values[name]) > limit
            if wrong.any():
                report.leave_out(
                    Done.VALUE,
                    f"degrees from -{limit:g} to {limit:g}",
                    table=table,
                    column=name,
                    found=f"{values[name][wrong][0]:g} of {track.entity.code}",
                    count=int(wrong.sum()),
                )
                values[name][wrong] = np.nan
        missing = np.isnan(values[LATITUDE]) | np.isnan(values[LONGITUDE])
        values[LATITUDE][missing] = values[LONGITUDE][missing] = np.nan
        if missing.all():
            report.leave_out(
                Done.RECORD,
                "an entity with a position",
                table=table,
                found=track.entity.code,
                known=True,
            )
            continue
        kept.append(Track(track.entity, track.times, values))
    if not kept:
        raise ImportSourceError("no position found: expected latitude and longitude")
    return kept
