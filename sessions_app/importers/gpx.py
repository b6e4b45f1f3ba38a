"""GPX: tracks that a receiver wrote down, one file or a folder of them, read with gpxpy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import gpxpy
import gpxpy.gpx
import numpy as np

from ..recording import Field, FieldKind
from .bounds import Allowance, files_below, head_of
from .ground import EARTH
from .importer import Importer
from .on_map import LATITUDE, LONGITUDE, session_on_map
from .options import ImportOptions
from .report import Done, Report
from .result import MAX_CODE, EntityRecord, ImportResult, ImportSourceError, Progress
from .text import cleaned, is_clean
from .tracks import Track, track_of, usual_rate

LOWEST, HIGHEST = -450.0, 20_000.0
"""Metres: below the Dead Sea, and beyond any balloon. Receivers write -500 for "not known"."""
GAP_STEPS, LEAST_GAP = 10, 10.0
"""An entity was not seen if it has no sample for so many usual steps, and so many seconds."""
_KNOTS = 3600 / 1852
_MEASURED = {"hr": "heart_rate", "cad": "cadence", "atemp": "temperature"}
"""Elements of Garmin's track point extension → fields."""
_FIELDS = {
    "elevation": Field("elevation", "m", 0.1, FieldKind.LINEAR),
    "heart_rate": Field("heart_rate", "bpm", 1.0, FieldKind.LINEAR),
    "cadence": Field("cadence", "rpm", 1.0, FieldKind.LINEAR),
    "temperature": Field("temperature", "°C", 0.1, FieldKind.LINEAR),
}
_WORDS = re.compile(r"[\s_-]+")


