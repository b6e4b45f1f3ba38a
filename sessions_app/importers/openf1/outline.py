"""The circuit's outline: from a file that fits the cars' positions, else from the laps driven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bounds import Allowance
from ..report import Done, Report
from ..result import Corner, ImportSourceError
from ..tables import parsed_json
from ..text import cleaned, shown
from ..track import CentreLine, direction, from_laps
from .clocks import Samples
from .timing import CarLaps

Floats = NDArray[np.float64]

GOOD_FIT = 200.0
"""Decimetres: median distance of the cars from the outline of their own circuit is 20 to 60, and
from that of another thousands."""
SIBLING = "circuit-geometry"
MAX_OUTLINE = 5_000_000
"""Bytes of an outline's file; those of circuits have 100,000."""
MAX_COORDINATE = 1e9
_SPOTS = 2000
_FULL_LAPS = 30


@dataclass(frozen=True, slots=True)
class Outline:
    """A circuit's centre line, in driving direction, not yet begun at the start line.

    corners: (label, x, y, angle in degrees). marshal_sectors: (x, y) of where sector 1, 2… begins,
    in dm, or nothing where one of them is missing. year: of the outline, or None. origin: "file" or
    "laps", or "" without a line. fit: median distance of the cars from it, dm.
    """

    line: CentreLine | None
    origin: str
    fit: float
    name: str = ""
    year: int | None = None
    rotation: float = 0.0
    corners: Sequence[Corner] = ()
    marshal_sectors: Sequence[tuple[float, float]] = ()
    path: Path | None = field(default=None)


def outline_for(
    source: Path,
    geometry: Path | None,
    positions: Mapping[int, Samples],
    laps: Mapping[int, CarLaps],
    year: int | None,
    report: Report,
) -> Outline:
    """The outline of the circuit that the cars drove on.

    geometry: a file that must fit, a folder that must hold one that fits, or None: then a folder
    `circuit-geometry` beside the source is looked at, and without a fit the line comes from laps.
    Where no car drove a whole lap there is no line.
    Raises: ImportSourceError if a given geometry does not fit; a strict import also without a line.
    """
    spots = _spots(positions)
    if geometry is not None:
        found = _fitting(_files(geometry), spots, year)
        if found is None or found.fit > GOOD_FIT:
            best = f"the nearest is {found.fit / 10:.0f} m off" if found else "it holds none"
            raise ImportSourceError(
                f"no outline fits the cars' positions ({best}): expected one within "
                f"{GOOD_FIT / 10:.0f} m",
                file=geometry,
            )
    else:
        sibling = source.resolve().parent / SIBLING
        found = _fitting(_files(sibling), spots, year, report) if sibling.is_dir() else None
        if found is None or found.fit > GOOD_FIT:
            try:
                found = _from_laps(positions, laps, source, spots)
            except ImportSourceError:
                if report.strict:
                    raise
                report.estimate("no circuit: no outline fits, and no car drove a whole lap")
                return Outline(None, "", 0.0)
    if found.line is None:
        return found
    tracks = [(s.values["x"][-5000:], s.values["y"][-5000:]) for s in positions.values()]
    if direction(found.line, tracks) > 0:
        return found
    return Outline(
        found.line.reversed(),
        found.origin,
        found.fit,
        found.name,
        found.year,
        found.rotation,
        found.corners,
        found.marshal_sectors,
        found.path,
    )


