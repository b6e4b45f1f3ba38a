"""Cars and tables → entities, geometry, events, laps and stints of the result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...racing import CarStatus
from ..result import (
    MAX_CODE,
    Corner,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    LapRecord,
    StintRecord,
)
from ..tables import Table
from ..text import cleaned
from .car import Car
from .control import Message
from .frames import SeriesBuilder, TimeBase
from .outline import Outline

_COLOUR = re.compile(r"^[0-9A-Fa-f]{6}$")
_SPACING = 100.0
"""Decimetres between vertices of the stored line: finer than a screen shows of a whole circuit."""
_OPEN_DRS = 10
_BINS = 500


def entities_of(numbers: Sequence[int], drivers: Table | None) -> list[EntityRecord]:
    """In the order of the numbers; a car that the drivers' table lacks is called by its number."""
    rows: dict[int, int] = {}
    if drivers is not None:
        for row, number in enumerate(drivers["driver_number"]):
            if not np.isnan(number):
                rows.setdefault(int(number), row)
    records, taken = [], set()
    for number in numbers:
        text = partial(_text, drivers, rows.get(number))
        # The number of another car is no name for this one.
        code = text("name_acronym")[:MAX_CODE]
        if not code or code in taken or (code.isdecimal() and code != str(number)):
            code = str(number)
        taken.add(code)
        colour = text("team_colour").removeprefix("#")
        country = text("country_code")
        records.append(
            EntityRecord(
                code=code,
                name=text("full_name"),
                number=str(number),
                team=text("team_name"),
                colour=f"#{colour.lower()}" if _COLOUR.match(colour) else "",
                kind="car",
                attributes={"country": country} if country else {},
            )
        )
    return records


def _text(drivers: Table | None, row: int | None, name: str) -> str:
    if drivers is None or row is None or name not in drivers:
        return ""
    return cleaned(str(drivers[name][row]), 120)


def geometry_of(
    outline: Outline, cars: Sequence[Car], builder: SeriesBuilder, base: TimeBase
) -> GeometryRecord:
    """The circuit with what the race tells of it: sectors, DRS zones, pit lane."""
    if outline.line is None:
        return _ground(cars, base)
    exact = outline.line
    line = exact.evenly(_SPACING)
    inner, outer = line.edges()
    everything = np.vstack((line.points, inner, outer))
    low, high = everything.min(axis=0), everything.max(axis=0)
    fractions, _ = exact.project(
        np.array([c.x for c in outline.corners]), np.array([c.y for c in outline.corners])
    )
    return GeometryRecord(
        kind="circuit",
        unit="dm",
        bounds=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        rotation=outline.rotation,
        length=round(exact.length / 10.0, 1),
        centre_line=_points(line.points),
        inner_edge=_points(inner),
        outer_edge=_points(outer),
        pit_lane=_pit_lane(cars, builder, base),
        sectors=_sectors(cars),
        marshal_sectors=marshal_sector_starts(outline),
        drs_zones=_drs_zones(builder),
        corners=[
            Corner(c.label, c.x, c.y, c.angle, round(float(f), 5))
            for c, f in zip(outline.corners, fractions, strict=True)
        ],
    )


def _ground(cars: Sequence[Car], base: TimeBase) -> GeometryRecord:
    """Where the circuit is not known: the extent of the positions."""
    shown = [car.positions.between(float(base.times[0]), float(base.times[-1])) for car in cars]
    spots = []
    for name in ("x", "y"):
        known = np.concatenate([samples.values[name] for samples in shown])
        spots.append((float(known.min()), float(known.max())) if known.size else (0.0, 0.0))
    (left, right), (low, high) = spots
    margin = 0.05 * max(right - left, high - low, 1.0)
    bounds = (left - margin, low - margin, right + margin, high + margin)
    return GeometryRecord(kind="map", unit="dm", bounds=bounds)


def _points(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(round(float(x), 1), round(float(y), 1)) for x, y in points]


