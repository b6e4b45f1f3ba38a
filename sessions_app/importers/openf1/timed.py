"""Practice and qualifying: cars in the order of their best laps, runs instead of a race."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import best_laps
from ...racing import TIMED_FIELDS, CarStatus, SectorMark
from ..resample import spans
from ..result import EventRecord, LapRecord
from ..tables import Table
from .car import Car
from .control import Message
from .deleted import SAME_TIME, DeletedLap
from .frames import SeriesBuilder, TimeBase
from .parts import SessionPart, clock_at, part_at
from .records import message_events
from .timing import PIT_LIMIT, CarStint, PitVisit

Floats = NDArray[np.float64]

PUSH = 1.07
"""Of a car's best lap: what is slower was no try for a time. The regulations' own limit."""
_TOLD_LATE = 30.0
"""Seconds within which the timing tells a best lap after it ended."""
_STANDING = 5.0
"""km/h below which a car stands."""
_GARAGE = 5.0
"""Seconds of standing that make a slow stretch a stay in the pits."""


def pit_stays(
    car: Car, told: Sequence[tuple[float, float]] | None, first: float, last: float
) -> list[tuple[float, float]]:
    """(in, out) of each stay in the pits from first to last, seconds since 1970.

    told: by the live timing, NaN for an end that was not seen; None where the source does not
    tell: then a car is in the pits while it drives no faster than is allowed there and stands for
    some seconds, and during its visits.
    """
    if told is not None:
        return [(first if math.isnan(a) else a, last if math.isnan(b) else b) for a, b in told]
    times, speed = car.speed(np.nan)
    if car.telemetry is None or len(times) < 2:
        return [(visit.entry, visit.exit) for visit in car.visits]
    found = []
    for begin, end in spans(speed <= PIT_LIMIT):
        standing = spans(speed[begin:end] <= _STANDING)
        stood = max((times[begin + b - 1] - times[begin + a] for a, b in standing), default=0.0)
        if stood >= _GARAGE:
            out = float(times[end]) if end < len(times) else last
            found.append((first if begin == 0 else float(times[begin]), out))
    for visit in car.visits:
        if not any(a <= visit.middle <= b for a, b in found):
            found.append((visit.entry, visit.exit))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class CountedLap:
    """A lap time that counts, or did for a while. lap: its index among the car's laps, None if it
    was driven before the recording began. ended, withdrawn, reinstated: seconds since 1970,
    infinity for what did not happen."""

    lap: int | None
    ended: float
    duration: float
    withdrawn: float = math.inf
    reinstated: float = math.inf

    @property
    def stands(self) -> bool:
        """Whether it counts in the end."""
        return self.withdrawn == math.inf or self.reinstated < math.inf


@dataclass(frozen=True, slots=True)
class TimedCar:
    """A car of a practice or a qualifying. stays: in the pits, (in, out). ends_in_pits: by lap.
    counted: its lap times that count, in the order of time."""

    car: Car
    stays: Sequence[tuple[float, float]]
    ends_in_pits: NDArray[np.bool_]
    counted: Sequence[CountedLap]

    def kinds(self) -> list[str]:
        """ "out", "in", "push" or "slow" of each lap."""
        laps = self.car.laps
        best = min((c.duration for c in self.counted if c.stands), default=math.inf)
        kinds = []
        for lap in range(laps.count):
            if laps.pit_out[lap]:
                kinds.append("out")
            elif self.ends_in_pits[lap]:
                kinds.append("in")
            else:
                kinds.append("push" if laps.duration[lap] <= PUSH * best else "slow")
        return kinds


def timed_car(
    car: Car,
    stays: Sequence[tuple[float, float]],
    deleted: Sequence[DeletedLap],
    bests: Sequence[tuple[float, float, float]] | None,
) -> TimedCar:
    """A car with what its laps were. deleted: of all cars; bests: as in `SourceTables`, None where
    the source does not tell: then every lap counts that began and ended on the track."""
    laps = car.laps
    inside = np.zeros(laps.count, dtype=np.bool_)
    inside[:-1] = laps.pit_out[1:]
    for index, end in enumerate(laps.end.tolist()):
        inside[index] |= any(a < end < b for a, b in stays)
    counted = []
    if bests is not None:
        for told, duration, withdrawn in bests:
            with np.errstate(invalid="ignore"):
                same = np.abs(laps.duration - duration) < SAME_TIME
                same &= np.abs(laps.end - told) < _TOLD_LATE
            lap = int(np.flatnonzero(same)[-1]) if same.any() else None
            ended = told if lap is None else min(told, float(laps.end[lap]))
            counted.append(CountedLap(lap, ended, duration, withdrawn))
        return TimedCar(car, stays, inside, counted)
    removed = {d.lap: d for d in deleted if d.car == car.number}
    whole = ~np.isnan(laps.end + laps.duration) & ~laps.pit_out & ~inside
    for index in np.flatnonzero(whole).tolist():
        d = removed.get(index)
        counted.append(
            CountedLap(
                index,
                float(laps.end[index]),
                float(laps.duration[index]),
                math.inf if d is None else d.withdrawn,
                math.inf if d is None else d.reinstated,
            )
        )
    return TimedCar(car, stays, inside, counted)


def laps_for_order(timed: TimedCar) -> best_laps.CarLaps:
    """What counts for the order."""
    laps = timed.car.laps
    found = [
        best_laps.TimedLap(math.nan, c.ended, c.duration, True, c.withdrawn, c.reinstated)
        for c in timed.counted
    ]
    # That a flying lap was begun counts, whatever became of it.
    for lap in np.flatnonzero(~laps.pit_out):
        began = float(laps.start[lap])
        if math.isnan(began):
            began = float(laps.end[lap] - laps.duration[lap])
        found.append(best_laps.TimedLap(began, math.nan, math.nan))
    return best_laps.CarLaps(found, [out for _, out in timed.stays])


def first_places(position: Table | None, numbers: Sequence[int]) -> list[int] | None:
    """Indices of the cars in the order in which the timing named them first; None if it does not.

    numbers: of the cars, in the order of the recording.
    """
    if position is None or not position.rows:
        return None
    places: dict[int, float] = {}
    for row in np.argsort(position["date"], kind="stable"):
        place = float(position["position"][row])
        if not math.isnan(place):
            places.setdefault(int(position["driver_number"][row]), place)
    return sorted(range(len(numbers)), key=lambda i: places.get(numbers[i], math.inf))


class TimedSeries(SeriesBuilder):
    """What was measured in a practice or a qualifying."""

    def __init__(self, codes: Sequence[str], base: TimeBase) -> None:
        super().__init__(codes, base, TIMED_FIELDS)

    def add_timed_car(
        self,
        column: int,
        timed: TimedCar,
        *,
        lap_length: float,
        red: Sequence[tuple[float, float]],
    ) -> None:
        """Everything about one car that needs no other car. lap_length: decimetres."""
        code, times, car = self.schema.entities[column], self.base.times, timed.car
        self._place(column, car, lap_length, red)
        self._telemetry(code, car)
        status = self.status[:, column]
        status[:] = CarStatus.TRACK
        if len(car.positions.times):
            status[np.isnan(self.frames_of(column, "x"))] = CarStatus.UNSEEN
        for begin, end in timed.stays:
            status[(times >= begin) & (times < end)] = CarStatus.PIT
        self._add_changes(code, "status", status)
        lap = np.searchsorted(_known(car.laps.end), times, side="right") + 1
        lap = np.minimum(lap, max(car.laps.count, 1))
        left = [out for _, out in timed.stays]
        started = min([*left, *_known(car.laps.start)], default=math.inf)
        self.lap[:, column] = np.where(times < started, 0, lap)
        self._add_changes(code, "lap", self.lap[:, column])
        self._tyres(code, car)
        self._last_times(code, timed)
        entries = np.array(sorted(begin for begin, _ in timed.stays if begin > times[0]))
        self._add_changes(code, "pit_stops", np.searchsorted(entries, times, side="right"))

    def _last_times(self, code: str, timed: TimedCar) -> None:
        laps = timed.car.laps
        shown = ~np.isnan(laps.end) & ~np.isnan(laps.duration) & ~laps.pit_out
        self._add_forward(code, "last_lap_time", laps.end[shown], laps.duration[shown])
        ends = sector_ends(timed.car)
        for sector in range(3):
            passed, values = ends[:, sector], laps.sectors[:, sector]
            known = ~np.isnan(passed) & ~np.isnan(values)
            self._add_forward(code, f"sector{sector + 1}", passed[known], values[known])

    def order(
        self,
        cars: Sequence[TimedCar],
        parts: Sequence[SessionPart],
        first_order: Sequence[int] | None,
    ) -> best_laps.BestLapOrder:
        """Order, gaps and best laps of all cars."""
        shown = [best_laps.Part(part.shown, part.entries) for part in parts]
        result = best_laps.best_lap_order(
            self.base.times, [laps_for_order(car) for car in cars], shown, first_order
        )
        self.position = result.position
        for column, code in enumerate(self.schema.entities):
            for name, values in (
                ("position", result.position),
                ("best_lap_time", result.best),
                ("gap_to_leader", result.gap),
                ("interval", result.interval),
            ):
                self._add_changes(code, name, values[:, column])
        for sector in range(3):
            changes = sector_marks(cars, parts, sector)
            for code, (moments, marks) in zip(self.schema.entities, changes, strict=True):
                values = np.array(marks, dtype=np.float64)
                self._add_forward(code, f"sector{sector + 1}_mark", np.array(moments), values)
        return result

    def clock(
        self,
        parts: Sequence[SessionPart],
        messages: Sequence[Message],
        told: Sequence[tuple[float, float, bool]],
    ) -> None:
        """The part and its clock in each frame; there is no leader's lap."""
        times = self.base.times
        self._add_changes(None, "session_part", part_at(parts, times))
        self._add_changes(None, "session_clock", clock_at(parts, messages, times, told))


