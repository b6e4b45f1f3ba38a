"""Laps and stints of each car, and the exact moments at which it crossed the line. Pure numpy.

`date_start` jitters by up to half a second from lap to lap, while `lap_duration` is official to
the millisecond. So crossings are the durations added up, placed in time by the median of all the
starts of a run of laps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ...racing import Tyre
from ..report import Done, Report
from ..tables import Table
from .folder import MAX_LAPS

Floats = NDArray[np.float64]

_SAME_INSTANT = 0.05
"""Seconds within which no two cars cross a line again and again: rows that agree to this are not
of crossings."""
_MAX_DISAGREEMENT = 1.0
"""Seconds by which a start may differ from the one before plus its duration. Beyond that one of
them is wrong, and the two laps are placed apart."""


@dataclass(frozen=True, slots=True)
class CarLaps:
    """Laps 1…n of one car, index 0 is lap 1; NaN where unknown.

    start: seconds since 1970. duration, sectors (n, 3): seconds. pit_out: began in the pit lane.
    """

    start: Floats
    duration: Floats
    sectors: Floats
    pit_out: NDArray[np.bool_]

    @property
    def count(self) -> int:
        return len(self.start)

    def first(self, count: int) -> CarLaps:
        """Laps 1 to `count`."""
        return CarLaps(
            self.start[:count], self.duration[:count], self.sectors[:count], self.pit_out[:count]
        )

    @property
    def end(self) -> Floats:
        """When each lap ended: its start and duration, else the next start."""
        ends = self.start + self.duration
        following = np.append(self.start[1:], np.nan)
        return np.where(np.isnan(ends), following, ends)

    @property
    def completed(self) -> int:
        """Laps up to the last one that has a duration."""
        timed = np.flatnonzero(~np.isnan(self.duration))
        return int(timed[-1]) + 1 if timed.size else 0


def no_laps() -> CarLaps:
    """A car that never crossed the line."""
    empty = np.zeros(0)
    return CarLaps(empty, empty, np.zeros((0, 3)), np.zeros(0, dtype=np.bool_))


def read_laps(table: Table, report: Report) -> dict[int, CarLaps]:
    """Laps by driver number; of two rows for one lap the later one counts.

    Raises: ImportSourceError, if strict, for a row without a lap number.
    """
    numbers = table["lap_number"]
    expected = f"a lap number from 1 to {MAX_LAPS}"
    table = table.believed(report, ~(numbers >= 1), "lap_number", expected, Done.ROW)
    keys = table["driver_number"] * (MAX_LAPS + 1) + table["lap_number"]
    _, last = np.unique(keys[::-1], return_index=True)
    again = np.ones(table.rows, dtype=np.bool_)
    again[table.rows - 1 - last] = False
    table = table.believed(
        report, again, "lap_number", "each lap of a car once", Done.ROW, known=True
    )
    result = {}
    for driver in np.unique(table["driver_number"]):
        own = table.where(table["driver_number"] == driver)
        index = own["lap_number"].astype(np.int64) - 1
        count = int(index.max()) + 1
        start, duration = np.full(count, np.nan), np.full(count, np.nan)
        sectors = np.full((count, 3), np.nan)
        pit_out = np.zeros(count, dtype=np.bool_)
        start[index] = own["date_start"]
        duration[index] = own["lap_duration"]
        for k in range(3):
            name = f"duration_sector_{k + 1}"
            if name in own:
                sectors[index, k] = own[name]
        if "is_pit_out_lap" in own:
            pit_out[index] = own["is_pit_out_lap"]
        duration = np.where(np.isnan(duration), sectors.sum(axis=1), duration)
        duration[~(duration > 0)] = np.nan
        result[int(driver)] = CarLaps(start, duration, sectors, pit_out)
    for driver in _ended_by_the_session(result):
        laps = result[driver]
        _report_lap(table, report, driver, laps.count - 1, laps.start, "a lap", Done.ROW)
        result[driver] = laps.first(laps.count - 1)
    for driver, laps in result.items():
        start = ordered_starts(laps.start, laps.duration)
        for lap in np.flatnonzero(np.isnan(start) & ~np.isnan(laps.start)):
            expected = "a start that the other laps do not contradict"
            _report_lap(table, report, driver, int(lap), laps.start, expected, Done.VALUE)
        result[driver] = replace(laps, start=settled_starts(start, laps.duration))
    return result


def _report_lap(
    table: Table, report: Report, driver: int, lap: int, start: Floats, expected: str, done: Done
) -> None:
    """List a lap's start, or the lap, as not believed. lap: from 0."""
    rows = (table["driver_number"] == driver) & (table["lap_number"] == lap + 1)
    file, row = table.place(int(np.flatnonzero(rows)[-1]))
    report.leave_out(
        done,
        expected,
        table=table.name,
        file=file,
        row=row,
        column="date_start",
        found=datetime.fromtimestamp(float(start[lap]), UTC).isoformat(),
        known=True,
    )


