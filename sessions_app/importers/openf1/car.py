"""One car of a race while it is being imported, and what is worked out from its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...standings import progress_from_track
from ..resample import still
from ..track import CentreLine
from .clocks import Samples
from .timing import CarLaps, CarStint, PitVisit, crossings, no_laps, pit_visits

Floats = NDArray[np.float64]

NO_SAMPLES = Samples(np.zeros(0), {"x": np.zeros(0), "y": np.zeros(0)})
OFF_TRACK = 1500.0
"""Decimetres from the centre line beyond which a place says nothing about the lap."""
_STANDING = 0.003
"""Laps, a car's length or two: what a car that has stopped for good may still move."""
_START_SPAN = 200.0
"""Seconds of driving after a standing start before all cars could stand again; a formation lap and
lining up take less."""


@dataclass(slots=True)
class Car:
    """A car's samples and tables; times are seconds since 1970, `progress` is at the times of
    `positions`. finish: when it took the flag; retired: when it stopped for good; None if not."""

    number: int
    positions: Samples = NO_SAMPLES
    telemetry: Samples | None = None
    laps: CarLaps = field(default_factory=no_laps)
    stints: Sequence[CarStint] = ()
    progress: Floats = field(default_factory=lambda: np.zeros(0))
    crossings: Floats = field(default_factory=lambda: np.zeros(0))
    visits: Sequence[PitVisit] = ()
    finish: float | None = None
    retired: float | None = None

    def follow(self, line: CentreLine | None, start: float) -> None:
        """Work out progress, line crossings and pit visits. line: None if the circuit is not known,
        and so no progress. start: of the race."""
        x, y = self.positions.values["x"], self.positions.values["y"]
        fraction = np.full(len(x), np.nan)
        if line is not None and len(x):
            fraction, distance = line.project(x, y)
            fraction[distance > OFF_TRACK] = np.nan
        timed = crossings(self.laps)
        self.progress = progress_from_track(self.positions.times, fraction, timed, start)
        self.crossings = _completed(timed, self.positions.times, self.progress, start)
        times, speed = self.speed(np.nan if line is None else line.length)
        self.visits = pit_visits(self.laps, self.stints, times, speed)

    def speed(self, lap_length: float) -> tuple[Floats, Floats]:
        """(times, km/h), for telling whether the car stands or drives through the pits: from the
        car data, else the mean speed over three seconds of progress. lap_length: decimetres."""
        if self.telemetry is not None:
            known = self.telemetry.of("speed")
            return known.times, known.values["speed"]
        known_at = ~np.isnan(self.progress)
        times, laps = self.positions.times[known_at], self.progress[known_at]
        if len(times) < 2:
            return times, np.zeros(len(times))
        early, late = np.maximum(times - 1.5, times[0]), np.minimum(times + 1.5, times[-1])
        driven = np.interp(late, times, laps) - np.interp(early, times, laps)
        return times, np.abs(driven) / (late - early) * lap_length / 10.0 * 3.6

    def laps_done(self, time: float) -> int:
        """Whole laps completed at a time."""
        return int((self.crossings <= time).sum())

    def lost(
        self, start: float, lap_length: float, red: Sequence[tuple[float, float]]
    ) -> list[tuple[float, float]]:
        """Spans of time (from the last good sample to the next one) in which the position stood
        still for longer than `resample.MAX_GAP` while the car did not, as far as is known.

        A car that stands is seen: before the start, in the pits, after it retired or finished,
        under a red flag (spans `red`), or where the car data says 0. Anything else is a frozen
        feed.
        """
        samples = self.positions
        times = samples.times
        speed_at, speed = self.speed(lap_length) if self.telemetry is not None else (None, None)
        spans = []
        for first, last in still(times, samples.values["x"], samples.values["y"]):
            begin = float(times[first])
            end = float(times[last + 1]) if last + 1 < len(times) else float(times[last])
            if speed_at is not None and speed is not None:
                inside = (speed_at > begin) & (speed_at < end)
                if inside.any():
                    # A car may stand first, and its feed freeze only when it drives off.
                    driving = _drives_from(speed_at[inside], speed[inside])
                    if driving is not None:
                        spans.append((max(begin, driving), end))
                    continue
            if begin >= start and not self._may_stand(begin, end, red):
                spans.append((begin, end))
        return spans

    def _may_stand(self, begin: float, end: float, red: Sequence[tuple[float, float]]) -> bool:
        over = [t for t in (self.finish, self.retired) if t is not None]
        if over and end >= min(over):
            return True
        visits = [(visit.entry, visit.exit) for visit in self.visits]
        return any(begin < b and end > a for a, b in (*visits, *red))


