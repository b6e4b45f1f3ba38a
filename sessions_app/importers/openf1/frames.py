"""Cars and tables → what was measured of each car and of the session, series by series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...racing import RACE_FIELDS, SEGMENT_SECONDS, CarStatus, TrackStatus
from ...recording import Field, Schema
from ...standings import NEVER, STANDINGS_RATE, gaps, hold, positions, positions_at_line
from ..samples import (
    Series,
    SourceSamples,
    at_frames,
    frame_times,
    series_of,
    series_of_changes,
)
from ..tables import Table
from .car import Car
from .control import WEATHER_FIELDS
from .timing import stint_changes

Floats = NDArray[np.float64]

_TELEMETRY = {
    "speed": "speed",
    "throttle": "throttle",
    "rpm": "rpm",
    "brake": "brake",
    "gear": "n_gear",
    "drs": "drs",
}
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


class SeriesBuilder:
    """Collects what was measured car by car, then what depends on all cars.

    Attributes:
        schema: of the recording.
        base: of the frames.
        series: what was collected so far; times are seconds since the first frame.
        progress: of all cars in every frame, laps, NaN where unknown: what the order is made of.
        position, lap, status: in every frame, int32, shape (frames, cars).
        road: as position, but in which order the cars are, whatever the timing has counted.
    """

    def __init__(
        self,
        codes: Sequence[str],
        base: TimeBase,
        fields: Sequence[Field] = RACE_FIELDS,
    ) -> None:
        frames = min(1000, max(10, round(SEGMENT_SECONDS * base.rate)))
        self.schema = Schema(tuple(fields), tuple(codes), base.rate, frames)
        self.base = base
        self.series: list[Series] = []
        shape = (len(base.times), len(codes))
        self.progress = np.full(shape, np.nan)
        self.position = np.zeros(shape, dtype=np.int32)
        self.road = np.zeros(shape, dtype=np.int32)
        self.lap = np.zeros(shape, dtype=np.int32)
        self.status = np.zeros(shape, dtype=np.int32)
        self._frames = frame_times(np.arange(len(base.times)), base.rate)

    def _since_start(self, times: Floats) -> Floats:
        """Seconds since 1970 → since the first frame, to the microsecond, so that what happened on
        a frame is not just before it."""
        return np.asarray(np.round(times - self.base.times[0], 6), dtype=np.float64)

    def _add(
        self,
        code: str | None,
        times: Floats,
        values: Mapping[str, Floats],
        *,
        lasting: bool = False,
    ) -> None:
        """times: seconds since 1970; values: NaN where not measured."""
        self.series += series_of(code, self._since_start(times), values, lasting=lasting)

    def _add_forward(self, code: str | None, name: str, times: Floats, values: Floats) -> None:
        """What holds from each time on; of several values at one time the last counts."""
        since = self._since_start(times)
        order = np.argsort(since, kind="stable")
        since = since[order]
        last = np.append(np.diff(since) > 0, True)[: len(since)]
        held = {name: np.asarray(values[order][last], dtype=np.float64)}
        self.series.append(Series(code, since[last], held, lasting=True))

    def _add_changes(self, code: str | None, name: str, frames: NDArray[Any]) -> None:
        self.series.append(series_of_changes(code, name, frames, self.base.rate))

    def frames_of(self, column: int, name: str, frames: slice = slice(None)) -> Floats:
        """A field of one car that was added, in the frames asked for; NaN where there is none."""
        code = self.schema.entities[column]
        times = self._frames[frames]
        for series in self.series:
            if series.entity == code and name in series.values:
                return at_frames(series, self.schema[name], times)
        return np.full(len(times), np.nan)

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
        code = self.schema.entities[column]
        self._place(column, car, lap_length, red)
        self._telemetry(code, car)
        self._status(column, car)
        self._lap(column, car, total_laps)
        self._tyres(code, car)
        self._lap_times(code, car)
        exits = np.array([visit.exit for visit in car.visits])
        stops = np.searchsorted(exits, self.base.times, side="right")
        self._add_changes(code, "pit_stops", stops)

    def _telemetry(self, code: str, car: Car) -> None:
        if car.telemetry is not None:
            samples = car.telemetry
            self._add(code, samples.times, {f: samples.values[s] for f, s in _TELEMETRY.items()})

    def _place(
        self, column: int, car: Car, lap_length: float, red: Sequence[tuple[float, float]]
    ) -> None:
        """x, y and progress."""
        code, samples = self.schema.entities[column], car.positions
        lost = np.zeros(len(samples.times), dtype=np.bool_)
        for begin, end in car.lost(self.base.start, lap_length, red):
            lost |= (samples.times > begin) & (samples.times < end)
        place = {name: np.where(lost, np.nan, samples.values[name]) for name in ("x", "y")}
        self.series.append(Series(code, self._since_start(samples.times), place))
        known = ~np.isnan(car.progress)
        if known.sum() >= 2:
            # Over a gap the order of the race still needs a place: the straight guess.
            self._add(code, samples.times, {"progress": car.progress}, lasting=True)
            self.progress[:, column] = self.frames_of(column, "progress")

    def _status(self, column: int, car: Car) -> None:
        base, code = self.base, self.schema.entities[column]
        status = self.status[:, column]
        status[:] = CarStatus.TRACK
        before = base.times < base.start
        with np.errstate(invalid="ignore"):
            status[before & ~(np.rint(self.frames_of(column, "speed")) > _MOVING)] = CarStatus.GRID
        for visit in car.visits:
            status[base.frame(visit.entry) : base.frame(visit.exit)] = CarStatus.PIT
        status[np.isnan(self.frames_of(column, "x"))] = CarStatus.UNSEEN
        if car.finish is not None:
            status[base.frame(car.finish) :] = CarStatus.FINISHED
        if car.retired is not None:
            status[base.frame(car.retired) :] = CarStatus.RETIRED
        self._add_changes(code, "status", status)

    def _lap(self, column: int, car: Car, total_laps: int | None) -> None:
        """0 before the start, then the lap being driven; stays at the last one at the finish."""
        base = self.base
        lap = 1 + np.searchsorted(car.crossings, base.times, side="right")
        if car.finish is not None:
            lap = np.minimum(lap, car.laps_done(car.finish))
        if total_laps is not None:
            lap = np.minimum(lap, total_laps)
        lap[: base.start_frame] = 0
        self.lap[:, column] = np.where(np.isnan(self.progress[:, column]), 0, lap)
        self._add_changes(self.schema.entities[column], "lap", self.lap[:, column])

    def _tyres(self, code: str, car: Car) -> None:
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
        self._add_changes(code, "tyre", tyre)
        self._add_changes(code, "tyre_age", np.maximum(age, 0))

    def _lap_times(self, code: str, car: Car) -> None:
        laps = car.laps
        ends, duration = laps.end, laps.duration
        ended = ~np.isnan(ends)
        self._add_forward(code, "last_lap_time", ends[ended], duration[ended])
        timed = ended & ~np.isnan(duration)
        best = np.minimum.accumulate(duration[timed])
        self._add_forward(code, "best_lap_time", ends[timed], best)
        passed = laps.start
        for k in range(3):
            sector = laps.sectors[:, k]
            # The third ends with the lap, and a sector before an unknown one has no known moment.
            passed = laps.end if k == 2 else passed + sector
            known = ~np.isnan(passed) & ~np.isnan(sector)
            self._add_forward(code, f"sector{k + 1}", passed[known], sector[known])

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
        self.position = order
        gap, interval = gaps(
            progress,
            # The feed of the gaps counts a pass at once, unlike that of the order.
            self.road,
            base.rate,
            start_frame=base.start_frame,
            finish_frame=finish,
            retired_frame=retired,
        )
        for column, code in enumerate(self.schema.entities):
            self._add_changes(code, "position", order[:, column])
            for name, seconds in (("gap_to_leader", gap), ("interval", interval)):
                # In steps of the field: what is noise below one is no change.
                field = self.schema[name]
                steps = field.quantities(field.quantise(seconds[:, column]))
                self._add_changes(code, name, steps)
        leader_lap = np.take_along_axis(self.lap, np.argmin(order, axis=1)[:, None], axis=1)
        self._add_changes(None, "leader_lap", np.maximum.accumulate(leader_lap[:, 0]))

    def session_fields(self, status: NDArray[np.int32], weather: Table | None) -> None:
        """Track status per frame and the weather; what the source lacks is missing."""
        self._add_changes(None, "track_status", status)
        for name, source in WEATHER_FIELDS.items():
            if weather is None or source not in weather:
                continue
            known = ~np.isnan(weather["date"]) & ~np.isnan(weather[source])
            values = weather[source][known]
            if name == "rain":
                values = (values > 0).astype(np.float64)
            self._add_forward(None, name, weather["date"][known], values)

    def samples(self) -> SourceSamples:
        return SourceSamples(self.schema, len(self.base.times), self.series)


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
