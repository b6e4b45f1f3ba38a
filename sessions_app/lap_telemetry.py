"""One lap of one entity over distance, so that laps of different times can be laid on each other.

Pure numpy: no database, no HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .recording import Columns, FieldKind, Schema, Scope

METRES: Mapping[str, float] = {"dm": 0.1, "m": 1.0, "km": 1000.0, "yd": 0.9144, "ft": 0.3048}
"""Metres in one unit of x and y."""

DEFAULT_CHANNELS = ("speed", "throttle", "brake", "gear", "rpm", "drs", "x", "y")
_SECONDS_AN_HOUR = 3600.0
MAX_POINTS = 20_000
"""Points in one answer: a 20 km lap in metres."""

Method = Literal["progress", "speed", "path"]
Floats = NDArray[np.float64]


class NoDistance(Exception):
    """The recording has nothing that a distance could be made from, or the lap has no samples."""


@dataclass(frozen=True, slots=True)
class LapTelemetry:
    """distance: metres, ascending, shape (points,); time: seconds since the lap's first frame;
    channels: per field the quantity in its unit, NaN where missing, shape (points,)."""

    distance: Floats
    time: Floats
    channels: Mapping[str, Floats]
    units: Mapping[str, str]
    length: float
    measured_by: Method


def channel_names(schema: Schema, wanted: Iterable[str] | None) -> list[str]:
    """The fields to show: those wanted, else the usual ones, else every field of an entity.

    Raises: KeyError naming a wanted field that the recording has not.
    """
    of_entity = [f.name for f in schema.fields if f.scope is Scope.ENTITY]
    if wanted is None:
        usual = [name for name in DEFAULT_CHANNELS if name in of_entity]
        return usual or of_entity
    names = list(dict.fromkeys(wanted))
    for name in names:
        if name not in of_entity:
            raise KeyError(f"unknown field {name!r}: expected some of {of_entity}")
    return names


def lap_telemetry(
    columns: Columns,
    *,
    length: float | None,
    step: float,
    channels: Iterable[str],
    lap: tuple[int, int] | None = None,
    standing_start: bool = False,
) -> LapTelemetry:
    """Resample one lap at multiples of `step` metres.

    columns: frames of one entity. lap: first frame of the lap in them and the one after its last;
    all of them if not given. Some frames around the lap allow for a source whose clock for laps
    differs a little from that of its positions: the lap then is what lies between two crossings of
    the line, and time counts from the first. standing_start: it counts from the lap's first frame.
    length: of the lap in metres, if known.
    Continuous fields are interpolated, held ones keep the value of the last sample before.
    Where the entity stands still only the first sample counts.
    Raises: NoDistance.
    """
    start, stop = lap or (0, columns.frame_count)
    distance, measured_by = _distance(columns, start, stop, length)
    time = (np.arange(columns.frame_count) - start) / columns.schema.frame_rate
    known = np.isfinite(distance)
    if not known.any():
        raise NoDistance("no sample of this lap says where the entity was")
    distance, time = np.maximum.accumulate(distance[known]), time[known]
    forward = np.concatenate(([True], np.diff(distance) > 0))
    along, moments = distance[forward], time[forward]
    end = float(along[-1])
    if measured_by == "progress" and length:
        end = min(end, length)
        if along[0] <= 0 and not standing_start:
            moments = moments - np.interp(0.0, along, moments)
    begin = max(float(along[0]), 0.0)
    grid = _grid(begin, end, step)
    values: dict[str, Floats] = {}
    units: dict[str, str] = {}
    for name in channels:
        field = columns.schema[name]
        samples = columns.quantities(name)[:, 0][known][forward]
        units[name] = field.unit
        if field.kind is FieldKind.HELD:
            values[name] = samples[np.searchsorted(along, grid, side="right") - 1]
        elif field.kind is FieldKind.ANGLE:
            values[name] = _angles(grid, along, samples)
        else:
            values[name] = _interpolate(grid, along, samples)
    return LapTelemetry(
        distance=grid,
        time=np.interp(grid, along, moments),
        channels=values,
        units=units,
        length=end - begin,
        measured_by=measured_by,
    )


def _grid(begin: float, end: float, step: float) -> Floats:
    """The multiples of `step` from begin to end. Raises: NoDistance if none, or too many."""
    first, last = math.ceil(begin / step), math.floor(end / step)
    if end - begin < step or last < first:
        raise NoDistance(f"the entity moved less than {step:g} m in this lap")
    if last - first >= MAX_POINTS:
        raise NoDistance(f"{last - first + 1} points: at most {MAX_POINTS}; choose a larger step")
    return np.arange(first, last + 1, dtype=np.float64) * np.float64(step)


def _distance(
    columns: Columns, start: int, stop: int, length: float | None
) -> tuple[Floats, Method]:
    """Metres since the lap's start at each frame, shape (frames,), NaN where unknown.

    Progress along the centre line is best: it names the same place for every car, whatever line
    it drove, and does not drift as a sum does. A sum takes the frames start … stop - 1 only.
    """
    schema = columns.schema
    if "progress" in schema and length:
        progress = columns.quantities("progress")[:, 0]
        of_lap = progress[start:stop][np.isfinite(progress[start:stop])]
        if of_lap.size and float(of_lap.max() - of_lap.min()) > 0:
            return (progress - np.rint(of_lap[0])) * length, "progress"
    inside = np.zeros(columns.frame_count, dtype=bool)
    inside[start:stop] = True
    if "speed" in schema and schema["speed"].unit in ("km/h", "m/s", "yd/s"):
        unit = schema["speed"].unit
        metres = METRES[unit.split("/")[0]]
        speed = columns.quantities("speed")[:, 0] * metres
        if unit.endswith("/h"):
            speed /= _SECONDS_AN_HOUR
        if np.isfinite(speed[inside]).any():
            return _sum(np.nan_to_num(speed) / schema.frame_rate, inside), "speed"
    if "x" in schema and "y" in schema:
        scale = METRES.get(schema["x"].unit, 1.0)
        x, y = (columns.quantities(name)[:, 0] * scale for name in ("x", "y"))
        if np.isfinite(x[inside]).any():
            steps = np.hypot(np.diff(x, prepend=x[:1]), np.diff(y, prepend=y[:1]))
            return _sum(np.nan_to_num(steps), inside), "path"
    raise NoDistance("the recording has neither progress nor speed nor x and y for this entity")


def _sum(steps: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Distance driven before each frame inside the lap: 0 at its first; NaN outside."""
    result = np.full(steps.shape, np.nan)
    driven = steps[inside]
    result[inside] = np.concatenate(([0.0], np.cumsum(driven[1:])))
    return result


def _interpolate(grid: Floats, along: Floats, samples: Floats) -> Floats:
    """Linear between present samples; missing where either neighbour is missing."""
    present = np.isfinite(samples)
    if not present.any():
        return np.full(grid.shape, np.nan)
    result = np.interp(grid, along[present], samples[present])
    before = np.clip(np.searchsorted(along, grid, side="right") - 1, 0, along.size - 1)
    after = np.clip(np.searchsorted(along, grid, side="left"), 0, along.size - 1)
    result[~(present[before] & present[after])] = np.nan
    return result


def _angles(grid: Floats, along: Floats, samples: Floats) -> Floats:
    """Degrees, along the shorter arc."""
    radians = np.radians(samples)
    sine = _interpolate(grid, along, np.sin(radians))
    cosine = _interpolate(grid, along, np.cos(radians))
    return np.degrees(np.arctan2(sine, cosine)) % 360.0
