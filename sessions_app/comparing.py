"""Laps of one circuit, from any sessions, laid on each other. Pure numpy: no database, no HTTP.

By distance: the laps are compared at the same places. A place is a part of the lap, so that an
outline that another year drew a little longer is no difference. By time: they are compared so many
seconds after each of them began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .lap_telemetry import METRES, LapTelemetry, NoDistance, lap_telemetry
from .recording import Columns, FieldKind

By = Literal["distance", "time"]
Floats = NDArray[np.float64]
Points = Sequence[Sequence[float]]

LEAST, MOST = 2, 8
"""Laps that are compared at once."""
USUAL_STEP: Mapping[By, float] = {"distance": 5.0, "time": 0.1}
"""Metres, or seconds, between two points."""
LEAST_STEP: Mapping[By, float] = {"distance": 1.0, "time": 0.02}
MAX_POINTS = 20_000
"""Of one lap in one answer."""
_FINE = 2.0
"""Metres between the points that values over time are read between: less than a car moves in a
frame."""
_SAME_LENGTH = 0.03
"""Part of the lap by which two outlines of one circuit may differ in length."""
_SAME_PLACE = 25.0
"""Metres that two outlines of one circuit lie apart at most, in the median: the width of a road and
what a changed corner does to it."""
_OUTLINE_POINTS = 200


class NotComparable(Exception):
    """The laps cannot be compared; the message says which of them, and why."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What laps are driven on. name: of its session; length: metres; centre_line: points (x, y) in
    `unit`, from the start line on."""

    name: str
    unit: str
    length: float
    centre_line: Points


@dataclass(frozen=True, slots=True)
class LapToCompare:
    """One lap.

    Attributes:
        name: for messages, such as "VER, lap 12 of austria".
        columns: frames of the one entity, some before and after the lap.
        frames: first frame of the lap in them, and the one after its last.
        circuit: that it was driven on.
        standing_start: it counts from its first frame, not from the line.
        duration: official, seconds; None if unknown.
    """

    name: str
    columns: Columns
    frames: tuple[int, int]
    circuit: Circuit
    standing_start: bool = False
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Laps at common points; every array is of one lap.

    Attributes:
        axis: metres from the start line on the first lap's circuit, or seconds, shape (points,).
        samples: by field an array (points,) for each lap, NaN where the lap has no value. `time`
            (seconds since it began) is among them by distance, `distance` (metres) by time.
        units: of the samples.
        delta: how far each lap is behind the first at each point: seconds by distance, metres by
            time. Negative: ahead.
    """

    axis: Floats
    samples: Mapping[str, Sequence[Floats]]
    units: Mapping[str, str]
    delta: Sequence[Floats]


def require_one_circuit(circuits: Sequence[Circuit]) -> None:
    """Raises: NotComparable naming the first two that are not one circuit."""
    first = circuits[0]
    for other in circuits[1:]:
        if other is first:
            continue
        ratio = other.length / first.length
        if abs(ratio - 1.0) > _SAME_LENGTH:
            raise NotComparable(
                f"{first.name} is on a circuit of {first.length:,.0f} m and {other.name} on one of "
                f"{other.length:,.0f} m: expected laps of one circuit"
            )
        apart = _apart(first, other)
        if apart > _SAME_PLACE:
            raise NotComparable(
                f"the circuits of {first.name} and {other.name} lie {apart:,.0f} m apart: "
                "expected laps of one circuit"
            )


def compare(
    laps: Sequence[LapToCompare], by: By, step: float, channels: Sequence[str]
) -> Comparison:
    """Lay laps on each other.

    Args:
        laps: two or more, of one circuit (`require_one_circuit`).
        by: what the points have in common.
        step: metres on the first lap's circuit, or seconds, between two points.
        channels: fields to sample; one that a lap's recording lacks is missing there.

    Raises:
        NotComparable: a lap has no telemetry over the circuit, or there are too many points.
    """
    length = laps[0].circuit.length
    fine = step if by == "distance" else _FINE
    along = [_telemetry(lap, fine * lap.circuit.length / length, channels) for lap in laps]
    places = [
        own.distance / lap.circuit.length * length for own, lap in zip(along, laps, strict=True)
    ]
    if by == "distance":
        axis = _axis(max(float(own[-1]) for own in places), step)
        values = [
            _at_places(own, place, axis, lap.columns)
            for own, place, lap in zip(along, places, laps, strict=True)
        ]
        delta = [own["time"] - values[0]["time"] for own in values]
    else:
        axis = _axis(max(float(own.time[-1]) for own in along), step)
        values = [
            _at_times(own, place, axis, lap.columns)
            for own, place, lap in zip(along, places, laps, strict=True)
        ]
        delta = [values[0]["distance"] - own["distance"] for own in values]
    extra = "time" if by == "distance" else "distance"
    for own, lap in zip(values, laps, strict=True):
        factor = METRES.get(lap.circuit.unit, 1.0) / METRES.get(laps[0].circuit.unit, 1.0)
        for name in {"x", "y"} & set(own):
            # On the first lap's ground, whose unit they then have.
            own[name] = own[name] * factor
    names = [*channels, extra]
    units = {name: unit for own in along for name, unit in own.units.items()}
    return Comparison(
        axis=axis,
        samples={
            name: [own.get(name, np.full(len(axis), np.nan)) for own in values] for name in names
        },
        units={**units, extra: "s" if extra == "time" else "m"},
        delta=delta,
    )