def _ended_by_the_session(cars: Mapping[int, CarLaps]) -> list[int]:
    """Cars whose last row is no lap but the end of the session: untimed, and begun at the same
    instant as that of another car. Lap 1 begins for all at once."""
    last = {
        driver: float(laps.start[-1])
        for driver, laps in cars.items()
        if laps.count > 1 and np.isnan(laps.duration[-1]) and np.isnan(laps.sectors[-1]).all()
    }
    return [
        driver
        for driver, start in last.items()
        if any(abs(start - t) <= _SAME_INSTANT for other, t in last.items() if other != driver)
    ]


def ordered_starts(start: Floats, duration: Floats) -> Floats:
    """Lap starts that follow each other: of those that contradict the others, the fewest are left
    out, first of all those that no neighbour's duration confirms."""
    known = np.flatnonzero(~np.isnan(start))
    times = start[known]
    if not (np.diff(times) < 0).any():
        return start
    with np.errstate(invalid="ignore"):
        fits = np.abs(start[:-1] + duration[:-1] - start[1:]) <= _MAX_DISAGREEMENT
    weight = 1.0 + np.append(fits, False) + np.insert(fits, 0, False)
    best, before = weight[known], np.full(len(known), -1)
    for i in range(1, len(known)):
        earlier = np.flatnonzero(times[:i] <= times[i])
        if earlier.size:
            j = earlier[np.argmax(best[earlier])]
            best[i] += best[j]
            before[i] = j
    kept, i = [], int(np.argmax(best))
    while i >= 0:
        kept.append(known[i])
        i = int(before[i])
    result = np.full(len(start), np.nan)
    result[kept] = start[kept]
    return result


def settled_starts(start: Floats, duration: Floats) -> Floats:
    """Lap starts without their jitter: per run of laps that fit together, the durations added up,
    placed at the median of what the starts say; starts that were null are filled in by that."""
    result = np.array(start, dtype=np.float64)
    first = 0
    for lap in range(len(start)):
        if lap + 1 < len(start) and _continues(start, duration, lap):
            continue
        run = slice(first, lap + 1)
        offset = np.concatenate(([0.0], np.cumsum(duration[first:lap])))
        placed = start[run] - offset
        if not np.isnan(placed).all():
            result[run] = np.nanmedian(placed) + offset
        first = lap + 1
    return result


def _continues(start: Floats, duration: Floats, lap: int) -> bool:
    """Whether the lap after `lap` begins where it ends. Lap 1 stands alone: its start is the
    race's, and its duration is counted from the start signal."""
    if lap == 0 or np.isnan(duration[lap]):
        return False
    difference = start[lap + 1] - start[lap] - duration[lap]
    return bool(np.isnan(difference) or abs(difference) <= _MAX_DISAGREEMENT)


def race_start(laps: Mapping[int, CarLaps]) -> float | None:
    """The start of lap 1 that most cars share, seconds since 1970; where lap 1 has none, the start
    of lap 2 less its duration; None if no one has either."""
    starts = []
    for car in laps.values():
        if car.count and not np.isnan(car.start[0]):
            starts.append(float(car.start[0]))
        elif car.count > 1 and not np.isnan(car.start[1] - car.duration[0]):
            starts.append(float(car.start[1] - car.duration[0]))
    return float(np.median(starts)) if starts else None


def crossings(laps: CarLaps) -> Floats:
    """When the line was crossed at the end of lap 1, 2…, seconds since 1970; NaN where unknown."""
    following = np.append(laps.start[1:], np.nan)
    if laps.count > 1 and np.isnan(laps.duration[-1]):
        # What follows the last timed lap may be the end of the session, not a lap.
        following[-2] = np.nan
    return np.where(np.isnan(following), laps.end, following)


@dataclass(frozen=True, slots=True)
class CarStint:
    """Laps on one set of tyres. tyre: None for a compound that is not known."""

    number: int
    lap_start: int
    lap_end: int
    compound: str
    age_at_start: int | None
    tyre: Tyre | None = field(default=None)

    def age_at(self, lap: int) -> int | None:
        """Laps that the tyres had done when a lap began."""
        return None if self.age_at_start is None else self.age_at_start + lap - self.lap_start


