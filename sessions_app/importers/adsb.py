"""Aircraft as ADS-B receivers record them: readsb's and tar1090's JSON, tables of state vectors.

Read are `aircraft.json` snapshots (a folder of them is a recording), traces
`trace_full_<hex>.json`, and tables with columns `icao24`, `timestamp`, `latitude`, `longitude`, as
the OpenSky Network and the `traffic` library write them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import Field, FieldKind
from .bounds import Allowance, files_below, head_of
from .importer import Importer
from .on_map import LATITUDE, LONGITUDE, session_on_map
from .options import ImportOptions
from .report import Done, Report
from .result import MAX_CODE, EntityRecord, ImportResult, ImportSourceError, Progress
from .tables import ColumnType, Table, format_of, parsed_json, read_table
from .text import cleaned, shown
from .tracks import Track, track_of, usual_rate

Floats = NDArray[np.float64]

FIELDS = (
    Field("altitude", "ft", 1.0, FieldKind.LINEAR),
    Field("speed", "kn", 0.1, FieldKind.LINEAR),
    Field("direction", "°", 0.1, FieldKind.ANGLE),
    Field("vertical_rate", "ft/min", 1.0, FieldKind.LINEAR),
)
_NAMES = (LATITUDE, LONGITUDE, *(f.name for f in FIELDS))
MAX_GAP = 60.0
"""Seconds: receivers lose an aircraft behind hills for that long; it flies 15 km meanwhile."""
MAX_VALUES = 80_000_000
"""Frames times aircraft times fields: a third of a gigabyte while it is imported. A day of a
busy sky is recorded at fewer frames a second rather than refused."""
RATES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
_SANE: Mapping[str, tuple[float, float]] = {
    "altitude": (-2_000.0, 130_000.0),
    "speed": (0.0, 4_000.0),
    "direction": (0.0, 360.0),
    "vertical_rate": (-60_000.0, 60_000.0),
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "hex": ("icao24", "hex", "icao"),
    "time": ("timestamp", "time", "last_position"),
    "callsign": ("callsign", "flight"),
    LATITUDE: ("latitude", "lat"),
    LONGITUDE: ("longitude", "lon"),
    "altitude": ("altitude", "baroaltitude", "alt_baro", "geoaltitude"),
    "speed": ("groundspeed", "gs", "velocity"),
    "direction": ("track", "heading"),
    "vertical_rate": ("vertical_rate", "vertrate", "baro_rate"),
}
"""What a column is called, in the order of preference."""
_EPOCH_SECONDS = 1e11
"""Times beyond are milliseconds since 1970, which would otherwise be the year 5138."""
_KNOTS, _FEET, _FEET_A_MINUTE = 3600 / 1852, 1 / 0.3048, 60 / 0.3048
_HEX = re.compile(r"~?[0-9a-f]{6}")


@dataclass(slots=True)
class _Aircraft:
    """What was heard of one aircraft. rows, blocks: of times, then `_NAMES`."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    blocks: list[Floats] = field(default_factory=list)
    callsigns: dict[str, None] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)


class _Sky:
    """All aircraft of an import, by their addresses, in the order in which they were first heard.

    One report and one bound for all files.
    """

    def __init__(self, report: Report, allowance: Allowance) -> None:
        self.report, self.allowance = report, allowance
        self.aircraft: dict[str, _Aircraft] = {}

    def of(self, code: Any, file: Path, row: int | None) -> _Aircraft | None:
        """The aircraft of that address; None, and listed, if it is none."""
        text = code.strip().lower() if isinstance(code, str) else ""
        if not _HEX.fullmatch(text):
            self.leave_out(Done.ROW, "an address of six hex digits", file, row, "hex", shown(code))
            return None
        return self.aircraft.setdefault(text, _Aircraft())

    def leave_out(
        self, done: Done, expected: str, file: Path, row: int | None, column: str, found: str
    ) -> None:
        self.report.leave_out(
            done, expected, table="adsb", file=file, row=row, column=column, found=found
        )

    def value(self, name: str, value: Any, file: Path, row: int | None) -> float:
        """A number that can be believed, else NaN; what is not there is no mistake."""
        if value is None:
            return math.nan
        low, high = _SANE.get(name, (-1e6, 1e6))
        number = float(value) if isinstance(value, int | float) else math.nan
        if low <= number <= high:
            return number
        self.leave_out(Done.VALUE, f"{low:g} to {high:g}", file, row, name, shown(value))
        return math.nan