def _spots(positions: Mapping[int, Samples]) -> Floats:
    """Up to `_SPOTS` places at which cars were moving, shape (n, 2)."""
    every = []
    for samples in positions.values():
        x, y = samples.values["x"], samples.values["y"]
        moving = np.hypot(np.diff(x), np.diff(y)) > 50.0
        every.append(np.column_stack((x[1:][moving], y[1:][moving])))
    spots = np.vstack(every) if every else np.zeros((0, 2))
    return spots[:: max(1, len(spots) // _SPOTS)][:_SPOTS]


def _files(geometry: Path) -> list[Path]:
    if geometry.is_file():
        return [geometry]
    if not geometry.is_dir():
        raise ImportSourceError(
            "no such file or folder: expected a circuit's outline", file=geometry
        )
    return sorted(geometry.glob("*.json"))


def _fitting(
    files: Sequence[Path], spots: Floats, year: int | None, report: Report | None = None
) -> Outline | None:
    """The outline nearest to the spots; of several as near, that of the year. report: where a file
    that is no outline is listed; without one it is refused."""
    candidates = []
    low, high = (spots.min(axis=0), spots.max(axis=0)) if len(spots) else (None, None)
    for path in files:
        try:
            data = _load(path)
        except ImportSourceError as error:
            if report is None:
                raise
            report.refuse_or_leave(error, "circuit-geometry", Done.FILE)
            continue
        points = np.column_stack((data["x"], data["y"])).astype(np.float64)
        if low is not None and len(files) > 1:
            # Circuits differ in extent; comparing all the points of one is enough.
            off = np.abs(np.concatenate((points.min(axis=0) - low, points.max(axis=0) - high)))
            if off.max() > 3000:
                continue
        line = CentreLine(points)
        _, distance = line.project(spots[:, 0], spots[:, 1])
        fit = float(np.median(distance)) if len(distance) else np.inf
        candidates.append((fit, path, data, line))
    if not candidates:
        return None
    best = min(fit for fit, *_ in candidates)
    alike = [c for c in candidates if c[0] <= 1.2 * best + 1.0]
    _, path, data, line = min(alike, key=lambda c: abs(_year_of(c[1], c[2]) - (year or 0)))
    return Outline(
        line=line,
        origin="file",
        fit=best,
        name=cleaned(str(data.get("circuitName", "")), 100),
        year=data.get("year"),
        rotation=float(data.get("rotation", 0.0)),
        corners=[
            Corner(
                label=cleaned(f"{corner['number']}{corner.get('letter', '')}", 10),
                x=float(corner["trackPosition"]["x"]),
                y=float(corner["trackPosition"]["y"]),
                angle=float(corner.get("angle", 0.0)),
            )
            for corner in data.get("corners", ())
        ],
        marshal_sectors=_marshal_sectors(data),
        path=path,
    )


def _marshal_sectors(data: Mapping[str, Any]) -> list[tuple[float, float]]:
    """In the order of their numbers, which must be 1, 2, 3…: events name a sector by its number."""
    places = {}
    for sector in data.get("marshalSectors") or ():
        at = sector["trackPosition"]
        places[int(sector["number"])] = (float(at["x"]), float(at["y"]))
    if sorted(places) != list(range(1, len(places) + 1)):
        return []
    return [places[number] for number in sorted(places)]


def _year_of(path: Path, data: Mapping[str, Any]) -> int:
    """From a name such as 19-2024.json, else from the file, whose year may be the survey's."""
    _, _, year = path.stem.rpartition("-")
    if year.isdecimal() and len(year) == 4:
        return int(year)
    surveyed: Any = data.get("year")
    return int(surveyed) if _is_number(surveyed) else 0


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -MAX_COORDINATE <= value <= MAX_COORDINATE


def _is_mark(mark: Any) -> bool:
    """Whether it is a corner or a marshals' sector: a number and a place."""
    if not isinstance(mark, dict) or not isinstance(mark.get("number"), int):
        return False
    at = mark.get("trackPosition")
    return (
        isinstance(at, dict)
        and _is_number(at.get("x"))
        and _is_number(at.get("y"))
        and _is_number(mark.get("angle", 0.0))
        and isinstance(mark.get("letter", ""), str)
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        text = Allowance().read(path, MAX_OUTLINE)
    except OSError as error:
        raise ImportSourceError(
            f"{error.strerror}: expected a circuit's outline as JSON", file=path
        ) from error
    data = parsed_json(text, path, "a circuit's outline as JSON")
    if not isinstance(data, dict):
        raise ImportSourceError("expected an object with lists x and y", file=path)
    for name in ("x", "y"):
        values = data.get(name)
        if not isinstance(values, list) or len(values) < 16 or len(values) != len(data["x"]):
            raise ImportSourceError(
                "expected two lists x and y of equal length, at least 16 points",
                file=path,
                column=name,
            )
        for row, value in enumerate(values, 1):
            if not _is_number(value):
                raise ImportSourceError(
                    f"{shown(value)} found: expected a number", file=path, row=row, column=name
                )
    if not _is_number(data.get("rotation", 0.0)):
        raise ImportSourceError(
            f"{shown(data['rotation'])} found: expected degrees", file=path, column="rotation"
        )
    for column in ("corners", "marshalSectors"):
        marks = data.get(column) or []
        for row, mark in enumerate(marks if isinstance(marks, list) else [None], 1):
            if not _is_mark(mark):
                raise ImportSourceError(
                    "expected entries with number and trackPosition",
                    file=path,
                    row=row,
                    column=column,
                )
    return data


def _from_laps(
    positions: Mapping[int, Samples], laps: Mapping[int, CarLaps], source: Path, spots: Floats
) -> Outline:
    """A line through the laps with the usual time: no pit stop, no safety car, no gap."""
    chosen = _whole_laps(positions, laps) or _closed_laps(positions)
    chosen = [(x, y) for x, y in chosen if _goes_round(x, y)]
    if not chosen:
        raise ImportSourceError(
            "no outline, and no car drove a whole lap to make one from: expected a geometry file",
            file=source,
        )
    line = from_laps(chosen)
    _, distance = line.project(spots[:, 0], spots[:, 1])
    return Outline(line=line, origin="laps", fit=float(np.median(distance)))


def _goes_round(x: Floats, y: Floats) -> bool:
    """Whether it may be a lap: not a car that stands, nor one that drives off."""
    driven = float(np.hypot(np.diff(x), np.diff(y)).sum())
    return driven > 5000.0 and float(np.hypot(x[-1] - x[0], y[-1] - y[0])) < 0.2 * driven


def _whole_laps(
    positions: Mapping[int, Samples], laps: Mapping[int, CarLaps]
) -> list[tuple[Floats, Floats]]:
    """Quick laps without a gap, the densest first."""
    timed = [
        (car.duration[i], number, i)
        for number, car in laps.items()
        if number in positions
        for i in range(1, car.count)
        if not np.isnan(car.duration[i] + car.start[i])
    ]
    chosen = []
    for duration, number, i in sorted(timed)[: 4 * _FULL_LAPS]:
        start = laps[number].start[i]
        part = positions[number].between(start, start + duration)
        if len(part.times) < 50 or float(np.diff(part.times).max()) > 1.0:
            continue
        chosen.append((len(part.times), part.values["x"], part.values["y"]))
        if len(chosen) == _FULL_LAPS:
            break
    chosen.sort(key=lambda lap: -lap[0])
    return [(x, y) for _, x, y in chosen]


def _closed_laps(positions: Mapping[int, Samples]) -> list[tuple[Floats, Floats]]:
    """Where no lap table tells: from a place passed at speed to the next time it is passed."""
    for samples in positions.values():
        x, y, times = samples.values["x"], samples.values["y"], samples.times
        if len(times) < 1000:
            continue
        step = np.hypot(np.diff(x), np.diff(y))
        first = int(np.argmax(step > 80.0) + len(x) // 3)
        away = np.hypot(x[first:] - x[first], y[first:] - y[first])
        left = int(np.argmax(away > 3000.0))
        back = left + int(np.argmax(away[left:] < 250.0))
        if left and back > left + 50:
            part = slice(first, first + back)
            if float(np.diff(times[part]).max()) < 1.0:
                return [(x[part], y[part])]
    return []