def marshal_sector_starts(outline: Outline) -> list[float]:
    """Where they begin, if they follow each other once around the lap as their numbers do."""
    if outline.line is None or len(outline.marshal_sectors) < 2:
        return []
    places = np.array(outline.marshal_sectors)
    fractions, _ = outline.line.project(places[:, 0], places[:, 1])
    steps = np.diff(fractions, append=fractions[0]) % 1.0
    if np.any(steps == 0.0) or abs(float(steps.sum()) - 1.0) > 1e-6:
        return []
    return [round(float(fraction), 5) for fraction in fractions]


def _sectors(cars: Sequence[Car]) -> list[float]:
    """Where sectors 2 and 3 begin: the median over all laps of where the cars were then."""
    result = []
    for sector in (1, 2):
        places = []
        for car in cars:
            known = ~np.isnan(car.progress)
            when = car.laps.start + car.laps.sectors[:, :sector].sum(axis=1)
            when = when[1:][~np.isnan(when[1:])]
            if known.sum() < 2 or not when.size:
                continue
            places.append(np.interp(when, car.positions.times[known], car.progress[known]) % 1.0)
        if not places:
            return []
        result.append(round(float(np.median(np.concatenate(places))), 5))
    return result if result[0] < result[1] else []


def _drs_zones(builder: SeriesBuilder) -> list[tuple[float, float]]:
    """Stretches where DRS was open again and again, as fractions of the lap."""
    places = []
    for column in range(len(builder.schema.entities)):
        opened = builder.frames_of(column, "drs") >= _OPEN_DRS
        places.append(builder.progress[opened, column] % 1.0)
    fraction = np.concatenate(places)
    fraction = fraction[~np.isnan(fraction)]
    if fraction.size < 1000:
        return []
    count, edges = np.histogram(fraction, bins=_BINS, range=(0.0, 1.0))
    used = count > 0.3 * np.sort(count)[-_BINS // 20]
    if used.all():
        return []
    # Begin at a bin that is not used, so that a zone across the start line stays in one piece.
    shift = int(np.argmin(used))
    flags = np.concatenate(([False], np.roll(used, -shift), [False])).astype(np.int8)
    zones = []
    for a, b in np.flatnonzero(np.diff(flags)).reshape(-1, 2):
        if b - a >= _BINS // 50:
            zones.append((float(edges[(a + shift) % _BINS]), float(edges[(b + shift) % _BINS])))
    return sorted((round(a, 4), round(b, 4)) for a, b in zones)


def _pit_lane(
    cars: Sequence[Car], builder: SeriesBuilder, base: TimeBase
) -> list[tuple[float, float]]:
    """The way of the car whose visit took the median time."""
    visits = sorted(
        (visit.exit - visit.entry, column, visit.entry, visit.exit)
        for column, car in enumerate(cars)
        for visit in car.visits
    )
    if not visits:
        return []
    _, column, entry, leave = visits[len(visits) // 2]
    frames = slice(base.frame(entry), base.frame(leave), 5)
    x, y = (np.rint(builder.frames_of(column, name, frames)) for name in ("x", "y"))
    seen = ~np.isnan(x)
    path: list[tuple[float, float]] = []
    for point in zip(x[seen].tolist(), y[seen].tolist(), strict=True):
        if not path or np.hypot(point[0] - path[-1][0], point[1] - path[-1][1]) > 50:
            path.append((float(point[0]), float(point[1])))
    return path


def message_events(
    messages: Iterable[Message], codes: Mapping[int, str], base: TimeBase
) -> list[EventRecord]:
    """What race control said while the recording runs. codes: by number, of the cars."""
    first, last = float(base.times[0]), float(base.times[-1])
    return [
        EventRecord(
            frame=base.frame(message.time),
            kind=message.kind,
            message=message.text,
            entity=codes.get(message.driver, "") if message.driver is not None else "",
            value=message.flag.lower().replace(" ", "_"),
            lap=message.lap,
            sector=message.sector,
        )
        for message in messages
        if first <= message.time <= last
    ]


def events_of(
    cars: Sequence[Car],
    codes: Mapping[int, str],
    messages: Sequence[Message],
    rain: Sequence[tuple[float, bool]],
    base: TimeBase,
) -> list[EventRecord]:
    """Everything that happened while the recording runs, in the order of frames."""
    first, last = float(base.times[0]), float(base.times[-1])
    events = [EventRecord(base.start_frame, "start", "Race start")]
    events += message_events(messages, codes, base)
    for time, raining in rain:
        if first <= time <= last:
            text = "Rain" if raining else "Rain has stopped"
            events.append(EventRecord(base.frame(time), "weather", text, value=str(int(raining))))
    for car in cars:
        events += _car_events(car, codes[car.number], base)
    events += _fastest_laps(cars, codes, base)
    return sorted(events, key=lambda event: event.frame)


def _car_events(car: Car, code: str, base: TimeBase) -> list[EventRecord]:
    events = [
        EventRecord(base.frame(v.entry), "pit", f"{code} pits", code, lap=v.out_lap - 1)
        for v in car.visits
    ]
    if car.finish is not None:
        done = car.laps_done(car.finish)
        text = f"{code} finishes after {done} laps"
        events.append(EventRecord(base.frame(car.finish), "finish", text, code, lap=done))
    if car.retired is not None:
        done = car.laps_done(car.retired)
        frame = base.frame(car.retired)
        events.append(EventRecord(frame, "retirement", f"{code} is out", code, lap=done + 1))
    return events


def _fastest_laps(
    cars: Sequence[Car], codes: Mapping[int, str], base: TimeBase
) -> list[EventRecord]:
    """Each lap that beat all before it, from the second lap on."""
    laps = sorted(
        (float(car.laps.end[i]), float(car.laps.duration[i]), codes[car.number], i + 1)
        for car in cars
        for i in range(1, car.laps.count)
        if not np.isnan(car.laps.duration[i] + car.laps.end[i])
    )
    events, best = [], np.inf
    for end, duration, code, number in laps:
        if duration < best and end <= base.times[-1]:
            best = duration
            text = f"{code}: fastest lap, {int(duration // 60)}:{duration % 60:06.3f}"
            events.append(
                EventRecord(base.frame(end), "fastest_lap", text, code, f"{duration:.3f}", number)
            )
    return events


def laps_of(
    cars: Sequence[Car],
    codes: Mapping[int, str],
    builder: SeriesBuilder,
    base: TimeBase,
    total_laps: int | None,
) -> list[LapRecord]:
    """Laps of all cars within the race; the drive back after the flag is none."""
    records = []
    for column, car in enumerate(cars):
        out_laps = {visit.out_lap for visit in car.visits}
        count = max(car.laps.count, len(car.crossings))
        if car.finish is not None:
            count = min(count, car.laps_done(car.finish))
        if total_laps is not None:
            count = min(count, total_laps)
        for lap in range(1, count + 1):
            begin = base.start if lap == 1 else _at(car.crossings, lap - 2)
            end = _at(car.crossings, lap - 1)
            timed = lap <= car.laps.count
            duration = _number(car.laps.duration[lap - 1]) if timed else None
            sectors = [_number(s) for s in car.laps.sectors[lap - 1]] if timed else [None] * 3
            end_frame = None if end is None else base.frame(end)
            place = None
            if end_frame is not None:
                # Standings are held for a fifth of a second; look just past the line.
                shown = min(end_frame + round(base.rate / 5), len(base.times) - 1)
                place = int(builder.position[shown, column])
            records.append(
                LapRecord(
                    entity=codes[car.number],
                    number=lap,
                    start_frame=None if begin is None else base.frame(begin),
                    end_frame=end_frame,
                    duration=duration,
                    sectors=(sectors[0], sectors[1], sectors[2]),
                    position=place,
                    pit_in=lap + 1 in out_laps,
                    pit_out=lap in out_laps,
                )
            )
    return records


def _at(values: NDArray[np.float64], index: int) -> float | None:
    return float(values[index]) if 0 <= index < len(values) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def stints_of(cars: Sequence[Car], codes: Mapping[int, str]) -> list[StintRecord]:
    return [
        StintRecord(
            entity=codes[car.number],
            number=stint.number,
            lap_start=stint.lap_start,
            lap_end=stint.lap_end,
            compound=stint.compound.lower(),
            tyre_age_at_start=stint.age_at_start,
        )
        for car in cars
        for stint in car.stints
    ]


def unseen_share(builder: SeriesBuilder) -> float:
    """Share of all cars' frames in which the car was lost, 0…1."""
    return float((builder.status == CarStatus.UNSEEN).mean())