def _telemetry(lap: LapToCompare, step: float, channels: Sequence[str]) -> LapTelemetry:
    own = [name for name in channels if name in lap.columns.schema]
    try:
        found = lap_telemetry(
            lap.columns,
            length=lap.circuit.length,
            step=step,
            channels=own,
            lap=lap.frames,
            standing_start=lap.standing_start,
        )
    except NoDistance as error:
        raise NotComparable(f"{lap.name}: {error}") from error
    if found.measured_by != "progress" or len(found.distance) < 2:
        raise NotComparable(f"{lap.name}: its recording does not say where on the circuit it was")
    return found


def _axis(end: float, step: float) -> Floats:
    """0, step, 2 · step… up to the end."""
    count = int(np.floor(end / step + 1e-6)) + 1
    if count > MAX_POINTS:
        raise NotComparable(
            f"{count:,} points: expected at most {MAX_POINTS:,}; take a larger step"
        )
    return np.arange(count, dtype=np.float64) * np.float64(step)


def _at_places(
    lap: LapTelemetry, places: Floats, axis: Floats, columns: Columns
) -> dict[str, Floats]:
    """places: where the lap's points are on the first lap's circuit; they are multiples of the
    step already, so that nothing is read between them but a rounding."""
    result = {name: _read(axis, places, own, True) for name, own in lap.channels.items()}
    for name in lap.channels:
        if columns.schema[name].kind in (FieldKind.HELD, FieldKind.ANGLE):
            result[name] = _nearest(axis, places, lap.channels[name])
    result["time"] = _read(axis, places, lap.time, False)
    return result


def _at_times(
    lap: LapTelemetry, places: Floats, axis: Floats, columns: Columns
) -> dict[str, Floats]:
    result = {}
    for name, own in lap.channels.items():
        held = columns.schema[name].kind in (FieldKind.HELD, FieldKind.ANGLE)
        result[name] = _nearest(axis, lap.time, own) if held else _read(axis, lap.time, own, True)
    result["distance"] = _read(axis, lap.time, places, False)
    return result


def _read(at: Floats, xs: Floats, ys: Floats, gaps: bool) -> Floats:
    """Linear between the points; NaN outside of them, and beside a missing one. gaps: whether any
    may be missing."""
    slack = 1e-6 * max(1.0, float(xs[-1]))
    inside = (at >= xs[0] - slack) & (at <= xs[-1] + slack)
    known = np.isfinite(ys)
    if not known.any():
        return np.full(len(at), np.nan)
    result = np.interp(at, xs[known], ys[known])
    if gaps and not known.all():
        right = np.clip(np.searchsorted(xs, at - slack), 0, len(xs) - 1)
        left = np.clip(np.searchsorted(xs, at + slack, side="right") - 1, 0, len(xs) - 1)
        inside &= known[left] & known[right]
    return np.where(inside, result, np.nan)


def _nearest(at: Floats, xs: Floats, ys: Floats) -> Floats:
    """The value of the last point at or before; NaN outside."""
    slack = 1e-6 * max(1.0, float(xs[-1]))
    inside = (at >= xs[0] - slack) & (at <= xs[-1] + slack)
    index = np.clip(np.searchsorted(xs, at + slack, side="right") - 1, 0, len(xs) - 1)
    result: Floats = np.where(inside, ys[index], np.nan)
    return result


def _apart(first: Circuit, other: Circuit) -> float:
    """Metres between two centre lines: the median, over points of one, to the nearest of the
    other."""
    a, b = _outline(first), _outline(other)
    distance = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    spacing = first.length / _OUTLINE_POINTS
    # A point may lie half a spacing beside the nearest one though the lines are the same.
    return max(0.0, float(np.median(distance.min(axis=1))) - spacing / 2)


def _outline(circuit: Circuit) -> Floats:
    """Points at equal distances round the circuit, metres, shape (points, 2)."""
    line = np.asarray(circuit.centre_line, dtype=np.float64) * METRES.get(circuit.unit, 1.0)
    closed = np.vstack((line, line[:1]))
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))))
    at = np.linspace(0.0, along[-1], _OUTLINE_POINTS, endpoint=False)
    return np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)])
