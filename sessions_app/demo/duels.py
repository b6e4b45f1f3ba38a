"""Duels: one car leaves the racing line to pass another on a straight.

While a duel lasts each of the two has a half of the track. Passing is not decided here: whoever is
faster gets by, and who is behind at the corner has to give way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .circuit import Array, Circuit
from .physics import path_curvature
from .traffic import Neighbours

HALF = 1.8
"""Offset of each of the two from the middle between them, metres."""
MIDDLE = 2.6
"""Furthest the middle between the two may be from the centre line, metres."""
STRAIGHT = 1 / 400
"""Curvature up to which cars can drive side by side at full speed, 1/m."""
RUN_UP = 140.0
"""Metres of straight that an attack needs ahead of it."""
REACH = 0.55
"""Seconds behind within which a driver attacks."""
GIVE_UP = 14.0
"""Seconds after which a duel is over, whatever it has brought."""


def straight_ahead(circuit: Circuit) -> Array:
    """Metres of straight that still lie ahead of each point, shape (points,)."""
    bent = path_curvature(circuit) > STRAIGHT
    ahead = np.zeros(len(bent))
    run = 0.0
    for i in range(2 * len(bent) - 1, -1, -1):
        run = 0.0 if bent[i % len(bent)] else run + circuit.step
        ahead[i % len(bent)] = run
    return ahead


def next_side(circuit: Circuit) -> Array:
    """The inside of the next corner at each point: 1 left, -1 right, shape (points,)."""
    sides = np.zeros(len(circuit.curvature))
    side = 0.0
    for i in range(2 * len(sides) - 1, -1, -1):
        curvature = circuit.curvature[i % len(sides)]
        if abs(curvature) > STRAIGHT:
            side = np.sign(curvature)
        sides[i % len(sides)] = side
    return sides


class Duels:
    """Who is attacking whom.

    rival: per car the other one, -1 if none. side: per car 1 for the left half, -1 for the right.
    attacking: whether the car is the one that wants to pass.
    """

    def __init__(self, circuit: Circuit, cars: int) -> None:
        self._circuit = circuit
        self._straight = straight_ahead(circuit)
        self._inside = next_side(circuit)
        self.rival: NDArray[np.int64] = np.full(cars, -1)
        self.side = np.zeros(cars)
        self.attacking = np.zeros(cars, dtype=bool)
        self._since = np.zeros(cars)

    def straight(self, distance: Array) -> Array:
        """Metres of straight ahead of these distances."""
        index = (np.mod(distance, self._circuit.length) / self._circuit.step).astype(np.int64)
        return np.asarray(self._straight[index % len(self._straight)])

    def middle(self, line: Array) -> Array:
        """Target offset of each duelling car, given the racing line's offset there."""
        return np.clip(line, -MIDDLE, MIDDLE) + HALF * self.side

    def step(
        self,
        time: float,
        dt: float,
        distance: Array,
        speed: Array,
        cars: Neighbours,
        allowed: NDArray[np.bool_],
        keenness: Array,
        rng: np.random.Generator,
    ) -> None:
        """End duels that are decided, begin new ones.

        allowed: cars that may attack now; keenness: how much better than the car ahead, per car,
        as a rate of attacks per second.
        """
        for car in np.flatnonzero(self.attacking):
            rival = int(self.rival[car])
            ahead = cars.ahead[car, rival]
            decided = ahead < -9.0 or ahead > 12.0 + 0.45 * speed[car]
            over = decided or time - self._since[car] > GIVE_UP or not allowed[car]
            if over and abs(ahead) > 7.5:
                self._end(int(car), rival)
        draw = rng.random(len(distance))
        free = allowed & (self.rival < 0) & (cars.next >= 0)
        free &= cars.gap < 5.0 + REACH * speed
        free &= (self.straight(distance) > RUN_UP) & (speed > 40.0) & (draw < keenness * dt)
        for car in np.flatnonzero(free):
            rival = int(cars.next[car])
            if self.rival[rival] >= 0 or self.rival[car] >= 0 or not allowed[rival]:
                continue
            beside_rival = np.abs(cars.ahead[rival]) < 14.0
            beside_rival[[car, rival]] = False
            if beside_rival.any():
                continue  # no room for three
            self._begin(int(car), rival, float(distance[car]), time)

    def _begin(self, car: int, rival: int, place: float, time: float) -> None:
        index = int((place % self._circuit.length) / self._circuit.step) % len(self._inside)
        side = float(self._inside[index])
        self.rival[car], self.rival[rival] = rival, car
        self.side[car], self.side[rival] = side, -side
        self.attacking[car] = True
        self._since[car] = time

    def _end(self, car: int, rival: int) -> None:
        self.rival[[car, rival]] = -1
        self.side[[car, rival]] = 0.0
        self.attacking[[car, rival]] = False
