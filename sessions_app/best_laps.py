"""Order by best lap at every moment: practice and qualifying. Pure numpy, computed at import.

Beside `standings`, which orders a race by how far each car has come. In a part of a session (all of
a practice; Q1, Q2, Q3) cars are in the order of their best laps of that part; of two equal ones the
one that was driven first leads. Cars without a time follow as the sporting regulations say: first
those that began a flying lap, then those that left the pits, then the others; among themselves they
keep the order of the part before. Who does not go on to the next part keeps its place for good.

Times are seconds of any one clock; frames run along axis 0, cars along axis 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NO_TIME, _LEFT_PITS, _FLYING = 2, 1, 0
"""Ranks of cars without a time, first first."""


@dataclass(frozen=True, slots=True)
class TimedLap:
    """A lap that may count.

    Attributes:
        began: when it began, NaN if unknown.
        ended: when its time was known.
        duration: seconds; NaN if it does not count (a lap out of the pits or into them).
        flying: whether it began at the line, at speed.
        withdrawn: when its time was deleted; infinity if it was not.
        reinstated: when a deleted time came to count again; infinity if it did not.
    """

    began: float
    ended: float
    duration: float
    flying: bool = True
    withdrawn: float = math.inf
    reinstated: float = math.inf

    def counts_at(self, time: float) -> bool:
        """Whether its time is one of the car's at a moment."""
        deleted = self.withdrawn <= time < self.reinstated
        return self.ended <= time and not deleted and not math.isnan(self.duration)


@dataclass(frozen=True, slots=True)
class CarLaps:
    """What one car did. left_pits: times at which it left them."""

    laps: Sequence[TimedLap] = ()
    left_pits: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a session. start: from when its order counts; entries: cars that take part in it,
    None for all."""

    start: float = -math.inf
    entries: int | None = None


@dataclass(frozen=True, slots=True)
class BestLapOrder:
    """The order at every frame.

    Attributes:
        position: int32, shape (frames, cars): 1 for the first, no position twice in a frame.
        best: seconds, shape (frames, cars): each car's best lap of the part (of an eliminated car:
            of its last part), NaN without one.
        gap: seconds behind the best of all, shape (frames, cars); NaN without a time.
        interval: seconds behind the car one position ahead, likewise; 0 for the first.
        eliminated: per car the index of the part that it did not reach, -1 if it reached all.
    """

    position: NDArray[np.int32]
    best: Floats
    gap: Floats
    interval: Floats
    eliminated: NDArray[np.int64]


@dataclass(slots=True)
class _Row:
    """The order at one moment."""

    order: list[int]
    best: list[float]
    gap: list[float]
    interval: list[float]


@dataclass(slots=True)
class _State:
    """What is carried from part to part. fixed: eliminated cars in the order of their places, the
    last part's first."""

    before: list[int]
    fixed: list[int] = field(default_factory=list)
    kept: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    eliminated: dict[int, int] = field(default_factory=dict)


def best_lap_order(
    times: Floats,
    cars: Sequence[CarLaps],
    parts: Sequence[Part] = (Part(),),
    first_order: Sequence[int] | None = None,
) -> BestLapOrder:
    """Compute the order by best lap in every frame.

    Args:
        times: of the frames, increasing, shape (frames,).
        cars: what each car did.
        parts: of the session, in the order of time; the first one also holds before its start.
        first_order: indices of the cars in the order in which they stand before anyone has driven;
            None for the order of `cars`.
    """
    moments = _moments(cars, parts)
    state = _State(list(range(len(cars)) if first_order is None else first_order))
    rows: list[_Row] = []
    part = 0
    for moment in moments:
        while part + 1 < len(parts) and parts[part + 1].start <= moment:
            # What counted just before the next part begins is the part's result.
            _close(state, _row(cars, parts, part, parts[part + 1].start, state), parts, part)
            part += 1
        rows.append(_row(cars, parts, part, moment, state, at_most=moment))
    at = np.searchsorted(np.array(moments), times, side="right") - 1
    at = np.maximum(at, 0)
    position = np.empty((len(rows), len(cars)), dtype=np.int32)
    for index, row in enumerate(rows):
        position[index, row.order] = np.arange(1, len(cars) + 1, dtype=np.int32)
    return BestLapOrder(
        position=position[at],
        best=np.array([row.best for row in rows], dtype=np.float64).reshape(-1, len(cars))[at],
        gap=np.array([row.gap for row in rows], dtype=np.float64).reshape(-1, len(cars))[at],
        interval=np.array([row.interval for row in rows]).reshape(-1, len(cars))[at],
        eliminated=np.array(
            [state.eliminated.get(car, -1) for car in range(len(cars))], dtype=np.int64
        ),
    )


def _moments(cars: Sequence[CarLaps], parts: Sequence[Part]) -> list[float]:
    """When anything about the order may change, increasing; begins before everything."""
    found = {-math.inf, *(part.start for part in parts)}
    for car in cars:
        found.update(car.left_pits)
        for lap in car.laps:
            found.update((lap.began, lap.ended, lap.withdrawn, lap.reinstated))
    return sorted(t for t in found if not math.isnan(t) and t != math.inf)


def _row(
    cars: Sequence[CarLaps],
    parts: Sequence[Part],
    part: int,
    moment: float,
    state: _State,
    at_most: float | None = None,
) -> _Row:
    """The order at a moment within a part; at_most: None for just before the moment."""
    start = parts[part].start if part else -math.inf
    end = parts[part + 1].start if part + 1 < len(parts) else math.inf
    until = np.nextafter(moment, -math.inf) if at_most is None else at_most
    keys: list[tuple[float, ...]] = []
    best = [math.nan] * len(cars)
    place = {car: index for index, car in enumerate(state.before)}
    for index, car in enumerate(cars):
        counted = [
            (lap.duration, lap.ended)
            for lap in car.laps
            if start <= lap.ended < end and lap.counts_at(until)
        ]
        if counted:
            duration, ended = min(counted)
            best[index] = duration
            keys.append((0, duration, ended, place[index]))
            continue
        rank = _NO_TIME
        if any(start <= time <= until for time in car.left_pits):
            rank = _LEFT_PITS
        if any(lap.flying and start <= lap.began <= until for lap in car.laps):
            rank = _FLYING
        keys.append((1, rank, place[index]))
    running = sorted((i for i in range(len(cars)) if i not in state.kept), key=lambda i: keys[i])
    gap, interval = [math.nan] * len(cars), [math.nan] * len(cars)
    for ahead, index in enumerate(running):
        gap[index] = best[index] - best[running[0]]
        interval[index] = best[index] - best[running[max(ahead - 1, 0)]]
    for index, values in state.kept.items():
        best[index], gap[index], interval[index] = values
    return _Row(running + state.fixed, best, gap, interval)


def _close(state: _State, row: _Row, parts: Sequence[Part], part: int) -> None:
    """A part is over: who does not go on keeps place and times."""
    entries = parts[part + 1].entries
    running = [car for car in row.order if car not in state.kept]
    out = running[entries:] if entries is not None else []
    for car in out:
        state.kept[car] = (row.best[car], row.gap[car], row.interval[car])
        state.eliminated[car] = part + 1
    state.fixed = out + state.fixed
    state.before = row.order
