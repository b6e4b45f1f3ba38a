"""The clock at the line: crossings, laps, sectors and stints, from the stepped race."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..importers.result import LapRecord, StintRecord
from ..racing import FRAME_RATE, CarStatus, Tyre
from .circuit import SECTORS, Array
from .teams import CARS
from .trace import Trace


@dataclass(frozen=True, slots=True)
class LapTimes:
    """Laps of all cars. crossing: seconds at which a car began its lap 1, 2… (lights out for
    lap 1), shape (cars, laps + 1); sectors: seconds, shape (cars, laps, 3). NaN: never."""

    crossing: Array
    sectors: Array

    @property
    def laps(self) -> Array:
        """Seconds, shape (cars, laps); NaN for laps that were not completed."""
        return np.diff(self.crossing, axis=1)


def lap_times(trace: Trace, length: float) -> LapTimes:
    """Line and sector crossings, found between steps. length: of a lap, metres."""
    laps, cars = trace.plan.laps, len(CARS)
    marks = (np.arange(laps)[:, None] + np.array([0.0, *SECTORS])[None, :]).ravel()[1:]
    marks = np.append(marks, laps) * length
    times = np.full((cars, len(marks) + 1), np.nan)
    times[:, 0] = trace.lights_out
    for car in range(cars):
        moving = trace.time <= min(trace.finish_time[car] + 1.0, trace.retired_time[car])
        distance = trace.distance[moving, car]
        found = np.interp(marks, distance, trace.time[moving], right=np.nan)
        # A lapped car's race ends at its first crossing after the flag.
        found[found > trace.finish_time[car] + 0.5] = np.nan
        times[car, 1:] = found
    return LapTimes(crossing=times[:, ::3], sectors=np.diff(times, axis=1).reshape(cars, laps, 3))


def _frame(seconds: float) -> int:
    return round(seconds * FRAME_RATE)


def lap_records(
    trace: Trace, times: LapTimes, position: NDArray[np.int32], last_frame: int
) -> list[LapRecord]:
    """position: race order, shape (frames, cars)."""
    records = []
    in_pits = trace.status == CarStatus.PIT
    for car, (_, driver) in enumerate(CARS):
        for lap in range(trace.plan.laps):
            begin, end = times.crossing[car, lap], times.crossing[car, lap + 1]
            if np.isnan(begin):
                break
            done = not np.isnan(end)
            stop = end if done else min(trace.retired_time[car], trace.time[-1])
            steps = slice(*np.searchsorted(trace.time, [begin, stop]))
            pit = in_pits[steps, car]
            frame = min(_frame(stop), last_frame)
            records.append(
                LapRecord(
                    entity=driver.code,
                    number=lap + 1,
                    start_frame=_frame(begin),
                    end_frame=frame if done else None,
                    duration=round(float(end - begin), 3) if done else None,
                    sectors=_sectors(times.sectors[car, lap]),
                    position=int(position[frame, car]) if done else None,
                    pit_in=bool(len(pit) and pit[-1] and done),
                    pit_out=bool(len(pit) and pit[0]),
                )
            )
            if not done:
                break
    return records


def _sectors(seconds: Array) -> tuple[float | None, float | None, float | None]:
    first, second, third = (None if np.isnan(v) else round(float(v), 3) for v in seconds)
    return first, second, third


def stint_records(trace: Trace, times: LapTimes) -> list[StintRecord]:
    """Per car its sets of tyres. A set is fitted in the lane's part before or after the line; the
    lap in which the car leaves the box counts to the new set."""
    records = []
    for car, (_, driver) in enumerate(CARS):
        crossing = times.crossing[car]
        stops = [s for s in trace.box_stops if s.car == car]
        first, compound = 1, Tyre(int(trace.plan.start_tyre[car]))
        begun = int(np.count_nonzero(~np.isnan(crossing[:-1])))
        for number, stop in enumerate([*stops, None], start=1):
            # Boxes lie before the line: a stop belongs to the lap that ends there.
            last = begun if stop is None else int(np.count_nonzero(crossing < stop.end))
            records.append(
                StintRecord(driver.code, number, first, max(first, last), compound.name, 0)
            )
            if stop is not None:
                first, compound = last + 1, stop.tyre
    return records
