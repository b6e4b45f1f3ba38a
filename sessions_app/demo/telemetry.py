"""The stepped race → every field of a motor race, 25 times a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..racing import FRAME_RATE, RACE_FIELDS, SEGMENT_SECONDS, CarStatus
from ..recording import Columns, Schema
from ..standings import NEVER, gaps, positions
from .circuit import Array, Circuit
from .physics import RPM_LAUNCH, engine_speed, pedals, shift
from .teams import CARS
from .timing import LapTimes
from .trace import Trace

WEATHER_EVERY = 30.0
"""Seconds between two readings of the weather station."""
DECIMETRES = 10.0


def schema() -> Schema:
    """The schema of the demo race."""
    return Schema(
        fields=RACE_FIELDS,
        entities=tuple(driver.code for _, driver in CARS),
        frame_rate=FRAME_RATE,
        segment_frames=round(SEGMENT_SECONDS * FRAME_RATE),
    )


def frame_times(trace: Trace) -> Array:
    """Seconds of each frame, from 0 to the last step."""
    return np.arange(int(trace.time[-1] * FRAME_RATE)) / FRAME_RATE


class _Resampler:
    """Steps → frames: cubic or linear where values glide, held where they do not."""

    def __init__(self, steps: Array, frames: Array) -> None:
        self._width = steps[1] - steps[0]
        place = frames / self._width
        self._index = np.minimum(place.astype(np.int64), len(steps) - 2)
        self._share = (place - self._index)[:, None]

    def linear(self, values: Array) -> Array:
        low = values[self._index]
        return np.asarray(low + self._share * (values[self._index + 1] - low))

    def cubic(self, values: Array) -> Array:
        """Through every step, with slopes taken from its neighbours."""
        slope = np.gradient(values, axis=0)
        i, t = self._index, self._share
        low, high = values[i], values[i + 1]
        step = high - low
        a, b = slope[i] - step, step - slope[i + 1]
        return np.asarray(low + t * step + t * (1 - t) * ((1 - t) * a + t * b))

    def held(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(values[self._index], dtype=np.float64)


def race_columns(
    circuit: Circuit, trace: Trace, times: LapTimes, rng: np.random.Generator
) -> tuple[Columns, NDArray[np.int32]]:
    """All fields, and the race order of shape (frames, cars)."""
    frames = frame_times(trace)
    resample = _Resampler(trace.time, frames)
    distance = resample.cubic(trace.distance)
    x, y = circuit.point(distance, resample.cubic(trace.offset))
    progress = distance / circuit.length
    values = _driving(trace, resample)
    values |= {"x": x * DECIMETRES, "y": y * DECIMETRES, "progress": progress}
    values |= _order(trace, progress)
    values |= _lap_fields(times, frames, trace)
    values |= _tyres(trace, progress, frames, resample)
    values |= _session(trace, progress, frames, resample, rng)
    position = values["position"].astype(np.int32)
    return Columns.from_quantities(schema(), values), position


def _driving(trace: Trace, resample: _Resampler) -> dict[str, Array]:
    acceleration = np.gradient(trace.speed, trace.time, axis=0)
    throttle, brake = pedals(trace.speed, acceleration)
    gear = np.ones(trace.speed.shape, dtype=np.int64)
    for i in range(1, len(gear)):
        gear[i] = shift(gear[i - 1], trace.speed[i])
    rpm = engine_speed(gear, trace.speed)
    # Just before the lights go out the drivers bring up the revolutions.
    waiting = (trace.time > trace.lights_out - 5.0) & (trace.time < trace.lights_out)
    rpm[waiting] = RPM_LAUNCH
    launching = (trace.time >= trace.lights_out) & (trace.time < trace.lights_out + 3.0)
    rpm[launching] = np.maximum(rpm[launching], RPM_LAUNCH)
    gone = trace.status == CarStatus.RETIRED
    rpm[gone] = 0.0
    gear[gone] = 0
    gear[trace.time < trace.lights_out - 5.0] = 0
    return {
        "speed": resample.linear(trace.speed * 3.6),
        "throttle": resample.linear(throttle),
        # A reading in tenths of the pedal: finer would be noise of the model.
        "brake": np.rint(resample.linear(brake) / 10) * 10,
        "rpm": np.rint(resample.linear(rpm) / 50) * 50,
        "gear": resample.held(gear),
        "drs": resample.held(trace.drs),
        "status": resample.held(trace.status),
    }


def _order(trace: Trace, progress: Array) -> dict[str, Array]:
    def frame_of(seconds: Array) -> NDArray[np.int64]:
        known = np.isfinite(seconds)
        frame = np.ceil(np.where(known, seconds, 0.0) * FRAME_RATE).astype(np.int64)
        return np.where(known & (frame < len(progress)), frame, NEVER)

    start = round(trace.lights_out * FRAME_RATE)
    retired = frame_of(trace.retired_time)
    finish = _finish_frames(trace, progress)
    grid = np.empty(len(CARS), dtype=np.int64)
    grid[trace.plan.grid] = np.arange(1, len(CARS) + 1)
    position = positions(
        progress, start_frame=start, grid=grid, finish_frame=finish, retired_frame=retired
    )
    gap, interval = gaps(
        progress,
        position,
        FRAME_RATE,
        start_frame=start,
        finish_frame=finish,
        retired_frame=retired,
    )
    return {
        "position": position.astype(np.float64),
        "gap_to_leader": gap,
        "interval": interval,
        "lap": np.clip(np.floor(progress) + 1, 1, trace.plan.laps),
    }


def _finish_frames(trace: Trace, progress: Array) -> NDArray[np.int64]:
    """Per car the first frame beyond the line at which it finished; no two the same."""
    frames = np.full(len(CARS), NEVER, dtype=np.int64)
    latest = len(progress)
    for car in np.argsort(-trace.finish_time, kind="stable"):
        if np.isfinite(trace.finish_time[car]):
            near = round(trace.finish_time[car] * FRAME_RATE)
            laps = np.rint(progress[near, car])
            first = near - 3 + int(np.argmax(progress[near - 3 : near + 4, car] >= laps))
            # Of two cars that cross within one frame the earlier one is first.
            frames[car] = latest = min(first, latest - 1)
    return frames


def _lap_fields(times: LapTimes, frames: Array, trace: Trace) -> dict[str, Array]:
    """Times of the last lap and of the last run through each sector; the best lap."""
    shape = (len(frames), len(CARS))
    fields = {
        name: np.full(shape, np.nan)
        for name in ("last_lap_time", "best_lap_time", "sector1", "sector2", "sector3")
    }
    for car in range(len(CARS)):
        laps = times.laps[car]
        best = np.fmin.accumulate(laps)
        for lap in range(trace.plan.laps):
            sector_end = times.crossing[car, lap]
            for number, seconds in enumerate(times.sectors[car, lap], start=1):
                sector_end += seconds
                if np.isnan(sector_end):
                    break
                fields[f"sector{number}"][np.searchsorted(frames, sector_end) :, car] = seconds
            if np.isnan(laps[lap]):
                break
            since = np.searchsorted(frames, times.crossing[car, lap + 1])
            fields["last_lap_time"][since:, car] = laps[lap]
            fields["best_lap_time"][since:, car] = best[lap]
    return fields


def _tyres(trace: Trace, progress: Array, frames: Array, resample: _Resampler) -> dict[str, Array]:
    stops = np.zeros(progress.shape)
    fitted = np.zeros(progress.shape)
    for stop in trace.box_stops:
        since = np.searchsorted(frames, stop.end)
        if since < len(frames):
            stops[since:, stop.car] += 1
            fitted[since:, stop.car] = progress[since, stop.car]
    return {
        "tyre": resample.held(trace.tyre),
        "tyre_age": np.maximum(np.floor(progress - fitted), 0.0),
        "pit_stops": stops,
    }


def _session(
    trace: Trace, progress: Array, frames: Array, resample: _Resampler, rng: np.random.Generator
) -> dict[str, Array]:
    reading = (frames // WEATHER_EVERY).astype(np.int64)
    count = int(reading[-1]) + 1
    at = np.minimum(
        (np.arange(count) * WEATHER_EVERY / (trace.time[1] - trace.time[0])).astype(np.int64),
        len(trace.wetness) - 1,
    )
    wet = trace.wetness[at]
    drift = np.arange(count) / max(count - 1, 1)

    def noise(size: float) -> Array:
        return np.asarray(rng.normal(0.0, size, count))

    weather = {
        "air_temperature": 24.5 - 1.2 * drift - 4.5 * wet + noise(0.1),
        "track_temperature": 38.5 - 2.0 * drift - 14.0 * wet + noise(0.25),
        "humidity": 46.0 + 6.0 * drift + 42.0 * wet + noise(0.5),
        "wind_speed": np.abs(1.8 + 1.5 * drift + 2.0 * wet + noise(0.5)),
        "wind_direction": np.mod(235 + 30 * drift + noise(9.0), 360),
    }
    started = frames >= trace.lights_out
    leading = np.clip(np.floor(progress.max(axis=1)) + 1, 1, trace.plan.laps)
    return {name: values[reading] for name, values in weather.items()} | {
        "track_status": resample.held(trace.track_status),
        "leader_lap": np.where(started, leading, 1.0),
        "rain": resample.held(trace.raining),
    }
