"""A table and its mapping → one session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...recording import MISSING, Columns, FieldKind, Schema, Scope
from ...recording.fields import MAX_ENTITIES, default_segment_frames
from ..bounds import Allowance
from ..options import ImportOptions
from ..resample import Resampling
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
from ..tables import ColumnType, Table, embedded_text, read_table
from ..text import is_clean, shown
from .mapping import MAX_MAPPING, FieldMapping, TableMapping, parse_mapping, read_mapping

Floats = NDArray[np.float64]

MAX_SAMPLES = 500_000_000
"""Frames times entities times fields: about 2 GB; more is a wrong unit of time."""
MAX_FRAMES = 10_000_000
"""Four days of 25 frames a second; resampling one field takes 80 bytes a frame."""
MAPPING_KEY = b"replay.mapping"
"""Of a Parquet file's metadata, where an export puts the mapping."""
_EARTH = 6_371_008.8
"""Mean radius, metres."""


def import_table(
    source: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a table by its mapping (`options.mapping`).

    Raises: ImportSourceError naming file, row and column of what cannot be read.
    """
    allowance = Allowance(options.bounds)
    mapping = _mapping(source, options)
    progress(0.0, "reading the table")
    table = _read(source, mapping, allowance)
    times = _times(table, mapping)
    values, origin = _values(table, mapping)
    rows_by_entity = _rows_by_entity(table, mapping, times)
    progress(0.5, "resampling")
    rate = options.frame_rate or mapping.rate or _own_rate(times, rows_by_entity)
    first, last = float(np.nanmin(times)), float(np.nanmax(times))
    length = (last - first) * rate
    count = int(round(min(length, MAX_FRAMES), 6)) + 1
    samples = count * len(rows_by_entity) * len(mapping.fields)
    if not length < MAX_FRAMES or samples > MAX_SAMPLES:
        raise ImportSourceError(
            f"{length:,.0f} frames of {len(rows_by_entity)} entities found: expected at most "
            f"{MAX_FRAMES:,} and {MAX_SAMPLES:,} samples (is the unit of time right?)",
            file=source,
            column=mapping.time,
        )
    frames = first + np.arange(count) / rate
    codes = list(rows_by_entity)
    fields = tuple(f.field for f in mapping.fields)
    schema = Schema(fields, tuple(codes), rate, default_segment_frames(rate))
    columns = {f.name: np.full((count, schema.width(f)), MISSING, np.int32) for f in fields}
    rows_of_session = _rows_of_session(times)
    for number, rows in enumerate((*rows_by_entity.values(), rows_of_session)):
        scope = Scope.SESSION if number == len(codes) else Scope.ENTITY
        for wanted in mapping.fields:
            if wanted.field.scope is not scope:
                continue
            own = values[wanted.field.name][rows]
            known = ~np.isnan(own)
            made = _resampled(wanted, times[rows][known], own[known], frames, mapping.max_gap)
            column = number if scope is Scope.ENTITY else 0
            columns[wanted.field.name][:, column] = wanted.field.quantise(made)
        progress(0.5 + 0.5 * (number + 1) / (len(codes) + 1), "resampling")
    start = _start(mapping, first)
    result = Columns(schema, columns)
    return ImportResult(
        title=options.title or mapping.title or source.name.split(".", 1)[0],
        kind=mapping.kind,
        source=f"table:{source.name}",
        columns=result,
        entities=_entities(table, mapping, rows_by_entity),
        geometry=_geometry(mapping, result, origin),
        events=_events(table, mapping, times, first, rate, count),
        start_time=start,
        year=options.year or (None if start is None else start.year),
        round=options.round,
        metadata={"mapping": mapping.path.name},
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


def _read(source: Path, mapping: TableMapping, allowance: Allowance) -> Table:
    numbers = {f.column for f in mapping.fields if f.column and not f.field.labels}
    if mapping.geometry is not None and mapping.geometry.latitude:
        numbers |= {mapping.geometry.latitude, mapping.geometry.longitude}
    required = dict.fromkeys(sorted(numbers), ColumnType.NUMBER)
    time_type = ColumnType.TIME if mapping.time_unit is None else ColumnType.NUMBER
    texts = [mapping.entity, *mapping.attributes.values()]
    texts += [f.column for f in mapping.fields if f.field.labels]
    if mapping.events:
        texts.append(mapping.events)
    for name in texts:
        if name in required:
            # One column, two readings: positions must be numbers, codes may be.
            raise ImportSourceError(
                f"{name!r} is an entity's column and a field's: expected different ones",
                file=mapping.path,
            )
    required |= dict.fromkeys(texts, ColumnType.TEXT)
    required[mapping.time] = time_type
    table = read_table(source, required, delimiter=mapping.delimiter, allowance=allowance)
    if not table.rows:
        raise ImportSourceError("no rows: expected at least one", file=source)
    return table


def _start(mapping: TableMapping, first: float) -> datetime | None:
    """When the session began, aware; None if the source does not tell. first: time of its first
    row."""
    if mapping.time_unit is None:
        return datetime.fromtimestamp(first, UTC)
    return None if mapping.start is None else mapping.start + timedelta(seconds=first)


def _times(table: Table, mapping: TableMapping) -> Floats:
    times = table[mapping.time] * (mapping.time_unit or 1.0)
    if np.isnan(times).all():
        raise ImportSourceError(
            "no value in any row: expected times", file=table.path, column=mapping.time
        )
    return np.asarray(times, dtype=np.float64)


def _values(
    table: Table, mapping: TableMapping
) -> tuple[dict[str, Floats], tuple[float, float] | None]:
    """Values by field, and the (latitude, longitude) of the origin if there is a projection."""
    values = {f.field.name: _quantities(table, f) for f in mapping.fields if f.column}
    ground = mapping.geometry
    if ground is None or not ground.latitude:
        return values, None
    latitude, longitude = table[ground.latitude], table[ground.longitude]
    for name, degrees, limit in (
        (ground.latitude, latitude, 90.0),
        (ground.longitude, longitude, 180.0),
    ):
        wrong = np.flatnonzero(np.abs(degrees) > limit)
        if wrong.size:
            raise ImportSourceError(
                f"{degrees[wrong[0]]:g} found: expected degrees from -{limit:g} to {limit:g}",
                file=table.path,
                row=int(wrong[0]) + 1,
                column=name,
            )
    if np.isnan(latitude).all() or np.isnan(longitude).all():
        raise ImportSourceError(
            "no value in any row: expected degrees", file=table.path, column=ground.latitude
        )
    origin = (float(np.nanmedian(latitude)), float(np.nanmedian(longitude)))
    away = (longitude - origin[1] + 180.0) % 360.0 - 180.0
    values["x"] = np.radians(away) * _EARTH * np.cos(np.radians(origin[0]))
    values["y"] = np.radians(latitude - origin[0]) * _EARTH
    return values, origin


def _quantities(table: Table, wanted: FieldMapping) -> Floats:
    """A field's values; of an enumeration, the number of each label, and of no label NaN."""
    column = table[wanted.column]
    if not wanted.field.labels:
        return np.asarray(column, dtype=np.float64)
    number = {label: float(n) for n, label in enumerate(wanted.field.labels)}
    return np.array([number.get(text, np.nan) for text in column.tolist()])


def _rows_by_entity(
    table: Table, mapping: TableMapping, times: Floats
) -> dict[str, NDArray[np.int64]]:
    """Rows of each entity in the order of time, one per time (the last counts); entities in the
    order of their first row."""
    names = table[mapping.entity]
    unknown = np.flatnonzero(names == "")
    if unknown.size:
        raise ImportSourceError(
            "no value found: expected what tells the entities apart",
            file=table.path,
            row=int(unknown[0]) + 1,
            column=mapping.entity,
        )
    # One text may stand in every row: each is looked at once, and none is copied.
    place = {str(code): number for number, code in enumerate(dict.fromkeys(names))}
    codes = list(place)
    index = np.fromiter((place[name] for name in names), np.int64, len(names))
    if len(codes) > MAX_ENTITIES:
        raise ImportSourceError(
            f"{len(codes)} different values: expected at most {MAX_ENTITIES} entities",
            file=table.path,
            column=mapping.entity,
        )
    for number, code in enumerate(codes):
        if len(code) > MAX_CODE or not is_clean(code):
            raise ImportSourceError(
                f"{shown(code)} found: expected at most {MAX_CODE} characters, none of them a "
                "control character",
                file=table.path,
                row=int(np.argmax(index == number)) + 1,
                column=mapping.entity,
            )
    known = np.flatnonzero(~np.isnan(times))
    order = known[np.lexsort((known, times[known], index[known]))]
    ends = np.searchsorted(index[order], np.arange(len(codes) + 1))
    result = {}
    for number, code in enumerate(codes):
        rows = order[ends[number] : ends[number + 1]]
        last = np.append(np.diff(times[rows]) > 0, True) if rows.size else np.zeros(0, np.bool_)
        result[code] = rows[last]
    return result


def _rows_of_session(times: Floats) -> NDArray[np.int64]:
    """One row for each time, in their order: what holds for all stands in every entity's row."""
    order = np.argsort(times, kind="stable")
    order = order[~np.isnan(times[order])]
    return order[np.append(np.diff(times[order]) > 0, True)] if order.size else order


def _own_rate(times: Floats, rows_by_entity: Mapping[str, NDArray[np.int64]]) -> float:
    """The source's usual frames a second, from the steps of all entities."""
    steps = [np.diff(times[rows]) for rows in rows_by_entity.values()]
    every = np.concatenate(steps) if steps else np.zeros(0)
    if not every.size:
        return 1.0
    rate = 1.0 / float(np.median(every))
    return float(round(rate)) if rate >= 1.5 else rate


def _resampled(
    wanted: FieldMapping, times: Floats, values: Floats, frames: Floats, max_gap: float
) -> Floats:
    resampling = Resampling(times, frames, max_gap)
    kind = wanted.field.kind
    if kind is FieldKind.HELD:
        return resampling.held(values)
    if kind is FieldKind.LINEAR:
        return resampling.linear(values)
    if kind is FieldKind.CUBIC:
        return resampling.cubic(values)
    return resampling.linear(np.unwrap(values, period=360.0)) % 360.0


def _entities(
    table: Table, mapping: TableMapping, rows_by_entity: Mapping[str, NDArray[np.int64]]
) -> list[EntityRecord]:
    records = []
    for code, rows in rows_by_entity.items():
        about = {
            name: next((str(v) for v in table[column][rows] if v), "")
            for name, column in mapping.attributes.items()
        }
        number = about.get("number", "")
        records.append(
            EntityRecord(
                code=code,
                name=about.get("name", code),
                number=number.removesuffix(".0"),
                team=about.get("team", ""),
                colour=about.get("colour", ""),
                kind=about.get("kind", ""),
            )
        )
    return records


def _geometry(
    mapping: TableMapping, columns: Columns, origin: tuple[float, float] | None
) -> GeometryRecord:
    """The ground of the mapping; without bounds, the extent of the positions and a little more."""
    ground = mapping.geometry
    bounds = None if ground is None else ground.bounds
    if bounds is None:
        x, y = columns.quantities("x"), columns.quantities("y")
        if np.isnan(x).all() or np.isnan(y).all():
            raise ImportSourceError("no position in any row: expected x and y", file=mapping.path)
        low = np.array([np.nanmin(x), np.nanmin(y)])
        high = np.array([np.nanmax(x), np.nanmax(y)])
        margin = 0.05 * float(np.maximum(high - low, 1e-3).max())
        bounds = (
            float(low[0]) - margin,
            float(low[1]) - margin,
            float(high[0]) + margin,
            float(high[1]) + margin,
        )
    unit = columns.schema["x"].unit
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
        if np.isnan(times[row]):
            continue
        frame = min(int(np.ceil(round((times[row] - first) * rate, 3))), count - 1)
        seen.setdefault((frame, str(table[mapping.events][row])))
    return [EventRecord(f, "event", text, value=text) for f, text in sorted(seen)]