def _known(values: Floats) -> Floats:
    return np.sort(values[~np.isnan(values)])


def sector_ends(car: Car) -> Floats:
    """When each sector of each lap was passed, shape (laps, 3), NaN where unknown."""
    laps = car.laps
    ends = np.full((laps.count, 3), np.nan)
    ends[:, 2] = laps.end
    ends[:, 0] = laps.start + laps.sectors[:, 0]
    ends[:, 1] = ends[:, 0] + laps.sectors[:, 1]
    # On a lap out of the pits the first sector has no time: go back from the end of the lap.
    back = laps.end - laps.sectors[:, 2]
    ends[:, 1] = np.where(np.isnan(ends[:, 1]), back, ends[:, 1])
    before = ends[:, 1] - laps.sectors[:, 1]
    ends[:, 0] = np.where(np.isnan(ends[:, 0]), before, ends[:, 0])
    return ends


def sector_marks(
    cars: Sequence[TimedCar], parts: Sequence[SessionPart], sector: int
) -> list[tuple[list[float], list[float]]]:
    """Per car the moments at which the mark of its latest time of a sector changes, and the marks.

    Bests are those of a part, as in the timing: each part begins with no marks (NaN), and a time
    that was the best of all is so no longer when another beats it.
    """
    passings = []
    for column, timed in enumerate(cars):
        ends, values = sector_ends(timed.car)[:, sector], timed.car.laps.sectors[:, sector]
        for lap in np.flatnonzero(~np.isnan(ends) & ~np.isnan(values)):
            passings.append((float(ends[lap]), column, float(values[lap])))
    passings.sort()
    changes: list[tuple[list[float], list[float]]] = [([], []) for _ in cars]

    def mark(column: int, time: float, value: float) -> None:
        changes[column][0].append(time)
        changes[column][1].append(value)

    for index, part in enumerate(parts):
        end = parts[index + 1].shown if index + 1 < len(parts) else math.inf
        if index:
            for column in range(len(cars)):
                mark(column, part.shown, math.nan)
        own: dict[int, float] = {}
        latest: dict[int, float] = {}
        holder, best = -1, math.inf
        for time, column, value in passings:
            if not part.shown <= time < end:
                continue
            if value < best:
                if holder not in (-1, column) and latest[holder] == best:
                    mark(holder, time, SectorMark.PERSONAL_BEST)
                holder, best = column, value
            latest[column] = value
            is_best = value <= own.get(column, math.inf)
            own[column] = min(value, own.get(column, math.inf))
            if is_best and holder == column and value == best:
                mark(column, time, SectorMark.OVERALL_BEST)
            else:
                mark(column, time, SectorMark.PERSONAL_BEST if is_best else SectorMark.SLOWER)
    return changes


