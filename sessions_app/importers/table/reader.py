"""A table and its mapping → one session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...recording import Scope
from ...recording.fields import MAX_ENTITIES
from ..bounds import Allowance
from ..ground import bounds_around, middle_of, projected
from ..options import ImportOptions
from ..report import Done, Report
from ..result import (
    MAX_CODE,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    ImportResult,
    ImportSourceError,
    Progress,
    no_progress,
)
from ..tables import ColumnType, Table, embedded_text, format_of, read_table
from ..text import is_clean
from ..tracks import Track, samples_of, track_of, usual_rate, without_strays
from .mapping import MAX_MAPPING, FieldMapping, TableMapping, parse_mapping, read_mapping

Floats = NDArray[np.float64]

MAPPING_KEY = b"replay.mapping"
"""Of a Parquet file's metadata, where an export puts the mapping."""
_FIRST_TIME, _LAST_TIME = -1e11, 1e11
"""Seconds: three thousand years to either side of 1970."""
_FIRST_DATE, _LAST_DATE = -2_208_988_800.0, 4_102_444_800.0
"""1900 to 2100: the years of a column of ISO times."""


def import_table(
    source: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a table by its mapping (`options.mapping`).

    Rows and values that cannot be believed are left out and listed in the result's report.
    Raises: ImportSourceError if there is nothing to show; of a strict import naming file, row and
    column of the first thing that cannot be believed. SourceTooLarge beyond a bound.
    """
    allowance = Allowance(options.bounds)
    mapping = _mapping(source, options)
    progress(0.0, "reading the table")
    report = Report(source, strict=options.strict)
    table = _read(source, mapping, allowance, report)
    return session_of_table(table, mapping, options, report, progress, f"table:{source.name}")


def session_of_table(
    table: Table,
    mapping: TableMapping,
    options: ImportOptions,
    report: Report,
    progress: Progress,
    origin_of: str,
) -> ImportResult:
    """A session from rows in memory, wherever they came from.

    Args:
        table: with the columns that `columns_of` names.
        mapping: what they mean.
        options: title, rate, year and round.
        report: where what is left out is listed.
        progress: called with the fraction done.
        origin_of: the session's `source`.

    Raises: ImportSourceError as `import_table`.
    """
    table = _believed_rows(table, mapping, report)
    times = _times(table, mapping)
    values, origin = _values(table, mapping, report)
    rows_by_entity = _rows_by_entity(table, mapping)
    report.read(table.name, times if mapping.time_unit is None else None, table.rows)
    report.coverage[table.name].entities.update(range(len(rows_by_entity)))
    progress(0.5, "following the entities")
    of_session = {f.field.name for f in mapping.fields if f.field.scope is Scope.SESSION}
    everybody = EntityRecord("session")
    shared = track_of(everybody, times, {n: own for n, own in values.items() if n in of_session})
    values = {name: own for name, own in values.items() if name not in of_session}
    tracks = [
        track_of(entity, times[rows], {name: own[rows] for name, own in values.items()})
        for entity, rows in zip(
            _entities(table, mapping, rows_by_entity), rows_by_entity.values(), strict=True
        )
    ]
    doubles = table.rows - sum(len(track.times) for track in tracks)
    if doubles:
        report.leave_out(
            Done.ROW,
            "one row of an entity and time (the last counts)",
            table=table.name,
            found="several",
            count=doubles,
            known=True,
        )
    tracks = without_strays(tracks, report, table.name)
    rate = options.frame_rate or mapping.rate or usual_rate(tracks)
    samples, first = samples_of(
        tracks,
        [f.field for f in mapping.fields],
        rate=rate,
        max_gap=mapping.max_gap,
        report=report,
        table=table.name,
        session=shared,
    )
    start = _start(mapping, first)
    return ImportResult(
        title=options.title or mapping.title or table.path.name.split(".", 1)[0],
        kind=mapping.kind,
        source=origin_of,
        samples=samples,
        entities=[track.entity for track in tracks],
        geometry=_geometry(table, mapping, tracks, origin),
        events=_events(table, mapping, times, first, rate, samples.frame_count),
        start_time=start,
        year=options.year or (start.year if start is not None else None),
        round=options.round,
        metadata={"mapping": mapping.path.name, "unseen_share": report.unseen_share},
        report=report,
    )


def is_table(source: Path, options: ImportOptions) -> bool:
    """Whether it is a file of one of the formats, and a mapping was given for it or is in it."""
    if not source.is_file() or not format_of(source):
        return False
    return (
        options.mapping is not None or embedded_text(source, MAPPING_KEY, MAX_MAPPING) is not None
    )


def _mapping(source: Path, options: ImportOptions) -> TableMapping:
    """The one that was given, else the one that a Parquet file has in itself."""
    if options.mapping is not None:
        return read_mapping(options.mapping)
    own = embedded_text(source, MAPPING_KEY, MAX_MAPPING)
    if own is None:
        raise ImportSourceError(
            "no mapping given: expected --mapping, a file that says what the columns mean",
            file=source,
        )
    return parse_mapping(own, source)


def _start(mapping: TableMapping, first: float) -> datetime | None:
    """When the session began, aware; None if the source does not tell. first: time of its first
    row."""
    if mapping.time_unit is None:
        return datetime.fromtimestamp(first, UTC)
    return None if mapping.start is None else mapping.start + timedelta(seconds=first)


def columns_of(mapping: TableMapping) -> dict[str, ColumnType]:
    """The columns that a mapping names, and what is read of each.

    Raises: ImportSourceError for a column that is an entity's and a field's.
    """
    numbers = {f.column for f in mapping.fields if f.column and not f.field.labels}
    if mapping.geometry is not None and mapping.geometry.latitude:
        numbers |= {mapping.geometry.latitude, mapping.geometry.longitude}
    columns = dict.fromkeys(sorted(numbers), ColumnType.NUMBER)
    texts = [mapping.entity, *mapping.attributes.values()]
    texts += [f.column for f in mapping.fields if f.field.labels]
    if mapping.events:
        texts.append(mapping.events)
    for name in texts:
        if name in columns:
            # One column, two readings: positions must be numbers, codes may be.
            raise ImportSourceError(
                f"{name!r} is an entity's column and a field's: expected different ones",
                file=mapping.path,
            )
    columns |= dict.fromkeys(texts, ColumnType.TEXT)
    columns[mapping.time] = ColumnType.TIME if mapping.time_unit is None else ColumnType.NUMBER
    return columns


def _read(source: Path, mapping: TableMapping, allowance: Allowance, report: Report) -> Table:
    required = columns_of(mapping)
    table = read_table(
        source,
        required,
        delimiter=mapping.delimiter,
        allowance=allowance,
        report=report,
    )
    if not table.rows:
        reasons = [e.found for f in report.findings.values() for e in f.examples]
        also = f" ({reasons[0]} found)" if reasons else ""
        raise ImportSourceError(f"no rows{also}: expected at least one", file=source)
    return table


def _believed_rows(table: Table, mapping: TableMapping, report: Report) -> Table:
    """The rows that say when and who."""
    absolute = mapping.time_unit is None
    low, high = (_FIRST_DATE, _LAST_DATE) if absolute else (_FIRST_TIME, _LAST_TIME)
    times = table[mapping.time] * (mapping.time_unit or 1.0)
    if np.isnan(times).all():
        raise ImportSourceError(
            "no value in any row: expected times", file=table.path, column=mapping.time
        )
    with np.errstate(invalid="ignore"):
        wrong = (times < low) | (times > high)
    expected = "a time from 1900 to 2100" if absolute else "a time within 3,000 years"
    table = table.believed(report, wrong, mapping.time, expected, Done.ROW)
    missing = np.isnan(table[mapping.time])
    table = table.believed(report, missing, mapping.time, "a time", Done.ROW, known=True)
    names = table[mapping.entity]
    table = table.believed(
        report, names == "", mapping.entity, "what tells the entities apart", Done.ROW
    )
    names = table[mapping.entity]
    # One text may stand in every row: each is looked at once.
    odd = {name for name in dict.fromkeys(names) if len(name) > MAX_CODE or not is_clean(name)}
    if odd:
        wrong = np.fromiter((name in odd for name in names), np.bool_, len(names))
        expected = f"at most {MAX_CODE} characters, none of them a control character"
        table = table.believed(report, wrong, mapping.entity, expected, Done.ROW)
    if not table.rows:
        raise ImportSourceError(
            "no row with a time and an entity: expected at least one", file=table.path
        )
    return table


def _times(table: Table, mapping: TableMapping) -> Floats:
    return np.asarray(table[mapping.time] * (mapping.time_unit or 1.0), dtype=np.float64)


def _values(
    table: Table, mapping: TableMapping, report: Report
) -> tuple[dict[str, Floats], tuple[float, float] | None]:
    """Values by field, and the (latitude, longitude) of the origin if there is a projection."""
    values = {f.field.name: _quantities(table, f) for f in mapping.fields if f.column}
    ground = mapping.geometry
    if ground is None or not ground.latitude:
        return values, None
    for name, limit in ((ground.latitude, 90.0), (ground.longitude, 180.0)):
        with np.errstate(invalid="ignore"):
            wrong = np.abs(table[name]) > limit
        expected = f"degrees from -{limit:g} to {limit:g}"
        table = table.believed(report, wrong, name, expected, Done.VALUE)
    latitude, longitude = table[ground.latitude], table[ground.longitude]
    origin = middle_of(latitude, longitude)
    if np.isnan(origin).any():
        raise ImportSourceError(
            "no value in any row: expected degrees", file=table.path, column=ground.latitude
        )
    values["x"], values["y"] = projected(latitude, longitude, origin)
    return values, origin


def _quantities(table: Table, wanted: FieldMapping) -> Floats:
    """A field's values; of an enumeration, the number of each label, and of no label NaN."""
    column = table[wanted.column]
    if not wanted.field.labels:
        return np.asarray(column, dtype=np.float64)
    number = {label: float(n) for n, label in enumerate(wanted.field.labels)}
    return np.array([number.get(text, np.nan) for text in column.tolist()])


def _rows_by_entity(table: Table, mapping: TableMapping) -> dict[str, NDArray[np.int64]]:
    """Rows of each entity; entities in the order of their first row."""
    names = table[mapping.entity]
    place = {str(code): number for number, code in enumerate(dict.fromkeys(names))}
    if len(place) > MAX_ENTITIES:
        raise ImportSourceError(
            f"{len(place)} different values: expected at most {MAX_ENTITIES} entities",
            file=table.path,
            column=mapping.entity,
        )
    index = np.fromiter((place[name] for name in names), np.int64, len(names))
    order = np.argsort(index, kind="stable")
    ends = np.searchsorted(index[order], np.arange(len(place) + 1))
    return {code: order[ends[n] : ends[n + 1]] for n, code in enumerate(place)}


def _entities(
    table: Table, mapping: TableMapping, rows_by_entity: Mapping[str, NDArray[np.int64]]
) -> list[EntityRecord]:
    records = []
    for code, rows in rows_by_entity.items():
        about = {
            name: next((str(v) for v in table[column][rows] if v), "")
            for name, column in mapping.attributes.items()
        }
        records.append(
            EntityRecord(
                code=code,
                name=about.get("name", code),
                number=about.get("number", "").removesuffix(".0"),
                team=about.get("team", ""),
                colour=about.get("colour", ""),
                kind=about.get("kind", ""),
            )
        )
    return records


def _geometry(
    table: Table,
    mapping: TableMapping,
    tracks: Sequence[Track],
    origin: tuple[float, float] | None,
) -> GeometryRecord:
    """The ground of the mapping; without bounds, the extent of the positions and a little more."""
    ground = mapping.geometry
    bounds = None if ground is None else ground.bounds
    if bounds is None:
        bounds = bounds_around((track.values["x"], track.values["y"]) for track in tracks)
    if bounds is None:
        raise ImportSourceError("no position in any row: expected x and y", file=table.path)
    unit = next(f.field.unit for f in mapping.fields if f.field.name == "x")
    return GeometryRecord(
        kind="map" if ground is None else ground.kind,
        unit=unit if ground is None else ground.unit or unit,
        bounds=bounds,
        lines=() if ground is None else ground.lines,
        origin=origin,
    )


def _events(
    table: Table, mapping: TableMapping, times: Floats, first: float, rate: float, count: int
) -> list[EventRecord]:
    """What the events' column says, each text once a frame: tables repeat it for every entity."""
    if not mapping.events:
        return []
    seen: dict[tuple[int, str], None] = {}
    for row in np.flatnonzero(table[mapping.events] != ""):
        frame = int(np.ceil(round((times[row] - first) * rate, 3)))
        if 0 <= frame < count:
            seen.setdefault((frame, str(table[mapping.events][row])))
    return [EventRecord(f, "event", text, value=text) for f, text in sorted(seen)]
