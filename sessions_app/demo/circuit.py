"""The circuit of the demo race: an invention, laid out as straights and corners.

A corner is a stretch whose curvature rises, holds and falls linearly, so the centre line's
curvature is continuous and a car that follows it never jerks. Headings depend on the corners only,
so the end point is linear in the straights' lengths: the smallest change of the lengths that
brings the end back to the start closes the circuit exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NAME = "Marrow Vale"
HALF_WIDTH = 6.5
"""Metres from the centre line to either edge."""
EDGE = HALF_WIDTH - 1.7
"""Furthest lateral offset of a car's middle, metres: half a car and some care from the edge."""
EASE = 0.36
"""Share of a corner's length on which its curvature rises, and the same to fall."""

SECTORS = (0.36, 0.67)
"""Fractions of the lap at which sectors 2 and 3 begin."""

DRS_ZONES = ((0.925, 0.036), (0.545, 0.617))
"""Where the rear wing may be opened, fractions of the lap; the first zone spans the start line."""

START_RUN = 330.0
"""Metres from the start line to the first corner."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One corner. angle: degrees, positive to the right; radius: of the tightest part, metres;
    straight: metres before it, before the circuit is closed."""

    straight: float
    angle: float
    radius: float


TURNS = (
    Turn(0.0, 98.0, 32.0),  # a heavy stop at the end of the longest flat-out run
    Turn(60.0, -64.0, 50.0),
    Turn(150.0, 52.0, 130.0),
    Turn(110.0, 38.0, 250.0),
    Turn(230.0, 138.0, 19.0),  # hairpin
    Turn(130.0, -118.0, 44.0),
    Turn(110.0, -34.0, 230.0),
    Turn(150.0, 96.0, 52.0),
    Turn(210.0, 24.0, 420.0),  # flat out
    Turn(360.0, 64.0, 25.0),  # chicane
    Turn(25.0, -66.0, 25.0),
    Turn(150.0, 78.0, 105.0),
    Turn(110.0, -74.0, 115.0),
    Turn(45.0, 70.0, 82.0),
    Turn(90.0, 58.0, 210.0),
)
FINAL_STRAIGHT = 900.0
"""From the last corner to the first, before the circuit is closed."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Tables over the distance along the centre line, one entry a metre (`step` metres exactly).

    x, y: metres; heading: radians; curvature: 1/m, positive to the left; line: lateral offset of
    the racing line, metres to the left; all of shape (points,), entry 0 at the start line.
    """

    length: float
    step: float
    x: Array
    y: Array
    heading: Array
    curvature: Array
    line: Array
    apexes: Array  # distance of the middle of each turn, metres

    def at(self, table: Array, distance: Array) -> Array:
        """`table` at these distances (any shape, any number of laps), linear between entries."""
        place = np.mod(distance, self.length) / self.step
        index = place.astype(np.int64)
        share = place - index
        points = len(table)
        low = table[index % points]
        return low + share * (table[(index + 1) % points] - low)

    def point(self, distance: Array, offset: Array) -> tuple[Array, Array]:
        """Distance along and offset to the left (metres) → x, y (metres)."""
        # Cosine and sine, not the angle: an angle cannot be interpolated where it wraps.
        nx, ny = self.at(-np.sin(self.heading), distance), self.at(np.cos(self.heading), distance)
        return self.at(self.x, distance) + nx * offset, self.at(self.y, distance) + ny * offset


def _corner_length(turn: Turn) -> float:
    # The integral of a trapezoid of height 1/radius with two flanks of EASE each.
    return float(np.radians(abs(turn.angle))) * turn.radius / (1.0 - EASE)


def _curvature(straights: Array, step: float) -> tuple[Array, Array]:
    """Straights' lengths → curvature from the start of the first corner, and the turns' middles."""
    knots, values, middles = [0.0], [0.0], []
    place = 0.0
    for turn, straight in zip(TURNS, straights[:-1], strict=True):
        place += straight
        length = _corner_length(turn)
        height = -np.sign(turn.angle) / turn.radius
        knots += [place, place + EASE * length, place + (1 - EASE) * length, place + length]
        values += [0.0, height, height, 0.0]
        middles.append(place + length / 2)
        place += length
    total = place + straights[-1]
    grid = (np.arange(round(total / step)) + 0.5) * (total / round(total / step))
    return np.interp(grid, [*knots, total], [*values, 0.0]), np.array(middles)


def _walk(curvature: Array, step: float) -> tuple[Array, Array, Array]:
    """Curvature at the middle of each step → x, y, heading at its beginning."""
    heading = np.concatenate([[0.0], np.cumsum(curvature) * step])
    middle = (heading[:-1] + heading[1:]) / 2
    x = np.concatenate([[0.0], np.cumsum(np.cos(middle)) * step])
    y = np.concatenate([[0.0], np.cumsum(np.sin(middle)) * step])
    return x, y, heading


def _closed_straights() -> Array:
    straights = np.array([turn.straight for turn in TURNS] + [FINAL_STRAIGHT])
    turned = np.radians([0.0] + [-turn.angle for turn in TURNS])
    directions = np.cumsum(turned)
    matrix = np.stack([np.cos(directions), np.sin(directions)])
    # Long straights bear the correction: it should not squeeze the gap inside the chicane.
    weight = straights**2 / straights.sum()
    step = 0.25
    for _ in range(4):  # the sampled length rounds to whole steps, so once is not quite exact
        curvature, _ = _curvature(straights, step)
        total = straights.sum() + sum(_corner_length(turn) for turn in TURNS)
        x, y, _ = _walk(curvature, total / len(curvature))
        missing = -np.array([x[-1], y[-1]])
        straights = straights + weight * (
            matrix.T @ np.linalg.solve((matrix * weight) @ matrix.T, missing)
        )
    return straights


def _smooth(values: Array, metres: float) -> Array:
    """Periodic Gaussian smoothing of a table with one entry a metre."""
    frequency = np.fft.rfftfreq(len(values))
    gain = np.exp(-2 * (np.pi * frequency * metres) ** 2)
    return np.fft.irfft(np.fft.rfft(values) * gain, len(values))


def _racing_line(curvature: Array) -> Array:
    """Wide into a corner, inside at its middle, wide out of it."""
    shape = _smooth(curvature, 22.0) - _smooth(curvature, 60.0)
    return np.asarray((EDGE - 0.6) * np.tanh(shape / 0.011))


@lru_cache(maxsize=1)
def build_circuit() -> Circuit:
    """The demo's circuit."""
    straights = _closed_straights()
    total = float(straights.sum() + sum(_corner_length(turn) for turn in TURNS))
    points = round(total)
    step = total / points
    curvature, middles = _curvature(straights, step)
    x, y, heading = _walk(curvature, step)
    # Sampling once a metre leaves some centimetres open; spread over the lap no one sees them.
    along = np.arange(points + 1) / points
    x, y = x - x[-1] * along, y - y[-1] * along
    first = round((total - START_RUN) / step)  # the table begins at the start line
    order = (np.arange(points) + first) % points
    x, y, heading = x[:-1][order], y[:-1][order], heading[:-1][order]
    # Curvature was sampled at the middle of steps; the tables are read at their beginning.
    curvature = (curvature[order] + curvature[order - 1]) / 2
    return Circuit(
        length=total,
        step=step,
        x=x - (x.min() + x.max()) / 2,
        y=y - (y.min() + y.max()) / 2,
        heading=heading,
        curvature=curvature,
        line=_racing_line(curvature),
        apexes=np.mod(middles + START_RUN, total),
    )
