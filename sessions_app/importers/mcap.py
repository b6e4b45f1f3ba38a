"""MCAP files: recordings of ours, and those of others whose messages are JSON.

Of others, Foxglove's `LocationFix` and `PoseInFrame` are understood by themselves, one entity a
channel; for any other messages a mapping says which of their values is what, as for a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mcap.reader import McapReader, make_reader
from numpy.typing import NDArray

from ..recording import Columns, Field, FieldKind, RecordingError
from ..recording.columns import concatenate
from ..recording.file import DAMAGE, MAGIC, PROFILE, Recording
from .bounds import Allowance, head_of, open_regular
from .ground import bounds_around
from .importer import Importer
from .on_map import LATITUDE, LONGITUDE, session_on_map
from .options import ImportOptions
from .report import Done, Report
from .result import (
    MAX_CODE,
    Corner,
    EntityRecord,
    GeometryRecord,
    ImportResult,
    ImportSourceError,
    Progress,
)
from .table.mapping import read_mapping
from .table.reader import columns_of, session_of_table
from .tables import ColumnType, Table, parsed_json
from .text import cleaned, is_clean
from .tracks import Track, samples_of, track_of, usual_rate

MAX_VALUES = 500_000_000
"""Frames times columns of a recording of ours: 2 GB."""
MAX_CHANNELS = 10_000
MAX_RATE = 100.0
"""Frames a second that are made of messages, however fast those came."""
_BLOCK = 10_000
"""Frames read at once."""
_PLACES = {"foxglove.LocationFix": LATITUDE, "foxglove.PoseInFrame": "x"}
"""Schema → one of the values that it gives."""
_NANOSECONDS = 1e-9


def import_mcap(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read an MCAP file.

    Raises: ImportSourceError for a damaged file, or one in which nothing is understood;
        SourceTooLarge beyond a bound.
    """
    allowance = Allowance(options.bounds)
    report = Report(source, strict=options.strict)
    try:
        with open_regular(source) as stream:
            allowance.take_bytes(source, stream.seek(0, 2))
            stream.seek(0)
            reader = make_reader(stream)
            if reader.get_header().profile != PROFILE:
                return _foreign(source, reader, options, report, allowance, progress)
        return _ours(source, options, report, progress)
    except RecordingError as error:
        raise ImportSourceError(f"{error}: expected a whole recording", file=source) from error
    except OSError as error:
        raise ImportSourceError(f"{error.strerror}: expected a file", file=source) from error
    except ImportSourceError:
        raise
    except DAMAGE as error:
        raise ImportSourceError(
            f"{error or type(error).__name__}: expected MCAP", file=source
        ) from error


def is_mcap(source: Path, options: ImportOptions) -> bool:
    """Whether it begins as MCAP files do."""
    return head_of(source).startswith(MAGIC)


# -- recordings of ours ---------------------------------------------------------------------------


def _ours(source: Path, options: ImportOptions, report: Report, progress: Progress) -> ImportResult:
    """A recording of this program: the same frames, entities and ground. Its events, laps and
    stints stand in the database that it was made in, not in the file."""
    with Recording(source) as recording:
        schema, count, about = recording.schema, recording.frame_count, recording.metadata
        width = sum(schema.width(f) for f in schema.fields)
        if count * width > MAX_VALUES:
            raise ImportSourceError(
                f"{count:,} frames of {width:,} values found: expected at most {MAX_VALUES:,}",
                file=source,
            )
        parts: list[Columns] = []
        for start in range(0, count, _BLOCK):
            parts.append(recording.columns(start, min(start + _BLOCK, count)))
            progress(min(start + _BLOCK, count) / count, "reading the recording")
        start_ns = recording.start_ns
    columns = concatenate(parts)
    report.read("recording", None, count, range(len(schema.entities)))
    begun = datetime.fromtimestamp(start_ns * _NANOSECONDS, UTC) if start_ns else None
    listed = {e.get("code"): e for e in about.get("entities") or () if isinstance(e, dict)}
    return ImportResult(
        title=options.title or str(about.get("title") or source.name.split(".", 1)[0]),
        kind=str(about.get("kind") or "other"),
        source=f"mcap:{source.name}",
        samples=columns,
        entities=[_entity(code, listed.get(code) or {}) for code in schema.entities],
        geometry=_geometry(about.get("geometry")),
        start_time=begun,
        year=options.year or (None if begun is None else begun.year),
        round=options.round,
        metadata=about.get("metadata") or {},
        report=report,
    )