def import_adsb(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read a file, or a folder of them, of any of the formats above.

    Raises: ImportSourceError if there is no aircraft with a position; of a strict import for the
    first row or value that cannot be believed. SourceTooLarge beyond a bound.
    """
    sky = _Sky(Report(source, strict=options.strict), Allowance(options.bounds))
    files = adsb_files(source, options)
    if not files:
        raise ImportSourceError(
            "no ADS-B file found: expected aircraft.json, trace_full_….json or a table", file=source
        )
    for number, (path, read) in enumerate(files):
        progress(0.5 * number / len(files), f"reading {path.name}")
        try:
            read(path, sky)
        except ImportSourceError as error:
            sky.report.refuse_or_leave(error, "adsb", Done.FILE)
    tracks = [_track(code, aircraft) for code, aircraft in sky.aircraft.items()]
    if not tracks:
        raise ImportSourceError("no aircraft found: expected at least one", file=source)
    return session_on_map(
        tracks,
        FIELDS,
        kind="flight",
        title=source.name.split(".", 1)[0],
        source=f"adsb:{source.name}",
        rate=options.frame_rate or _rate(tracks),
        max_gap=max(MAX_GAP, 3 / usual_rate(tracks)),
        step=1.0,
        options=options,
        report=sky.report,
        metadata={"files": len(files)},
    )


Read = Callable[[Path, _Sky], None]


def adsb_files(source: Path, options: ImportOptions) -> list[tuple[Path, Read]]:
    """The files of a folder, or the one file, that are of a known format, and what reads each."""
    files = files_below(source, options.bounds) if source.is_dir() else [source]
    return [(path, read) for path in files if (read := _reader(path)) is not None]


def is_adsb(source: Path, options: ImportOptions) -> bool:
    """Whether it is a file of aircraft, or a folder with one."""
    return bool(adsb_files(source, options))


def _reader(path: Path) -> Read | None:
    head = head_of(path)
    if head.lstrip()[:1] == b"{" and not path.name.endswith((".jsonl", ".ndjson")):
        if re.search(rb'"icao"\s*:', head) and b'"trace"' in head + path.name.encode():
            return _read_trace
        # Snapshots begin with their time and hold the list of aircraft.
        if re.search(rb'"now"\s*:', head) and re.search(rb'"aircraft"\s*:\s*\[', head):
            return _read_snapshot
        return None
    if format_of(path) and _has_columns(path, head):
        return _read_rows
    return None


def _has_columns(path: Path, head: bytes) -> bool:
    """Whether a table has an address, a time and a position, by its first bytes or its footer."""
    if format_of(path) == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - not for the other formats

        try:
            text = " ".join(pq.read_schema(path).names)
        except (OSError, ValueError, KeyError):
            return False
    else:
        text = head.decode("utf-8", "replace")
        if format_of(path) in (".csv", ".tsv"):
            text = text.split("\n", 1)[0]
    words = set(re.findall(r"[A-Za-z0-9_]+", text))
    return all(
        words & set(_COLUMNS[name]) for name in ("hex", "time", LATITUDE, LONGITUDE)
    ) and bool(words & {"icao24", "hex"})


def _read_rows(path: Path, sky: _Sky) -> None:
    """A table of state vectors: feet and knots, or OpenSky's metres if `velocity` is there."""
    numbers = {c: ColumnType.NUMBER for name in _NAMES for c in _COLUMNS[name]}
    texts = {c: ColumnType.TEXT for name in ("hex", "time", "callsign") for c in _COLUMNS[name]}
    table = read_table(
        path, {}, {**numbers, **texts}, allowance=sky.allowance, report=sky.report, name="adsb"
    )
    chosen = {
        name: next((c for c in candidates if c in table), None)
        for name, candidates in _COLUMNS.items()
    }
    metric = chosen["speed"] == "velocity"
    factor = {"altitude": _FEET, "speed": _KNOTS, "vertical_rate": _FEET_A_MINUTE} if metric else {}
    times = _moments(table, chosen["time"], sky)
    values = {
        name: table[column] * factor.get(name, 1.0) if column else np.full(table.rows, np.nan)
        for name, column in chosen.items()
        if name in _NAMES
    }
    for name, (low, high) in _SANE.items():
        own = values[name]
        with np.errstate(invalid="ignore"):
            wrong = (own < low) | (own > high)
        table = table.with_columns(**{name: own}).believed(
            sky.report, wrong, name, f"{low:g} to {high:g}", Done.VALUE
        )
        values[name] = table[name]
    if chosen["hex"] is None:
        return
    codes = table[chosen["hex"]]
    signs = table[chosen["callsign"]] if chosen["callsign"] is not None else None
    matrix = np.column_stack([times, *(values[name] for name in _NAMES)])
    place = {code: number for number, code in enumerate(dict.fromkeys(codes))}
    index = np.fromiter((place[code] for code in codes), np.int64, len(codes))
    order = np.argsort(index, kind="stable")
    ends = np.searchsorted(index[order], np.arange(len(place) + 1))
    for code, number in place.items():
        rows = order[ends[number] : ends[number + 1]]
        aircraft = sky.of(code, *table.place(int(rows[0])))
        if aircraft is not None:
            aircraft.blocks.append(matrix[rows])
            if signs is not None:
                aircraft.callsigns.update(
                    dict.fromkeys(s.strip() for s in signs[rows] if s.strip())
                )


def _moments(table: Table, column: str | None, sky: _Sky) -> Floats:
    """Seconds since 1970 of each row: numbers of seconds or milliseconds, or ISO times."""
    moments = np.full(table.rows, np.nan)
    if column is None:
        return moments
    for row, text in enumerate(table[column]):
        moments[row] = _seconds(text)
        if np.isnan(moments[row]):
            file, number = table.place(row)
            found = shown(text) if text else "no value"
            sky.leave_out(
                Done.ROW, "seconds since 1970 or an ISO time", file, number, column, found
            )
    return moments


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        try:
            moment = np.datetime64(text.removesuffix("Z").split("+")[0], "us")
        except ValueError:
            return math.nan
        return math.nan if np.isnat(moment) else float(moment.astype(np.int64)) / 1e6
    if not math.isfinite(value):
        return math.nan
    return value / 1000 if abs(value) > _EPOCH_SECONDS else value


def _read_snapshot(path: Path, sky: _Sky) -> None:
    """readsb's aircraft.json: all aircraft at one moment, each position with its age."""
    data = parsed_json(sky.allowance.read(path), path, "readsb's aircraft.json")
    now = data.get("now") if isinstance(data, dict) else None
    listed = data.get("aircraft") if isinstance(data, dict) else None
    if isinstance(now, bool) or not isinstance(now, int | float) or not isinstance(listed, list):
        raise ImportSourceError("no time or no list found: expected now and aircraft", file=path)
    sky.allowance.take_rows(path, len(listed))
    for row, entry in enumerate(listed, 1):
        if not isinstance(entry, dict):
            sky.leave_out(Done.ROW, "an aircraft", path, row, "", shown(entry))
            continue
        aircraft = sky.of(entry.get("hex"), path, row)
        if aircraft is None or "lat" not in entry:
            continue
        age = entry.get("seen_pos", 0.0)
        age = float(age) if isinstance(age, int | float) else 0.0
        _add(sky, aircraft, float(now) - age, entry, path, row)
        _describe(aircraft, entry)


def _read_trace(path: Path, sky: _Sky) -> None:
    """tar1090's trace_full_<hex>.json: everything of one aircraft on one day."""
    data = parsed_json(sky.allowance.read(path), path, "tar1090's trace")
    begin = data.get("timestamp") if isinstance(data, dict) else None
    trace = data.get("trace") if isinstance(data, dict) else None
    if isinstance(begin, bool) or not isinstance(begin, int | float) or not isinstance(trace, list):
        raise ImportSourceError("no time or no list found: expected timestamp, trace", file=path)
    sky.allowance.take_rows(path, len(trace))
    aircraft = sky.of(data.get("icao"), path, None)
    if aircraft is None:
        return
    _describe(aircraft, data)
    for row, point in enumerate(trace, 1):
        if not isinstance(point, list) or len(point) < 6 or not isinstance(point[0], int | float):
            sky.leave_out(Done.ROW, "a point of a trace", path, row, "", shown(point))
            continue
        entry = dict(zip(("lat", "lon", "alt_baro", "gs", "track"), point[1:6], strict=True))
        if len(point) > 7:
            entry["baro_rate"] = point[7]
        _add(sky, aircraft, float(begin) + float(point[0]), entry, path, row)
        if len(point) > 8 and isinstance(point[8], dict):
            _describe(aircraft, point[8])


def _add(
    sky: _Sky, aircraft: _Aircraft, time: float, entry: Mapping[str, Any], path: Path, row: int
) -> None:
    altitude = entry.get("alt_baro", entry.get("alt_geom"))
    found = {
        LATITUDE: entry.get("lat"),
        LONGITUDE: entry.get("lon"),
        "altitude": 0 if altitude == "ground" else altitude,
        "speed": entry.get("gs"),
        "direction": entry.get("track"),
        "vertical_rate": entry.get("baro_rate", entry.get("geom_rate")),
    }
    values = (sky.value(name, found[name], path, row) for name in _NAMES)
    aircraft.rows.append((time, *values))


def _describe(aircraft: _Aircraft, entry: Mapping[str, Any]) -> None:
    """Callsign, registration and type, where they are told."""
    flight = entry.get("flight")
    if isinstance(flight, str) and flight.strip():
        aircraft.callsigns[flight.strip()] = None
    for key, name in (("r", "registration"), ("t", "type"), ("desc", "description")):
        value = entry.get(key)
        if isinstance(value, str) and value:
            aircraft.about[name] = cleaned(value, 80)


def _track(code: str, aircraft: _Aircraft) -> Track:
    signs = [cleaned(sign, 20) for sign in aircraft.callsigns]
    entity = EntityRecord(
        code=code[:MAX_CODE],
        name=signs[0] if signs else aircraft.about.get("registration", code),
        kind="aircraft",
        attributes={**aircraft.about, **({"callsigns": signs[:20]} if len(signs) > 1 else {})},
    )
    heard = np.array(aircraft.rows, dtype=np.float64).reshape(-1, 1 + len(_NAMES))
    rows = np.concatenate([heard, *aircraft.blocks])
    return track_of(entity, rows[:, 0], dict(zip(_NAMES, rows[:, 1:].T, strict=True)))


def _rate(tracks: Iterable[Track]) -> float:
    """Frames a second: the source's own, at most one, and so few that a long day fits."""
    made = [track for track in tracks if len(track.times)]
    if not made:
        return 1.0
    usual = usual_rate(made)
    seconds = max(t.times[-1] for t in made) - min(t.times[0] for t in made)
    for rate in RATES:
        values = seconds * rate * len(made) * (len(FIELDS) + 2)
        if rate <= max(usual, RATES[-1]) * 1.01 and values <= MAX_VALUES:
            return rate
    return RATES[-1]


IMPORTER = Importer(
    "adsb", "aircraft: readsb and tar1090 JSON, or a table of state vectors", import_adsb, is_adsb
)
