"""The race told as events: start, overtakes, stops, fastest laps, finish."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..importers.result import EventRecord
from ..racing import FRAME_RATE, CarStatus, TrackStatus
from .teams import CARS
from .timing import LapTimes
from .trace import Trace

_SETTLED = round(1.0 * FRAME_RATE)
"""Frames that a new order has to last to count as an overtake."""
_CALM_AFTER = 25.0
"""Seconds after the start before which places change too often to tell one by one."""
_FAILING = 20.0
"""Seconds before its retirement from which a car counts as failing."""


def _name(car: int) -> str:
    driver = CARS[car][1]
    return f"{driver.name} ({driver.code})"


def _lap(times: LapTimes, car: int, seconds: float) -> int:
    return max(1, int(np.count_nonzero(times.crossing[car] <= seconds)))


def _time_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"{minutes}:{rest // 1000:02d}.{rest % 1000:03d}"


def tell(trace: Trace, times: LapTimes, position: NDArray[np.int32]) -> list[EventRecord]:
    """All events in the order of their frames. position: shape (frames, cars)."""
    last = len(position) - 1
    events = [
        *_notices(trace),
        *_start(trace),
        *overtakes(trace, times, position),
        *_stops(trace, times),
        *_fastest_laps(trace, times),
        *_finish(trace, position),
    ]
    return sorted((e for e in events if e.frame <= last), key=lambda e: e.frame)


def _notices(trace: Trace) -> list[EventRecord]:
    return [
        EventRecord(
            frame=round(n.time * FRAME_RATE),
            kind=n.kind,
            message=n.message,
            entity=CARS[n.car][1].code if n.car >= 0 else "",
            value=n.value,
            lap=n.lap,
            sector=n.sector,
        )
        for n in trace.notices
    ]


def _start(trace: Trace) -> list[EventRecord]:
    frame = round(trace.lights_out * FRAME_RATE)
    return [
        EventRecord(0, "race_control", "RISK OF RAIN IS 60%", lap=1),
        EventRecord(frame, "start", "LIGHTS OUT", value="GREEN", lap=1),
    ]


def overtakes(trace: Trace, times: LapTimes, position: NDArray[np.int32]) -> list[EventRecord]:
    """Places won on the track: both cars racing, neither in the pits nor failing."""
    events = []
    step = trace.time[1] - trace.time[0]
    frames = len(position)
    row = np.minimum((np.arange(frames) / FRAME_RATE / step).astype(np.int64), len(trace.time) - 1)
    racing = (trace.status == CarStatus.TRACK)[row]
    slow = (trace.speed < 10.0)[row]
    # Passing a car that is about to stop is no feat.
    slow |= trace.retired_time[None, :] - np.arange(frames)[:, None] / FRAME_RATE < _FAILING
    quiet = np.isin(trace.track_status, [TrackStatus.CLEAR, TrackStatus.YELLOW])[row]
    change = np.flatnonzero((np.diff(position, axis=0) != 0).any(axis=1)) + 1
    for frame in change:
        if frame < (trace.lights_out + _CALM_AFTER) * FRAME_RATE or not quiet[frame]:
            continue
        if frame + _SETTLED >= frames or frame < _SETTLED:
            continue
        before, after = position[frame - 1], position[frame]
        for winner in map(int, np.flatnonzero(after < before)):
            beaten = (before < before[winner]) & (after > after[winner])
            for loser in map(int, np.flatnonzero(beaten)):
                pair = [winner, loser]
                around = slice(frame - _SETTLED, frame + _SETTLED)
                if not racing[around, pair].all() or slow[around, pair].any():
                    continue
                if position[frame + _SETTLED, winner] > position[frame + _SETTLED, loser]:
                    continue
                if position[frame - _SETTLED, winner] < position[frame - _SETTLED, loser]:
                    continue
                events.append(
                    EventRecord(
                        frame=int(frame),
                        kind="overtake",
                        message=f"{_name(winner)} passes {_name(loser)} for P{after[winner]}",
                        entity=CARS[winner][1].code,
                        value=CARS[loser][1].code,
                        lap=_lap(times, winner, frame / FRAME_RATE),
                    )
                )
    return events


def _stops(trace: Trace, times: LapTimes) -> list[EventRecord]:
    return [
        EventRecord(
            frame=round(stop.begin * FRAME_RATE),
            kind="pit",
            message=f"{_name(stop.car)} stops for {stop.tyre.name.lower()} tyres, "
            f"{stop.end - stop.begin:.1f} s",
            entity=CARS[stop.car][1].code,
            value=stop.tyre.name,
            lap=_lap(times, stop.car, stop.begin),
        )
        for stop in trace.box_stops
    ]


def _fastest_laps(trace: Trace, times: LapTimes) -> list[EventRecord]:
    laps = times.laps
    done = [
        (times.crossing[car, lap + 1], laps[car, lap], car, lap + 1)
        for car, lap in zip(*np.nonzero(~np.isnan(laps)), strict=True)
        if lap > 0  # the first begins with a standing start
    ]
    events, best = [], np.inf
    for at, seconds, car, lap in sorted(done):
        if seconds < best:
            best = seconds
            events.append(
                EventRecord(
                    frame=int(np.ceil(at * FRAME_RATE)),
                    kind="fastest_lap",
                    message=f"{_name(car)} sets the fastest lap: {_time_text(seconds)}",
                    entity=CARS[car][1].code,
                    value=_time_text(seconds),
                    lap=int(lap),
                )
            )
    return events


def _finish(trace: Trace, position: NDArray[np.int32]) -> list[EventRecord]:
    events = []
    for place, car in enumerate(np.argsort(trace.finish_time), start=1):
        if not np.isfinite(trace.finish_time[car]):
            break
        verb = "wins" if place == 1 else f"finishes P{place}"
        events.append(
            EventRecord(
                frame=int(np.ceil(trace.finish_time[car] * FRAME_RATE)),
                kind="finish",
                message=f"{_name(int(car))} {verb}",
                entity=CARS[car][1].code,
                value=str(place),
                lap=trace.plan.laps,
            )
        )
    return events