def _entity(code: str, about: Mapping[str, Any]) -> EntityRecord:
    attributes = about.get("attributes")
    return EntityRecord(
        code,
        **{n: str(about.get(n) or "") for n in ("name", "number", "team", "colour", "kind")},
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def _geometry(about: Any) -> GeometryRecord | None:
    """Raises: what a dictionary that is none raises; see `DAMAGE`."""
    if not isinstance(about, dict):
        return None
    known = {**about, "corners": [Corner(**corner) for corner in about.get("corners") or ()]}
    known["bounds"] = tuple(float(v) for v in about["bounds"])
    if known.get("origin") is not None:
        known["origin"] = tuple(float(v) for v in known["origin"])
    return GeometryRecord(**known)


# -- files of others ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Channel:
    """What came on one channel. values: by field; missing ones are NaN."""

    topic: str
    about: Mapping[str, str]
    times: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)


def _messages(
    reader: McapReader, source: Path, report: Report, allowance: Allowance
) -> Iterator[tuple[Any, Any, float, dict[str, Any], int]]:
    """(schema, channel, seconds since 1970, content, number) of each message that is JSON."""
    for row, (schema, channel, message) in enumerate(reader.iter_messages(), 1):
        allowance.take_rows(source, 1)
        if channel.message_encoding != "json":
            continue
        allowance.take_bytes(source, len(message.data))
        try:
            content = parsed_json(message.data, source, "JSON")
        except ImportSourceError as error:
            found = error.problem.removesuffix(": expected JSON")
            content = None
        else:
            found = type(content).__name__
        if not isinstance(content, dict):
            report.leave_out(
                Done.ROW, "a JSON object", table=cleaned(channel.topic, 60), file=source, row=row,
                found=found,
            )  # fmt: skip
            continue
        yield schema, channel, message.log_time * _NANOSECONDS, content, row