def read_stints(table: Table, report: Report) -> dict[int, list[CarStint]]:
    """Stints by driver number, in the order of their laps; the same stint twice counts once.

    Raises: ImportSourceError, if strict, for a stint without its number or its first lap.
    """
    for column in ("lap_start", "stint_number"):
        table = table.believed(report, np.isnan(table[column]), column, "a number", Done.ROW)
    with np.errstate(invalid="ignore"):
        reversed_ = table["lap_end"] < table["lap_start"]
    table = table.believed(
        report, reversed_, "lap_end", "a lap not before lap_start", Done.VALUE, known=True
    )
    keys = table["driver_number"] * (MAX_LAPS + 1) + table["stint_number"]
    _, first = np.unique(keys, return_index=True)
    again = np.ones(table.rows, dtype=np.bool_)
    again[first] = False
    table = table.believed(
        report, again, "stint_number", "each stint of a car once", Done.ROW, known=True
    )
    result: dict[int, list[CarStint]] = {}
    for row in range(table.rows):
        lap_start, lap_end = table["lap_start"][row], table["lap_end"][row]
        age = table["tyre_age_at_start"][row] if "tyre_age_at_start" in table else np.nan
        compound = table["compound"][row].strip().upper()
        result.setdefault(int(table["driver_number"][row]), []).append(
            CarStint(
                number=int(table["stint_number"][row]),
                lap_start=int(lap_start),
                lap_end=int(lap_start if np.isnan(lap_end) else lap_end),
                compound=compound,
                age_at_start=None if np.isnan(age) else int(age),
                tyre=Tyre.__members__.get(compound),
            )
        )
    for stints in result.values():
        stints.sort(key=lambda stint: (stint.lap_start, stint.number))
    return result


@dataclass(frozen=True, slots=True)
class PitVisit:
    """One drive through the pit lane. entry, exit: seconds since 1970, of slowing down to the pit
    limit and of leaving it; out_lap: the lap that it ends in."""

    entry: float
    exit: float
    out_lap: int

    @property
    def middle(self) -> float:
        return (self.entry + self.exit) / 2


PIT_LIMIT = 85.0
"""km/h: the limit is 80 (60 at some tracks), and the feed rounds and lags."""
_REACH = 3600.0
"""Seconds around the line crossing within which a visit is looked for: cars that wait in the pit
lane for the end of a red flag may stand there for the better part of an hour."""
_NEAR = 8.0
"""Seconds between the crossing and the slow stretch that belongs to it."""


def pit_visits(
    laps: CarLaps, stints: Sequence[CarStint], times: Floats, speed: Floats
) -> list[PitVisit]:
    """Visits to the pit lane: laps that are marked as out-laps or begin a stint, where the car
    really was slow around the line.

    times, speed: seconds and km/h of the car, also at rest.
    """
    marked = {lap for lap in range(2, laps.count + 1) if laps.pit_out[lap - 1]}
    for stint in stints:
        if stint.lap_start > 1 and not marked & {stint.lap_start, stint.lap_start + 1}:
            marked.add(stint.lap_start)
    visits: list[PitVisit] = []
    for lap in sorted(marked):
        if lap > laps.count or np.isnan(laps.start[lap - 1]):
            continue
        visit = _visit(lap, laps.start[lap - 1], times, speed)
        if visit is not None and (not visits or visit.entry > visits[-1].exit):
            visits.append(visit)
    return visits


def _visit(lap: int, crossing: float, times: Floats, speed: Floats) -> PitVisit | None:
    first, last = np.searchsorted(times, (crossing - _REACH, crossing + _REACH))
    window = speed[first:last]
    if len(window) < 2:
        return None
    slow = window <= PIT_LIMIT
    at = int(np.clip(np.searchsorted(times[first:last], crossing), 0, len(window) - 1))
    if not slow[at]:
        # The crossing may be a little off; the slow stretch must still be next to it.
        near = np.flatnonzero(slow & (np.abs(times[first:last] - crossing) < _NEAR))
        if not near.size:
            return None
        at = int(near[np.argmin(np.abs(near - at))])
    entry = at - int(np.argmax(~slow[at::-1])) + 1 if not slow[: at + 1].all() else 0
    leave = at + int(np.argmax(~slow[at:])) if not slow[at:].all() else len(window) - 1
    return PitVisit(float(times[first + entry]), float(times[first + leave]), lap)


def stint_changes(stints: Sequence[CarStint], visits: Sequence[PitVisit], laps: CarLaps) -> Floats:
    """When each stint's tyres were put on, seconds since 1970: at the visit nearest to its first
    lap, else at that lap's start; -inf for the first."""
    result = np.full(len(stints), -np.inf)
    for i, stint in enumerate(stints):
        if i == 0:
            continue
        near = [v for v in visits if abs(v.out_lap - stint.lap_start) <= 1]
        if near:
            result[i] = min(near, key=lambda v: abs(v.out_lap - stint.lap_start)).middle
        elif 1 <= stint.lap_start <= laps.count:
            result[i] = laps.start[stint.lap_start - 1]
        else:
            result[i] = np.nan
    return result
