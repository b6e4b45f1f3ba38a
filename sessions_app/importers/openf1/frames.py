"""Cars and tables → the columns of a recording, field by field, on one time base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...racing import RACE_FIELDS, CarStatus, TrackStatus
from ...recording import Columns, Schema
from ...standings import NEVER, STANDINGS_RATE, gaps, hold, positions, positions_at_line
from ..resample import MAX_GAP, Resampling, forward
from ..tables import Table
from .car import Car
from .control import WEATHER_FIELDS
from .timing import stint_changes

Floats = NDArray[np.float64]

_TELEMETRY = {"speed": "speed", "throttle": "throttle", "rpm": "rpm"}
_TELEMETRY_HELD = {"brake": "brake", "gear": "n_gear", "drs": "drs"}
"""Field of a recording → column of OpenF1."""
_MOVING = 10.0
"""km/h above which a car before the start is on its formation lap, not on the grid."""


@dataclass(frozen=True, slots=True)
class TimeBase:
    """times: of the frames, seconds since 1970; start: of the race; rate: frames a second."""

    times: Floats
    start: float
    rate: float

    @property
    def start_frame(self) -> int:
        return self.frame(self.start)

    def frame(self, time: float) -> int:
        """The first frame at or after a time, within the recording."""
        index = int(np.ceil(round((time - float(self.times[0])) * self.rate, 3)))
        return min(max(index, 0), len(self.times) - 1)


class FrameBuilder:
    """Fills the columns car by car, then what depends on all cars. One integer array per field is
    kept; quantities live only while a field of one car is made."""

    def __init__(self, codes: Sequence[str], base: TimeBase, segment_frames: int) -> None:
        self.schema = Schema(RACE_FIELDS, tuple(codes), base.rate, segment_frames)
        self.base = base
        self.values = {
            f.name: np.empty((len(base.times), self.schema.width(f)), dtype=np.int32)
            for f in RACE_FIELDS
        }
        self.progress = np.full((len(base.times), len(codes)), np.nan)
        self.road = np.zeros((len(base.times), len(codes)), dtype=np.int32)
        """The order in which the cars are on the road, whatever the timing has counted."""

    def _set(self, name: str, column: int, quantities: Floats) -> None:
        self.values[name][:, column] = self.schema[name].quantise(quantities)

    def add_car(
        self,
        column: int,
        car: Car,
        *,
        lap_length: float,
        total_laps: int | None,
        red: Sequence[tuple[float, float]],
    ) -> None:
        """Everything about one car that needs no other car. lap_length: decimetres."""
        times = self.base.times
        seen = self._place(column, car, lap_length, red)
        self._telemetry(column, car)
        self._status(column, car, seen)
        progress = self.progress[:, column]
        self._set("progress", column, progress)
        self._set("lap", column, self._lap(car, progress, total_laps))
        self._tyres(column, car)
        self._lap_times(column, car)
        exits = np.array([visit.exit for visit in car.visits])
        self._set("pit_stops", column, np.searchsorted(exits, times, side="right").astype(float))

    def _place(
        self, column: int, car: Car, lap_length: float, red: Sequence[tuple[float, float]]
    ) -> NDArray[np.bool_]:
        """x, y, progress; returns where the car was seen."""
        times = self.base.times
        samples = car.positions
        resampling = Resampling(samples.times, times)
        seen = resampling.seen.copy()
        for begin, end in car.lost(self.base.start, lap_length, red):
            seen &= ~((times > begin) & (times < end))
        for name in ("x", "y"):
            place = resampling.cubic(samples.values[name])
            self._set(name, column, np.where(seen, place, np.nan))
        known = ~np.isnan(car.progress)
        if known.sum() >= 2:
            at, laps = samples.times[known], car.progress[known]
            smooth = Resampling(at, times).cubic(laps)
            # Over a gap the order of the race still needs a place: the straight guess.
            guess = np.interp(times, at, laps, left=np.nan)
            self.progress[:, column] = np.where(np.isnan(smooth), guess, smooth)
        return seen

    def _telemetry(self, column: int, car: Car) -> None:
        for name, source in (*_TELEMETRY.items(), *_TELEMETRY_HELD.items()):
            if car.telemetry is None:
                self._set(name, column, np.full(len(self.base.times), np.nan))
                continue
            samples = car.telemetry.of(source)
            resampling = Resampling(samples.times, self.base.times, MAX_GAP)
            values = samples.values[source]
            held = name in _TELEMETRY_HELD
            self._set(name, column, resampling.held(values) if held else resampling.linear(values))

    def _status(self, column: int, car: Car, seen: NDArray[np.bool_]) -> None:
        base = self.base
        status = np.full(len(base.times), CarStatus.TRACK, dtype=np.int32)
        before = base.times < base.start
        speed = self.schema["speed"].quantities(self.values["speed"][:, column])
        with np.errstate(invalid="ignore"):
            status[before & ~(speed > _MOVING)] = CarStatus.GRID
        for visit in car.visits:
            status[base.frame(visit.entry) : base.frame(visit.exit)] = CarStatus.PIT
        status[~seen] = CarStatus.UNSEEN
        if car.finish is not None:
            status[base.frame(car.finish) :] = CarStatus.FINISHED
        if car.retired is not None:
            status[base.frame(car.retired) :] = CarStatus.RETIRED
        self.values["status"][:, column] = status

    def _lap(self, car: Car, progress: Floats, total_laps: int | None) -> Floats:
        """0 before the start, then the lap being driven; stays at the last one at the finish."""
        base = self.base
        lap = 1.0 + np.searchsorted(car.crossings, base.times, side="right")
        if car.finish is not None:
            lap = np.minimum(lap, car.laps_done(car.finish))
        if total_laps is not None:
            lap = np.minimum(lap, total_laps)
        lap[: base.start_frame] = 0
        return np.where(np.isnan(progress), 0.0, lap)

    def _tyres(self, column: int, car: Car) -> None:
        times = self.base.times
        changes = stint_changes(car.stints, car.visits, car.laps)
        tyre, age = np.full(len(times), np.nan), np.full(len(times), np.nan)
        done = np.searchsorted(car.crossings, times, side="right")
        for stint, change in zip(car.stints, changes, strict=True):
            if np.isnan(change):
                continue
            on = times >= change
            tyre[on] = np.nan if stint.tyre is None else float(stint.tyre)
            fresh = 0 if np.isinf(change) else int(np.searchsorted(car.crossings, change))
            start_age = stint.age_at_start
            age[on] = np.nan if start_age is None else (start_age + done - fresh)[on]
        over = car.finish if car.finish is not None else car.retired
        if over is not None:
            frame = self.base.frame(over)
            tyre[frame:], age[frame:] = tyre[frame], age[frame]
        self._set("tyre", column, tyre)
        self._set("tyre_age", column, np.maximum(age, 0))

    def _lap_times(self, column: int, car: Car) -> None:
        laps, times = car.laps, self.base.times
        ends, duration = laps.end, laps.duration
        ended = ~np.isnan(ends)
        self._set("last_lap_time", column, forward(ends[ended], duration[ended], times))
        timed = ended & ~np.isnan(duration)
        best = np.minimum.accumulate(duration[timed])
        self._set("best_lap_time", column, forward(ends[timed], best, times))
        passed = laps.start
        for k in range(3):
            sector = laps.sectors[:, k]
            # The third ends with the lap, and a sector before an unknown one has no known moment.
            passed = laps.end if k == 2 else passed + sector
            known = ~np.isnan(passed) & ~np.isnan(sector)
            self._set(f"sector{k + 1}", column, forward(passed[known], sector[known], times))

    def standings(self, cars: Sequence[Car], grid: NDArray[np.int64] | None) -> None:
        """The order as the timing counts it, on the road, and the gaps of all cars; the last two
        taken at `STANDINGS_RATE`, held in between."""
        base = self.base
        frames = len(base.times)

        def frame_of(time: float | None) -> int:
            return NEVER if time is None else base.frame(time)

        finish = np.array([frame_of(car.finish) for car in cars], dtype=np.int64)
        retired = np.array([frame_of(car.retired) for car in cars], dtype=np.int64)
        # The clocks of two cars differ by a few hundredths; a car counts a lap when it is timed.
        progress = self.progress
        for column, car in enumerate(cars):
            if car.finish is not None:
                progress[finish[column], column] = car.laps_done(car.finish)
        road = positions(
            progress,
            start_frame=base.start_frame,
            grid=grid,
            finish_frame=finish,
            retired_frame=retired,
            # Two cars may finish within one frame: 23 ms between sixth and seventh.
            finish_time=np.array([np.nan if c.finish is None else c.finish for c in cars]),
        )
        step = max(1, round(base.rate / STANDINGS_RATE))
        self.road = hold(road[::step], frames, step)
        order = positions_at_line(
            [car.crossings for car in cars],
            base.times,
            road[base.start_frame],
            np.array([np.nan if car.finish is None else car.finish for car in cars]),
        )
        order[: base.start_frame] = road[: base.start_frame]
        self.values["position"][:] = order
        gap, interval = gaps(
            progress,
            # The feed of the gaps counts a pass at once, unlike that of the order.
            self.road,
            base.rate,
            start_frame=base.start_frame,
            finish_frame=finish,
            retired_frame=retired,
        )
        self.values["gap_to_leader"][:] = self.schema["gap_to_leader"].quantise(gap)
        self.values["interval"][:] = self.schema["interval"].quantise(interval)
        leader_lap = np.take_along_axis(
            self.values["lap"], np.argmin(order, axis=1)[:, None], axis=1
        )
        self.values["leader_lap"][:] = np.maximum.accumulate(leader_lap, axis=0)

    def session_fields(self, status: NDArray[np.int32], weather: Table | None) -> None:
        """Track status per frame and the weather; what the source lacks is missing."""
        self.values["track_status"][:, 0] = status
        for name, source in WEATHER_FIELDS.items():
            if weather is None or source not in weather:
                self._set(name, 0, np.full(len(self.base.times), np.nan))
                continue
            known = ~np.isnan(weather["date"]) & ~np.isnan(weather[source])
            order = np.argsort(weather["date"][known], kind="stable")
            values = weather[source][known][order]
            if name == "rain":
                values = (values > 0).astype(np.float64)
            times = weather["date"][known][order]
            self._set(name, 0, forward(times, values, self.base.times))

    def quantities(self, name: str) -> Floats:
        """A field in its unit, NaN where missing, shape (frames, width)."""
        return self.schema[name].quantities(self.values[name])

    def columns(self) -> Columns:
        return Columns(self.schema, self.values)


def red_spans(status: NDArray[np.int32], times: Floats) -> list[tuple[float, float]]:
    """When the red flag was out."""
    red = np.concatenate(([False], status == TrackStatus.RED, [False])).astype(np.int8)
    edges = np.flatnonzero(np.diff(red)).reshape(-1, 2)
    return [(float(times[a]), float(times[b - 1])) for a, b in edges]


def grid_places(
    position: Table | None, numbers: Sequence[int], start: float
) -> NDArray[np.int64] | None:
    """Each car's place on the grid from the official order before the start, 1…; None if any is
    not known."""
    if position is None:
        return None
    order = np.argsort(position["date"], kind="stable")
    places: dict[int, float] = {}
    for row in order:
        if position["date"][row] <= start and not np.isnan(position["position"][row]):
            places[int(position["driver_number"][row])] = float(position["position"][row])
    if not set(numbers) <= set(places):
        return None
    official = np.array([places[n] for n in numbers])
    result = np.empty(len(numbers), dtype=np.int64)
    result[np.argsort(official, kind="stable")] = np.arange(1, len(numbers) + 1)
    return result