def _foreign(
    source: Path,
    reader: McapReader,
    options: ImportOptions,
    report: Report,
    allowance: Allowance,
    progress: Progress,
) -> ImportResult:
    summary = reader.get_summary()
    if summary is not None and len(summary.channels) > MAX_CHANNELS:
        raise ImportSourceError(
            f"{len(summary.channels):,} channels found: expected at most {MAX_CHANNELS:,}",
            file=source,
        )
    if summary is not None:
        # Before a chunk is unpacked: what the summary promises. Messages count again, as read.
        allowance.take_bytes(source, sum(c.uncompressed_size for c in summary.chunk_indexes) // 2)
    progress(0.0, "reading messages")
    messages = _messages(reader, source, report, allowance)
    if options.mapping is not None:
        return _mapped(source, messages, options, report, progress)
    places: dict[int, _Channel] = {}
    more: dict[str, _Channel] = {}
    units: dict[str, str] = {}
    kinds = set()
    topics: dict[str, None] = {}
    for schema, channel, time, content, row in messages:
        name = "" if schema is None else schema.name
        topics[channel.topic] = None
        if name in _PLACES:
            kinds.add(name)
            place = _degrees(content) if name == "foxglove.LocationFix" else _position(content)
            if place is None:
                report.leave_out(
                    Done.ROW,
                    f"a position of {name}",
                    table=cleaned(channel.topic, 60),
                    file=source,
                    row=row,
                    found="none",
                )
                continue
            here = places.setdefault(channel.id, _Channel(channel.topic, channel.metadata))
            _add(here, time, place)
        elif code := channel.metadata.get("code"):
            own = more.setdefault(code, _Channel(channel.topic, channel.metadata))
            _add(own, time, {k: v for k, v in content.items() if _is_number(v)})
            units |= _units(schema)
    if not places or len(kinds) > 1:
        listed = ", ".join(list(topics)[:10]) or "none"
        raise ImportSourceError(
            f"{' and '.join(sorted(kinds)) or 'no position that is understood'} found (channels of "
            f"JSON: {listed}): expected foxglove.LocationFix or foxglove.PoseInFrame, or --mapping",
            file=source,
        )
    progress(0.5, "following the entities")
    return _placed(source, options, report, list(places.values()), more, units, kinds.pop())


def _placed(
    source: Path,
    options: ImportOptions,
    report: Report,
    places: list[_Channel],
    more: Mapping[str, _Channel],
    units: Mapping[str, str],
    kind: str,
) -> ImportResult:
    taken: set[str] = set()
    tracks = []
    names: dict[str, None] = {}
    for channel in places:
        entity = _entity_of(channel, taken)
        track = track_of(entity, np.array(channel.times), _arrays(channel))
        other = more.get(channel.about.get("code", ""))
        if other is not None:
            values = track_of(entity, np.array(other.times), _arrays(other))
            names |= dict.fromkeys(values.values)
            track = _joined(track, values)
        tracks.append(track)
    fields = [
        Field(name, units.get(name, "")[:20], 0.01, FieldKind.LINEAR)
        for name in names
        if name.isidentifier() and name == name.lower() and name not in ("x", "y")
    ]
    rate = options.frame_rate or min(usual_rate([t for t in tracks if len(t.times)]), MAX_RATE)
    max_gap = max(2.0, 3 / rate)
    title = source.name.split(".", 1)[0]
    if kind == "foxglove.LocationFix":
        return session_on_map(
            tracks, fields, kind="other", title=title, source=f"mcap:{source.name}", rate=rate,
            max_gap=max_gap, options=options, report=report,
        )  # fmt: skip
    report.read("messages", None, sum(len(t.times) for t in tracks), range(len(tracks)))
    places_fields = [Field(name, "m", 0.01, FieldKind.CUBIC) for name in ("x", "y")]
    samples, first = samples_of(
        tracks,
        [*places_fields, *fields],
        rate=rate,
        max_gap=max_gap,
        report=report,
        table="messages",
    )
    bounds = bounds_around((t.values["x"], t.values["y"]) for t in tracks)
    if bounds is None:
        raise ImportSourceError("no position found: expected x and y", file=source)
    # Robots count from their start; a time of this century is a date.
    start = datetime.fromtimestamp(first, UTC) if first > 946_684_800 else None
    return ImportResult(
        title=options.title or title,
        kind="other",
        source=f"mcap:{source.name}",
        samples=samples,
        entities=[track.entity for track in tracks],
        geometry=GeometryRecord(kind="map", unit="m", bounds=bounds),
        start_time=start,
        year=options.year or (None if start is None else start.year),
        round=options.round,
        metadata={"unseen_share": report.unseen_share},
        report=report,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _add(channel: _Channel, time: float, values: Mapping[str, Any]) -> None:
    """Append a message; a value that came for the first time was missing before."""
    for name, value in values.items():
        own = channel.values.setdefault(name, [np.nan] * len(channel.times))
        own.append(float(value))
    channel.times.append(time)
    for own in channel.values.values():
        if len(own) < len(channel.times):
            own.append(np.nan)


def _arrays(channel: _Channel) -> dict[str, NDArray[np.float64]]:
    return {name: np.array(own, dtype=np.float64) for name, own in channel.values.items()}


def _joined(track: Track, other: Track) -> Track:
    """Both at the times of either."""
    times = np.union1d(track.times, other.times)
    values = {}
    for part in (other, track):
        at = np.searchsorted(times, part.times)
        for name, own in part.values.items():
            values[name] = np.full(len(times), np.nan)
            values[name][at] = own
    return Track(track.entity, times, values)


def _degrees(content: Mapping[str, Any]) -> dict[str, float] | None:
    found = {name: content.get(name) for name in (LATITUDE, LONGITUDE)}
    return (
        {n: float(v) for n, v in found.items() if v is not None}
        if all(map(_is_number, found.values()))
        else None
    )


def _position(content: Mapping[str, Any]) -> dict[str, float] | None:
    pose = content.get("pose")
    place = pose.get("position") if isinstance(pose, dict) else None
    if not isinstance(place, dict) or not all(_is_number(place.get(n)) for n in ("x", "y")):
        return None
    return {name: float(place[name]) for name in ("x", "y")}


def _units(schema: Any) -> dict[str, str]:
    """What a JSON schema says of its properties, where it is as short as a unit."""
    if schema is None or schema.encoding != "jsonschema":
        return {}
    try:
        properties = parsed_json(schema.data, Path(schema.name), "a JSON schema")["properties"]
        return {
            n: p["description"]
            for n, p in properties.items()
            if len(p.get("description", "")) in range(1, 11)
        }
    except (ImportSourceError, KeyError, TypeError, AttributeError):
        return {}


def _entity_of(channel: _Channel, taken: set[str]) -> EntityRecord:
    """By the channel's own metadata, where it has them; else by its topic."""
    about = channel.about
    wanted = about.get("code") or channel.topic.strip("/")
    wanted = (
        wanted if is_clean(wanted) and 0 < len(wanted) <= MAX_CODE else f"channel {len(taken) + 1}"
    )
    code, copies = wanted, 1
    while code in taken:
        copies += 1
        code = f"{wanted[: MAX_CODE - 5]} {copies}"
    taken.add(code)
    names = ("name", "number", "team", "colour", "kind")
    texts: dict[str, Any] = {name: about.get(name, "") for name in names}
    return EntityRecord(code, **texts)


def _mapped(
    source: Path,
    messages: Iterator[tuple[Any, Any, float, dict[str, Any], int]],
    options: ImportOptions,
    report: Report,
    progress: Progress,
) -> ImportResult:
    """By a mapping whose columns are paths such as `pose.position.x`, or `topic` or `log_time`."""
    assert options.mapping is not None
    mapping = read_mapping(options.mapping)
    wanted = columns_of(mapping)
    rows: dict[str, list[Any]] = {name: [] for name in wanted}
    numbers = []
    for _schema, channel, time, content, row in messages:
        found = {name: _at(content, name, channel.topic, time) for name in wanted}
        # Other topics are in the file too; a message without any position is none of these.
        if not any(_is_number(found[f.column]) for f in mapping.fields if f.column):
            continue
        for name, kind in wanted.items():
            rows[name].append(_as(found[name], kind))
        numbers.append(row)
    if not numbers:
        raise ImportSourceError(
            f"no message with {', '.join(f.column for f in mapping.fields[:2])} found: "
            "expected some",
            file=source,
        )
    columns = {
        name: np.array(rows[name], dtype=object if kind is ColumnType.TEXT else np.float64)
        for name, kind in wanted.items()
    }
    table = Table(source, columns, len(numbers), "messages", np.array(numbers, dtype=np.int32))
    return session_of_table(table, mapping, options, report, progress, f"mcap:{source.name}")


def _at(content: Mapping[str, Any], path: str, topic: str, time: float) -> Any:
    if path in content:
        return content[path]
    if path in ("topic", "log_time"):
        return topic if path == "topic" else time
    value: Any = content
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _as(value: Any, kind: ColumnType) -> Any:
    """A number or NaN, a text or "", seconds since 1970 or NaN."""
    if kind is ColumnType.TEXT:
        return "" if value is None or isinstance(value, dict | list) else str(value)
    if _is_number(value):
        return float(value)
    if kind is ColumnType.TIME and isinstance(value, str):
        try:
            return float(np.datetime64(value.removesuffix("Z"), "us").astype(np.int64)) / 1e6
        except ValueError:
            return np.nan
    return np.nan


IMPORTER = Importer(
    "mcap",
    "MCAP: recordings of ours, and files of others whose messages are JSON",
    import_mcap,
    is_mcap,
)