def timed_events(
    cars: Sequence[TimedCar],
    codes: Mapping[int, str],
    messages: Sequence[Message],
    deleted: Sequence[DeletedLap],
    parts: Sequence[SessionPart],
    order: best_laps.BestLapOrder,
    base: TimeBase,
) -> list[EventRecord]:
    """Parts, eliminations, deleted laps, stays in the pits, best laps, in the order of frames."""
    first, last = float(base.times[0]), float(base.times[-1])
    said = {d.message for d in deleted}
    events = message_events((m for m in messages if m.text not in said), codes, base)
    for d in deleted:
        if first <= d.time <= last:
            time = "" if math.isnan(d.duration) else _lap_time(d.duration)
            text = d.message or f"{codes[d.car]}: lap of {time} deleted"
            events.append(
                EventRecord(base.frame(d.time), "lap_deleted", text, codes[d.car], time, d.lap + 1)
            )
    for index, part in enumerate(parts):
        name = part.name or "Session"
        if first <= part.green <= last:
            events.append(
                EventRecord(base.frame(part.green), "part_start", f"{name} begins", value=part.name)
            )
        if part.flag is not None and first <= part.flag <= last:
            events.append(
                EventRecord(base.frame(part.flag), "part_end", f"{name} ends", value=part.name)
            )
        if index == 0:
            continue
        before = parts[index - 1].name
        for column in np.flatnonzero(order.eliminated == index):
            code = codes[cars[int(column)].car.number]
            events.append(
                EventRecord(
                    base.frame(part.shown),
                    "elimination",
                    f"{code} is out in {before}",
                    code,
                    before,
                )
            )
    for timed in cars:
        code = codes[timed.car.number]
        events += [
            EventRecord(base.frame(begin), "pit", f"{code} pits", code)
            for begin, _ in timed.stays
            if first < begin < last
        ]
    events += _best_lap_events(cars, codes, parts, base)
    return sorted(events, key=lambda event: event.frame)


