"""Cars among cars: who is ahead, how close is safe, and how far sideways there is room.

The rule that keeps cars from running through one another: of any two, either they are a car's
length apart along the track, or a car's width across it. `speed_limit` keeps the first, `room`
the second. All matrices have shape (cars, cars), row = the car in question, column = the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .circuit import Array
from .physics import braking

LENGTH = 5.6
CLEAR_WIDTH = 2.45
"""Distance across the track between the middles of two cars side by side, metres."""
NEAR = 160.0
"""Metres beyond which cars do not matter to one another."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """ahead: metres from a car to the other, negative behind, nearest way round.
    across: metres from a car to the other, positive to the left.
    apart: the same of their offsets from the racing line: how far across the other will be when
    the car gets to where the other is now.
    next: index of the nearest car ahead on the same track, -1 where there is none near.
    gap: metres to it (middle to middle), inf where there is none."""

    ahead: Array
    across: Array
    apart: Array
    next: NDArray[np.int64]
    gap: Array


def neighbours(
    distance: Array, offset: Array, deviation: Array, length: float, on_track: NDArray[np.bool_]
) -> Neighbours:
    """distance, offset, deviation (from the racing line): metres, shape (cars,). length: of a
    lap. on_track: whether the car counts as `next`."""
    ahead = distance[None, :] - distance[:, None]
    ahead -= np.rint(ahead / length) * length
    across = offset[None, :] - offset[:, None]
    apart = deviation[None, :] - deviation[:, None]
    candidates = np.where((ahead > 0) & (ahead < NEAR) & on_track[None, :], ahead, np.inf)
    nearest = candidates.argmin(axis=1)
    gap = candidates[np.arange(len(distance)), nearest]
    return Neighbours(ahead, across, apart, np.where(np.isfinite(gap), nearest, -1), gap)


def speed_limit(cars: Neighbours, speed: Array, headway: float, spacing: float) -> Array:
    """Highest speed that stays behind whoever is in the way, m/s, inf where no one is.

    headway: seconds kept to the car ahead; spacing: metres kept beside that.
    """
    narrow = CLEAR_WIDTH - 0.15
    in_way = np.abs(cars.apart) < narrow
    in_way |= (np.abs(cars.across) < narrow) & (cars.ahead < LENGTH + 4.0)
    in_way &= (cars.ahead > 0) & (cars.ahead < NEAR)
    gap = cars.ahead - LENGTH
    other = speed[None, :]
    wanted = (spacing + headway * speed)[:, None]
    following = other + (gap - wanted) / 0.9
    stopping = np.sqrt(other**2 + 2 * 0.8 * braking(other) * np.maximum(gap - 1.2, 0.0))
    limit = np.where(in_way, np.minimum(following, stopping), np.inf)
    return np.asarray(np.maximum(limit.min(axis=1), 0.0))


def room(cars: Neighbours, offset: Array, speed: Array) -> tuple[Array, Array]:
    """Lowest and highest offset (metres) that leaves each car beside another its width.

    Two cars share the space between them equally, so both may move in the same step.
    """
    closing = speed[:, None] - speed[None, :]  # positive: the row's car is faster
    closing = np.maximum(np.where(cars.ahead >= 0, closing, -closing), 0.0)
    beside = np.abs(cars.ahead) < LENGTH + 1.4 + 0.5 * closing + closing**2 / 50
    np.fill_diagonal(beside, False)
    middle = offset[:, None] + cars.across / 2
    # Cars exactly behind one another: the one with the larger index counts as the left one.
    index = np.arange(len(offset))
    left = (cars.across > 0) | ((cars.across == 0) & (index[None, :] > index[:, None]))
    high = np.where(beside & left, middle - CLEAR_WIDTH / 2, np.inf).min(axis=1)
    low = np.where(beside & ~left, middle + CLEAR_WIDTH / 2, -np.inf).max(axis=1)
    return low, high


def alongside(cars: Neighbours) -> NDArray[np.bool_]:
    """Whether a car has another beside it that is a little ahead."""
    beside = (cars.ahead > 0) & (cars.ahead < LENGTH + 1.6)
    return np.asarray((beside & (np.abs(cars.across) < 6.0)).any(axis=1))
