"""Progress, order and gaps of a race. Pure numpy, computed once, at import.

Progress counts laps of the line that laps are timed at: 3.25 is a quarter of the way round lap 4.
Cars on the grid stand near 0, before or beyond it, for many circuits start at another line. It
comes from line crossings and from the projection on the centre line, never from integrated speed,
whose error grows with the race and soon exceeds the gaps between cars.

Everywhere: frames run along axis 0, cars along axis 1; NaN means "not known".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

NEVER = -1
"""In `finish_frame` and `retired_frame`: the car did not."""

STANDINGS_RATE = 5.0
"""The order is taken anew this often (Hz) and held in between: faster than any display of it is
read."""

GAPS_RATE = 2.5
"""The same of gaps: in 0.4 s they change by less than they are right to, and they differ each time,
so that each reading costs bytes (1.1 a frame less than at 5 Hz)."""

_JUMP_WINDOW = 5
"""Samples of the median that finds a projection on the wrong stretch of a track that nears itself;
such slips last one or two samples."""
_JUMP = 0.03
"""Laps between a sample and its neighbours' median that cannot be driven within half a second."""
_GRID_BREAK = 0.012
"""Laps between two neighbours on the grid that no row of empty slots explains: 50 m and more."""
_MOVED = 0.002
"""Laps: more than a standing car's position trembles."""
_SMOOTHING_PASSES = 3
"""Passes of the smoothing that takes the jitter out of progress; reaches three samples, 0.7 s."""
_WARP_LIMIT = 0.02
"""Laps by which a crossing time may disagree with the projection and still be believed: about
1.5 s, several times the jitter of the timing feed and of the position clock together."""


def progress_from_track(
    time: Floats,
    fraction: Floats,
    crossings: Floats,
    start_time: float,
) -> NDArray[np.float64]:
    """Compute one car's progress at its own samples, in laps.

    Args:
        time: seconds, increasing, shape (samples,).
        fraction: of the lap at each sample, 0…1, from the projection on the centre line; NaN where
            the car was off the map.
        crossings: times at which the start line was crossed for the 1st, 2nd… time after one lap,
            where progress is 1, 2…; NaN where unknown, empty if nothing is known.
        start_time: of the race; the car then stands within half a lap of the line.

    Returns:
        Laps, shape (samples,), NaN where unknown.
    """
    progress = np.full(len(time), np.nan)
    known = np.flatnonzero(~np.isnan(fraction))
    if not known.size:
        return progress
    times = np.asarray(time, dtype=np.float64)[known]
    laps = _unwrap(np.asarray(fraction, dtype=np.float64)[known])
    laps = _without_jitter(times, _without_outliers(laps))
    laps -= np.rint(np.interp(start_time, times, laps))
    laps = _anchor(times, laps, crossings)
    progress[known] = laps
    return progress


def _unwrap(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractions of the lap → laps, taking each step as the shorter way round."""
    step = np.diff(fraction)
    step -= np.rint(step)
    laps: NDArray[np.float64] = fraction[0] + np.concatenate(([0.0], np.cumsum(step)))
    return laps


def _without_outliers(laps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples far off their neighbours' median replaced by it."""
    if len(laps) < _JUMP_WINDOW:
        return laps
    half = _JUMP_WINDOW // 2
    padded = np.pad(laps, half, mode="edge")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, _JUMP_WINDOW), axis=1)
    return np.where(np.abs(laps - median) > _JUMP, median, laps)