def _drives_from(times: Floats, speed: Floats) -> float | None:
    """When the car began to drive for two seconds on end; None if it did not."""
    moving = np.concatenate(([False], speed > 20.0, [False]))
    edges = np.flatnonzero(np.diff(moving.astype(np.int8))).reshape(-1, 2)
    return next((float(times[a]) for a, b in edges if times[b - 1] - times[a] >= 2.0), None)


def _completed(timed: Floats, times: Floats, progress: Floats, start: float) -> Floats:
    """Crossing times from the lap table, completed by when progress reached each whole lap; ends
    before the first lap that was not completed."""
    known = ~np.isnan(progress) & (times >= start)
    if not known.any():
        return timed[: int(np.argmax(np.isnan(timed)))] if np.isnan(timed).any() else timed
    reached = np.maximum.accumulate(progress[known])
    done = int(np.floor(reached[-1] + 1e-9))
    count = max(
        done, int(np.flatnonzero(~np.isnan(timed))[-1]) + 1 if (~np.isnan(timed)).any() else 0
    )
    result = np.full(max(count, 0), np.nan)
    result[: min(len(timed), count)] = timed[:count]
    for lap in np.flatnonzero(np.isnan(result)):
        at = np.searchsorted(reached, lap + 1.0)
        if at < len(reached) and at > 0:
            pair = slice(at - 1, at + 1)
            result[lap] = np.interp(lap + 1.0, reached[pair], times[known][pair])
    return np.maximum.accumulate(np.where(np.isnan(result), start, result))


def first_standing_start(cars: Mapping[int, Car]) -> float | None:
    """The start, where no lap table tells: when all cars that are seen had stood still and then
    drove on for minutes. Seconds since 1970, None if there was no such moment."""
    ends = []
    for car in cars.values():
        samples = car.positions
        runs = still(samples.times, samples.values["x"], samples.values["y"], 3.0)
        ends.append([float(samples.times[last]) for _, last in runs])
    ends = [e for e in ends if e]
    if not ends or len(ends) < (len(cars) + 1) // 2:
        return None
    moments = []
    for moment in ends[0]:
        near = [min(e, key=lambda t: abs(t - moment)) for e in ends]
        together = [t for t in near if abs(t - moment) < 3.0]
        if len(together) >= max(1, round(0.8 * len(ends))):
            moments.append(float(np.median(together)))
    last = max(float(c.positions.times[-1]) for c in cars.values() if len(c.positions.times))
    following = [*moments[1:], last]
    for moment, after in zip(moments, following, strict=True):
        if after - moment >= _START_SPAN:
            return moment
    return None


def classify(
    cars: Mapping[int, Car],
    start: float,
    chequered: float | None = None,
    announced: int | None = None,
) -> int | None:
    """Set who finished and who retired, and when. Returns: the laps of the race, None if the
    recording does not show its end.

    The race is over for a car at its first crossing after the winner's last one; whoever does not
    cross again has retired where it came to rest. chequered, announced: when the flag was shown and
    the lap that race control wrote beside it, for sources without lap tables.
    """
    total, won = _winner(cars, chequered, announced)
    for car in cars.values():
        if total is not None and won is not None:
            after = car.crossings[car.crossings >= won - 0.001]
            counted = car.laps.count == 0 or car.laps.completed > car.laps_done(won - 0.01)
            if after.size and counted:
                car.finish = float(after[0])
                continue
        car.retired = _retirement(car, start, total is not None)
    return total


def _winner(
    cars: Mapping[int, Car], chequered: float | None, announced: int | None
) -> tuple[int | None, float | None]:
    """(laps of the race, when the winner completed them)."""
    timed = [(car.laps.completed, car) for car in cars.values() if car.laps.completed]
    if timed:
        total = max(completed for completed, _ in timed)
        ends = [
            float(car.crossings[total - 1])
            for completed, car in timed
            if completed == total and len(car.crossings) >= total
        ]
        return (total, min(ends)) if ends else (None, None)
    if chequered is None:
        return None, None
    if announced is not None:
        ends = [
            float(c.crossings[announced - 1])
            for c in cars.values()
            if len(c.crossings) >= announced
        ]
        if ends:
            return announced, min(ends)
    # The flag falls within seconds of the winner.
    laps = [(car.laps_done(chequered + 10.0), car) for car in cars.values()]
    total = max((done for done, _ in laps), default=0)
    if not total:
        return None, None
    return total, min(float(car.crossings[total - 1]) for done, car in laps if done == total)


def _retirement(car: Car, start: float, race_ended: bool) -> float | None:
    """When a car that did not finish came to rest for good; None if it still drove at the end of
    a recording that ends before the race does."""
    times, progress = car.positions.times, car.progress
    known = ~np.isnan(progress) & (times >= start)
    if not known.any():
        return start
    reached = np.maximum.accumulate(progress[known])
    at = float(times[known][int(np.argmax(reached >= reached[-1] - _STANDING))])
    if not race_ended and times[known][-1] - at < 60.0:
        return None
    return max(at, start)