def import_gpx(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read a GPX file, or all of a folder; each track is an entity.

    Speed is what the file tells, else made from the positions. A track of sailing makes the session
    a regatta, with speeds in knots.
    Raises: ImportSourceError if there is no position with a time; of a strict import for the first
    point or file that cannot be believed. SourceTooLarge beyond a bound.
    """
    report = Report(source, strict=options.strict)
    allowance = Allowance(options.bounds)
    files = gpx_files(source, options)
    if not files:
        raise ImportSourceError("no GPX file found: expected one, or a folder of them", file=source)
    names = dict(zip(files, _short_names([_stem(path) for path in files]), strict=True))
    tracks: list[Track] = []
    sports = []
    for number, path in enumerate(files):
        progress(0.5 * number / len(files), f"reading {path.name}")
        try:
            read = _parsed(path, allowance)
        except ImportSourceError as error:
            report.refuse_or_leave(error, "gpx", Done.FILE)
            continue
        several = len(read.tracks) > 1
        for place, track in enumerate(read.tracks, 1):
            taken = {other.entity.code for other in tracks}
            code = _code(names[path], track.name if several else None, place, taken)
            made = _track(code, track, path, report)
            if made is not None:
                tracks.append(made)
                sports.append((track.type or "").lower())
    if not tracks:
        raise ImportSourceError("no track with times found: expected one", file=source)
    sailing = any("sail" in sport for sport in sports)
    speed = Field("speed", "kn" if sailing else "km/h", 0.1, FieldKind.LINEAR)
    scale = _KNOTS if sailing else 3.6
    tracks = [_with_speed(track, scale, report) for track in tracks]
    used = {
        name for track in tracks for name in track.values if not np.isnan(track.values[name]).all()
    }
    rate = options.frame_rate or min(usual_rate(tracks), 25.0)
    return session_on_map(
        tracks,
        [speed, *(field for name, field in _FIELDS.items() if name in used)],
        kind="regatta" if sailing else "track",
        title=_stem(source),
        source=f"gpx:{source.name}",
        rate=rate,
        max_gap=max(GAP_STEPS / usual_rate(tracks), LEAST_GAP),
        options=options,
        report=report,
        metadata={"files": len(files)},
    )


def gpx_files(source: Path, options: ImportOptions) -> list[Path]:
    """The files of a folder, or the one file, that begin as GPX does."""
    files = files_below(source, options.bounds) if source.is_dir() else [source]
    return [path for path in files if b"<gpx" in head_of(path)]


def is_gpx(source: Path, options: ImportOptions) -> bool:
    """Whether it is a GPX file, or a folder with one."""
    return bool(gpx_files(source, options))


def _parsed(path: Path, allowance: Allowance) -> gpxpy.gpx.GPX:
    text = allowance.read(path).decode("utf-8", "replace")
    if "<!DOCTYPE" in text[:10_000] or "<!ENTITY" in text:
        # Entities let a file of a kilobyte stand for gigabytes, and name files of this machine.
        raise ImportSourceError("a document type found: expected GPX without", file=path)
    try:
        read = gpxpy.parse(text)
    except (gpxpy.gpx.GPXException, ValueError, TypeError, AttributeError) as error:
        raise ImportSourceError(f"{error}: expected GPX", file=path) from error
    allowance.take_rows(path, sum(len(s.points) for t in read.tracks for s in t.segments))
    return read


def _track(code: str, track: gpxpy.gpx.GPXTrack, path: Path, report: Report) -> Track | None:
    """Its points as samples; None without any time."""
    points = [point for segment in track.segments for point in segment.points]
    rows: dict[str, list[float]] = {
        name: []
        for name in (LATITUDE, LONGITUDE, "elevation", "measured_speed", *_MEASURED.values())
    }
    times = []
    for row, point in enumerate(points, 1):
        if point.time is None:
            report.leave_out(
                Done.ROW, "a point with a time", table="gpx", file=path, row=row, found="no time",
                known=True,
            )  # fmt: skip
            continue
        # Without a zone it is UTC, as GPX demands, not this machine's.
        moment = point.time if point.time.tzinfo else point.time.replace(tzinfo=UTC)
        times.append(moment.timestamp())
        more = _extensions(point)
        rows[LATITUDE].append(point.latitude)
        rows[LONGITUDE].append(point.longitude)
        rows["elevation"].append(_elevation(point.elevation, path, row, report))
        rows["measured_speed"].append(_number(point.speed, more.get("speed")))
        for element, name in _MEASURED.items():
            rows[name].append(_number(more.get(element)))
    if not times:
        return None
    kind = "boat" if "sail" in (track.type or "").lower() else ""
    entity = EntityRecord(code, name=track.name or code, kind=kind)
    return track_of(entity, np.array(times), {n: np.array(v, float) for n, v in rows.items()})


def _elevation(value: float | None, path: Path, row: int, report: Report) -> float:
    if value is None or np.isnan(value):
        return np.nan
    if LOWEST <= value <= HIGHEST:
        return float(value)
    report.leave_out(
        Done.VALUE,
        f"metres from {LOWEST:g} to {HIGHEST:g}",
        table="gpx",
        file=path,
        row=row,
        column="ele",
        found=f"{value:g}",
        known=True,
    )
    return np.nan


def _extensions(point: gpxpy.gpx.GPXTrackPoint) -> dict[str, str]:
    """Texts of the point's extensions by the names of their elements, without name spaces."""
    return {
        str(element.tag).rpartition("}")[2]: element.text
        for extension in point.extensions
        for element in extension.iter()
        if element.text and element.text.strip()
    }


def _number(*candidates: Any) -> float:
    """The first that is a finite number; speeds are often there and empty."""
    for candidate in candidates:
        try:
            value = float(candidate)
        except (TypeError, ValueError):
            continue
        if np.isfinite(value):
            return value
    return np.nan


def _with_speed(track: Track, scale: float, report: Report) -> Track:
    """With a field `speed`, and no elevation, heart rate… that nobody measured."""
    values = {name: own for name, own in track.values.items() if not np.isnan(own).all()}
    measured = values.pop("measured_speed", None)
    if measured is None:
        measured = _speed_of(track)
        report.estimate("speed: from the positions")
    return Track(track.entity, track.times, {**values, "speed": measured * scale})


def _speed_of(track: Track) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Metres a second at each sample, from its neighbours on both sides."""
    if len(track.times) < 2:
        return np.full(len(track.times), np.nan)
    north = np.radians(track.values[LATITUDE]) * EARTH
    east = np.radians(track.values[LONGITUDE]) * EARTH * np.cos(np.radians(track.values[LATITUDE]))
    return np.hypot(np.gradient(north, track.times), np.gradient(east, track.times))


def _stem(path: Path) -> str:
    """ "a" for "a.gpx" and "a.gpx.gz"."""
    return re.sub(r"(\.gpx)?(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them share: "ESP29375-P01" of
    "2025-06-21-ESP29375-P01"."""
    if len(names) < 2:
        return list(names)
    common = set.intersection(*(set(_WORDS.split(name)) for name in names))
    return [
        "-".join(word for word in _WORDS.split(name) if word not in common) or name
        for name in names
    ]


def _code(file: str, track: str | None, place: int, taken: set[str]) -> str:
    """A code of at most `MAX_CODE` characters that no other track has."""
    text = cleaned(f"{file} {track or place}" if track is not None or place > 1 else file, MAX_CODE)
    if not text or not is_clean(text) or text in taken:
        text = f"{text[: MAX_CODE - 8]} {len(taken) + 1}".strip()
    return text


IMPORTER = Importer("gpx", "GPX tracks, one file or a folder of them", import_gpx, is_gpx)