def _lap_time(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:06.3f}"


def _best_lap_events(
    cars: Sequence[TimedCar],
    codes: Mapping[int, str],
    parts: Sequence[SessionPart],
    base: TimeBase,
) -> list[EventRecord]:
    """Each lap that was the best of its part when it was driven."""
    laps = sorted(
        (c.ended, c.duration, codes[timed.car.number], c.lap)
        for timed in cars
        for c in timed.counted
        if c.stands and c.lap is not None
    )
    events, best = [], {part.number: math.inf for part in parts}
    for end, duration, code, lap in laps:
        number = int(part_at(parts, np.array([end]))[0])
        if duration >= best[number] or not base.times[0] <= end <= base.times[-1]:
            continue
        best[number] = duration
        text = f"{code}: best lap, {_lap_time(duration)}"
        events.append(
            EventRecord(base.frame(end), "fastest_lap", text, code, f"{duration:.3f}", lap + 1)
        )
    return events


def timed_laps(
    cars: Sequence[TimedCar],
    codes: Mapping[int, str],
    builder: SeriesBuilder,
    base: TimeBase,
) -> list[LapRecord]:
    """Every lap of every car within the recording."""
    records = []
    for column, timed in enumerate(cars):
        laps = timed.car.laps
        for lap in range(laps.count):
            begin, end = float(laps.start[lap]), float(laps.end[lap])
            if not (begin <= base.times[-1] or end <= base.times[-1]):
                continue
            end_frame = None if math.isnan(end) or end > base.times[-1] else base.frame(end)
            sectors = [None if math.isnan(s) else round(float(s), 3) for s in laps.sectors[lap]]
            duration = float(laps.duration[lap])
            records.append(
                LapRecord(
                    entity=codes[timed.car.number],
                    number=lap + 1,
                    start_frame=None if math.isnan(begin) else base.frame(begin),
                    end_frame=end_frame,
                    duration=None if math.isnan(duration) else round(duration, 3),
                    sectors=(sectors[0], sectors[1], sectors[2]),
                    position=None
                    if end_frame is None
                    else int(builder.position[end_frame, column]),
                    pit_in=bool(timed.ends_in_pits[lap]),
                    pit_out=bool(laps.pit_out[lap]),
                )
            )
    return records


