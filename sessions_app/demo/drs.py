"""The movable rear wing: who may open it, and where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .circuit import DRS_ZONES, Array, Circuit
from .physics import STEP

GAP = 1.0
"""Seconds behind the car ahead within which a car may open its wing."""
DETECTION = 180.0
"""Metres before a zone at which that gap is taken."""
CLOSED, ELIGIBLE, OPEN = 0, 8, 12
"""As the source of real races codes the rear wing."""


class Drs:
    """State of every car's wing. state: `CLOSED`, `ELIGIBLE` or `OPEN`, shape (cars,)."""

    def __init__(self, circuit: Circuit, cars: int) -> None:
        self._length = circuit.length
        self._granted = np.zeros(cars, dtype=bool)
        self.state = np.zeros(cars, dtype=np.int8)

    @property
    def open(self) -> NDArray[np.bool_]:
        return np.asarray(self.state == OPEN)

    def step(
        self,
        progress: Array,
        speed: Array,
        gap: Array,
        allowed: NDArray[np.bool_],
        enabled: bool,
    ) -> None:
        """progress: laps; speed: m/s; gap: metres to the car ahead; allowed: cars that race;
        enabled: by race control."""
        if not enabled:
            self._granted = np.zeros(len(speed), dtype=bool)
            self.state = np.zeros(len(speed), dtype=np.int8)
            return
        share = np.mod(progress, 1.0)
        in_zone = np.zeros(len(speed), dtype=bool)
        for begin, end in DRS_ZONES:
            passed = np.mod(share - begin + DETECTION / self._length, 1.0) * self._length
            detected = passed < np.maximum(speed, 1.0) * STEP
            self._granted = np.where(detected, gap < GAP * speed, self._granted)
            in_zone |= np.mod(share - begin, 1.0) < np.mod(end - begin, 1.0)
        self._granted &= allowed
        state = np.where(self._granted, np.where(in_zone, OPEN, ELIGIBLE), CLOSED)
        self.state = state.astype(np.int8)