def _without_jitter(times: NDArray[np.float64], laps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each sample moved halfway to the line between its neighbours, `_SMOOTHING_PASSES` times.

    Positions come up to 10 m early or late, which would make gaps jump by tenths of a second; a
    car's real speed hardly changes within the second that is smoothed over.
    """
    if len(laps) < 3:
        return laps
    part = (times[1:-1] - times[:-2]) / (times[2:] - times[:-2])
    calm = laps.copy()
    for _ in range(_SMOOTHING_PASSES):
        between = calm[:-2] + part * (calm[2:] - calm[:-2])
        calm[1:-1] += (between - calm[1:-1]) / 2
    return calm


def _anchor(
    times: NDArray[np.float64], laps: NDArray[np.float64], crossings: Floats
) -> NDArray[np.float64]:
    """Laps made to pass 1, 2… exactly at the crossings.

    First by whole laps, where the unwrapping went round once too often or too seldom (a gap in the
    positions), then by the small rest, spread linearly between crossings, which takes each
    car's own clock error out of the gaps.
    """
    number = np.arange(1, len(crossings) + 1, dtype=np.float64)
    usable = ~np.isnan(crossings) & (crossings >= times[0]) & (crossings <= times[-1])
    if not usable.any():
        return laps
    at = np.asarray(crossings, dtype=np.float64)[usable]
    number = number[usable]
    whole = np.rint(number - np.interp(at, times, laps))
    # A change of the count applies half a lap before the crossing that showed it.
    change = np.searchsorted(times, np.concatenate(([-np.inf], (at[1:] + at[:-1]) / 2)))
    steps = np.zeros(len(times) + 1)
    np.add.at(steps, change, np.diff(np.concatenate(([0.0], whole))))
    laps = laps + np.cumsum(steps[:-1])
    rest = number - np.interp(at, times, laps)
    consistent = np.abs(rest) < _WARP_LIMIT
    if consistent.any():
        first = min(times[0], at[consistent][0])
        nodes = np.concatenate(([first], at[consistent]))
        laps = laps + np.interp(
            times, nodes, np.concatenate(([rest[consistent][0]], rest[consistent]))
        )
    return laps


def positions(
    progress: Floats,
    *,
    start_frame: int = 0,
    grid: Integers | None = None,
    finish_frame: Integers | None = None,
    retired_frame: Integers | None = None,
    finish_time: Floats | None = None,
) -> NDArray[np.int32]:
    """Compute the race order in every frame.

    Finished cars are ordered by laps completed, then by the time at which they crossed the line. A
    retired car is behind all that still drive; a car that was never seen comes last.

    Args:
        progress: laps, shape (frames, cars), NaN where unknown.
        start_frame: of the race; before it the order is the grid's.
        grid: each car's place on the grid, 1…, shape (cars,); None for the order at the start.
        finish_frame: of each car, shape (cars,), `NEVER` if it did not finish.
        retired_frame: of each car, shape (cars,), `NEVER` if it did not retire.
        finish_time: of each car, in any unit: who finished first where two finish within one
            frame; None lets the frames decide.

    Returns:
        int32, shape (frames, cars): 1 for the leader, no position twice in a frame.
    """
    frames, cars = progress.shape
    score = np.array(progress, dtype=np.float64)
    finish = _per_car(finish_frame, cars)
    retired = _per_car(retired_frame, cars)
    if not frames:
        return np.empty((0, cars), dtype=np.int32)
    start = min(max(start_frame, 0), frames - 1)
    from_pits = _pit_starters(score[start])
    if grid is None:
        # A car that was not seen on the grid lines up behind those that were.
        on_grid = np.where(np.isnan(score[start]), -np.inf, score[start])
        on_grid[from_pits] -= 1.0
        order = np.argsort(-on_grid, kind="stable")
        grid_place = np.empty(cars, dtype=np.int64)
        grid_place[order] = np.arange(1, cars + 1)
    else:
        grid_place = np.asarray(grid, dtype=np.int64)
    for car in from_pits:
        # It stands ahead of the grid, yet nobody is behind it until it moves.
        moved = score[start:, car] > score[start, car] + _MOVED
        score[start : start + int(np.argmax(moved)) if moved.any() else frames, car] = -1.0
    for car in np.flatnonzero(retired != NEVER):
        # Last among the retired is who retired with the fewest laps.
        at = retired[car]
        score[at:, car] = -1000.0 + (0.0 if np.isnan(score[at, car]) else score[at, car])
    finished = np.flatnonzero(finish != NEVER)
    moment = finish if finish_time is None else np.asarray(finish_time, dtype=np.float64)
    for rank, car in enumerate(finished[np.argsort(moment[finished], kind="stable")]):
        laps = np.rint(score[finish[car], car])
        score[finish[car] :, car] = laps - 1e-6 * rank
    score[np.isnan(score)] = -2000.0
    score[: max(start_frame, 0)] = -grid_place
    # Equal scores keep the grid's order: stable sort over cars arranged by grid place.
    by_grid = np.argsort(grid_place, kind="stable")
    order = by_grid[np.argsort(-score[:, by_grid], axis=1, kind="stable")]
    result = np.empty((frames, cars), dtype=np.int32)
    np.put_along_axis(result, order, np.arange(1, cars + 1, dtype=np.int32)[None, :], axis=1)
    return result


def positions_at_line(
    crossings: Sequence[Floats],
    times: Floats,
    grid: Integers,
    finish_time: Floats | None = None,
) -> NDArray[np.int32]:
    """Compute the race order as the timing counts it: anew whenever a car crosses the line.

    Who has completed more laps is ahead; of the same number, whoever completed them first; before
    the first crossing the grid counts. So a car in the pits, or one that has stopped, keeps its
    place until the others have crossed the line, and a lapped car that passes the leader has not
    gained.

    Args:
        crossings: for each car the times at which it completed lap 1, 2…, increasing.
        times: of the frames, increasing, in the same unit.
        grid: each car's place on the grid, 1…, shape (cars,).
        finish_time: of each car, shape (cars,): later crossings do not count; NaN if it did not
            finish.

    Returns:
        int32, shape (frames, cars): 1 for the leader, no position twice in a frame.
    """
    cars = len(crossings)
    result = np.empty((len(times), cars), dtype=np.int32)
    counted = []
    for car, ends in enumerate(crossings):
        known = np.asarray(ends, dtype=np.float64)
        last = np.nan if finish_time is None else finish_time[car]
        counted.append(known if np.isnan(last) else known[known <= last])
    moments = np.unique(np.concatenate([*counted, np.zeros(0)]))
    # The order stands from one crossing to the next.
    edges = np.concatenate(([0], np.searchsorted(times, moments), [len(times)]))
    laps = np.zeros(cars, dtype=np.int64)
    since = np.asarray(grid, dtype=np.float64)
    place = np.empty(cars, dtype=np.int32)
    done = [dict(zip(own.tolist(), range(1, len(own) + 1), strict=True)) for own in counted]
    for number, (begin, end) in enumerate(pairwise(edges.tolist())):
        if number:
            moment = float(moments[number - 1])
            for car in range(cars):
                lap = done[car].get(moment)
                if lap is not None:
                    laps[car], since[car] = lap, moment
        if begin < end:
            place[np.lexsort((grid, since, -laps))] = np.arange(1, cars + 1)
            result[begin:end] = place
    return result


def gaps(
    progress: Floats,
    position: Integers,
    frame_rate: float,
    *,
    start_frame: int = 0,
    finish_frame: Integers | None = None,
    retired_frame: Integers | None = None,
    rate: float = GAPS_RATE,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the gaps to the leader and the intervals to the car ahead, in seconds.

    The gap of a car is the time since the leader was where the car is now, and its interval the
    same for the car one position ahead; so a lapped car is a lap's time and more behind.

    Args:
        progress: laps, shape (frames, cars).
        position: from `positions`, same shape.
        frame_rate: frames per second.
        start_frame: of the race.
        finish_frame: of each car, shape (cars,), `NEVER` if it did not finish.
        retired_frame: of each car, shape (cars,), `NEVER` if it did not retire.
        rate: values computed a second; they are held in between.

    Returns:
        (gap_to_leader, interval): float, shape (frames, cars). The leader has 0. NaN before the
        start, until the car reaches the place from which the other one started, and after it
        retired; after the finish both keep their last value.
    """
    frames, cars = progress.shape
    gap = np.full((frames, cars), np.nan)
    interval = np.full((frames, cars), np.nan)
    start = max(start_frame, 0)
    if start >= frames:
        return gap, interval
    finish = _per_car(finish_frame, cars)
    retired = _per_car(retired_frame, cars)
    ticks, held = _ticks(frames, frame_rate, rate)
    place = position[ticks]
    # A finished car is compared where and when it finished.
    when = np.where((finish != NEVER) & (ticks[:, None] > finish), finish, ticks[:, None])
    where = np.take_along_axis(np.asarray(progress, dtype=np.float64), when, axis=0)
    by_place = np.empty_like(place)
    np.put_along_axis(by_place, place - 1, np.arange(cars, dtype=place.dtype)[None, :], axis=1)
    leader = np.broadcast_to(by_place[:, :1], place.shape)
    ahead = np.take_along_axis(by_place, np.maximum(place - 2, 0), axis=1)
    running = (ticks[:, None] >= start) & ~((retired != NEVER) & (ticks[:, None] >= retired))
    gap_at = np.full(place.shape, np.nan)
    interval_at = np.full(place.shape, np.nan)
    for car in range(cars):
        history, start_progress = _history(progress[:, car], start, int(finish[car]))
        if history is None:
            continue
        for other, result in ((leader, gap_at), (ahead, interval_at)):
            chosen = (other == car) & running
            spots = where[chosen]
            reached = np.interp(spots, history, np.arange(start, start + len(history)))
            behind = np.maximum(when[chosen] - reached, 0.0) / frame_rate
            result[chosen] = np.where(spots >= start_progress, behind, np.nan)
    first = (place == 1) & running
    gap_at[first] = 0.0
    interval_at[first] = 0.0
    return gap_at[held], interval_at[held]


def _ticks(frames: int, frame_rate: float, rate: float) -> tuple[Integers, Integers]:
    """Frames at which standings are taken, and for each frame the index of the last of them."""
    step = max(1, round(frame_rate / rate))
    return np.arange(0, frames, step), np.arange(frames) // step


def _history(progress: Floats, start: int, finish: int) -> tuple[NDArray[np.float64] | None, float]:
    """Progress from the start on as it first was reached (never falling), and its first value."""
    stop = len(progress) if finish == NEVER else finish + 1
    raced = np.asarray(progress[start:stop], dtype=np.float64)
    known = np.flatnonzero(~np.isnan(raced))
    if not known.size:
        return None, np.nan
    raced = np.interp(np.arange(len(raced)), known, raced[known])
    return np.maximum.accumulate(raced), float(raced[0])


def _pit_starters(progress: Floats) -> Integers:
    """Cars that start from the pit lane's exit: a few, well ahead of all others at the start."""
    known = np.flatnonzero(~np.isnan(progress))
    order = known[np.argsort(-progress[known], kind="stable")]
    breaks = np.flatnonzero(-np.diff(progress[order]) > _GRID_BREAK) + 1
    breaks = breaks[breaks <= len(order) // 3]
    return order[: int(breaks[-1])] if breaks.size else order[:0]


def _per_car(frames: Integers | None, cars: int) -> NDArray[np.int64]:
    """Frame numbers per car, `NEVER` for all if none were given."""
    if frames is None:
        return np.full(cars, NEVER, dtype=np.int64)
    return np.asarray(frames, dtype=np.int64)


def hold(samples: NDArray[Any], frames: int, step: int) -> NDArray[Any]:
    """Values taken every `step` frames → one per frame, each held until the next is taken."""
    return samples[np.arange(frames) // step]