def timed_metadata(
    cars: Sequence[TimedCar],
    codes: Mapping[int, str],
    parts: Sequence[SessionPart],
    order: best_laps.BestLapOrder,
    deleted: Sequence[DeletedLap],
    base: TimeBase,
) -> dict[str, Any]:
    """`session_parts`, `results`, `runs` and `deleted_laps`, JSON-able; frames are numbers."""
    column = {timed.car.number: i for i, timed in enumerate(cars)}
    return {
        "session_parts": [
            {
                "number": part.number,
                "name": part.name,
                "start_frame": 0 if part.shown == -math.inf else base.frame(part.shown),
                "green_frame": base.frame(part.green),
                "flag_frame": None if part.flag is None else base.frame(part.flag),
                "entries": part.entries or len(cars),
                "eliminated": [
                    codes[cars[int(i)].car.number]
                    for i in np.argsort(order.position[-1])
                    if order.eliminated[i] == index + 1
                ],
            }
            for index, part in enumerate(parts)
        ],
        "results": [
            {
                "entity": codes[cars[int(i)].car.number],
                "position": place,
                "laps": _best_of_parts(cars[int(i)], parts, base),
                "eliminated_in": parts[int(order.eliminated[i]) - 1].name
                if order.eliminated[i] > 0
                else None,
            }
            for place, i in enumerate(np.argsort(order.position[-1]), 1)
        ],
        "runs": {codes[timed.car.number]: runs_of(timed, parts) for timed in cars},
        "deleted_laps": [
            {
                "entity": codes[d.car],
                "lap": d.lap + 1,
                "time": None if math.isnan(d.duration) else round(d.duration, 3),
                "reason": d.reason,
                "frame": base.frame(d.withdrawn),
                "reinstated_frame": None if math.isinf(d.reinstated) else base.frame(d.reinstated),
            }
            for d in deleted
            if d.car in column
        ],
    }


def _best_of_parts(
    timed: TimedCar, parts: Sequence[SessionPart], base: TimeBase
) -> dict[str, dict[str, Any]]:
    """The best lap of each part by its name, of a practice by "best"."""
    laps = timed.car.laps
    best: dict[str, dict[str, Any]] = {}
    for counted in timed.counted:
        if not counted.stands:
            continue
        duration = round(counted.duration, 3)
        number = int(part_at(parts, np.array([counted.ended]))[0])
        name = next(part.name for part in parts if part.number == number) or "best"
        if name in best and duration >= best[name]["time"]:
            continue
        sectors: list[float | None] = [None] * 3
        if counted.lap is not None:
            own = laps.sectors[counted.lap]
            sectors = [None if math.isnan(s) else round(float(s), 3) for s in own]
        best[name] = {
            "lap": None if counted.lap is None else counted.lap + 1,
            "time": duration,
            "sectors": sectors,
            "start_frame": base.frame(counted.ended - duration),
            "end_frame": base.frame(counted.ended),
        }
    return best


def runs_of(timed: TimedCar, parts: Sequence[SessionPart]) -> list[dict[str, Any]]:
    """What a car drove from each leaving of the pits to its return: its laps and their kinds, the
    tyres, the best lap that counts, the part."""
    kinds, laps = timed.kinds(), timed.car.laps
    starts = [i for i in range(laps.count) if laps.pit_out[i] or i == 0]
    runs = []
    for first, after in zip(starts, [*starts[1:], laps.count], strict=True):
        stint = _stint_at(timed.car.stints, first + 1)
        valid = [
            c.duration
            for c in timed.counted
            if c.stands and c.lap is not None and first <= c.lap < after
        ]
        known = laps.end[first:after][~np.isnan(laps.end[first:after])]
        part = int(part_at(parts, known[:1])[0]) if known.size else parts[-1].number
        runs.append(
            {
                "lap_start": first + 1,
                "lap_end": after,
                "kinds": kinds[first:after],
                "compound": "" if stint is None else stint.compound.lower(),
                "tyre_age": None if stint is None else stint.age_at(first + 1),
                "best": round(min(valid), 3) if valid else None,
                "part": next(p.name for p in parts if p.number == part),
            }
        )
    return runs


def _stint_at(stints: Sequence[CarStint], lap: int) -> CarStint | None:
    return next((s for s in reversed(stints) if s.lap_start <= lap), None)


def visits_of(stays: Sequence[tuple[float, float]], car: Car) -> list[PitVisit]:
    """Stays in the pits as visits: each ends in the lap that was begun last when it ended."""
    starts = car.laps.start
    result = []
    for begin, end in stays:
        begun = np.flatnonzero(starts <= end + 1.0)
        result.append(PitVisit(begin, end, int(begun[-1]) + 1 if begun.size else 1))
    return result
