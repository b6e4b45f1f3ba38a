"""What a car can do: grip, brakes, power, and the speed that each metre of the circuit allows.

Round figures of a modern single-seater, chosen so that a lap looks right: about 70 km/h in the
hairpin, 320 km/h on the long straight, 5 g under the hardest braking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .circuit import Array, Circuit

STEP = 0.16
"""Seconds of one step: four frames at 25 Hz."""

GRIP = 17.0
"""Sideways acceleration without downforce on dry slicks, m/s²."""
DOWNFORCE = 0.0043
"""Sideways acceleration gained per (m/s)², m/s²: 4.5 g in all at 80 m/s."""
BRAKING = 15.0
"""Deceleration on the brakes at walking pace, m/s²."""
BRAKING_DOWNFORCE = 0.0046
"""Deceleration gained per (m/s)² (downforce and drag), m/s²."""
BRAKING_MOST = 46.0
POWER = 880.0
"""Engine power over mass, W/kg."""
TRACTION = 11.5
"""Largest forward acceleration, m/s²: the tyres, not the engine, limit a car below 270 km/h."""
DRAG = 0.00118
"""Deceleration by air per (m/s)², m/s²: 326 km/h at full power."""
DRS_DRAG = 0.86
"""Share of the drag that is left with the rear wing open."""
TOW_DRAG = 0.93
"""Share of the drag that is left close behind another car."""
ENGINE_BRAKING = 3.0

GRIP_LEVELS = (0.50, 0.75, 1.0, 1.1)
"""Levels of grip for which speed limits are tabulated, share of `GRIP` on dry slicks."""

_UP = np.array([0.0, 96.0, 134.0, 170.0, 206.0, 242.0, 277.0, 304.0, 9999.0]) / 3.6
_DOWN = np.array([-1.0, -1.0, 82.0, 118.0, 152.0, 187.0, 222.0, 256.0, 284.0]) / 3.6
_TOP = np.array([1.0, 100.0, 139.0, 176.0, 213.0, 249.0, 285.0, 314.0, 345.0]) / 3.6
RPM_TOP = 12_000.0
RPM_IDLE = 4_500.0
RPM_LAUNCH = 10_500.0


def braking(speed: Array) -> Array:
    """Largest deceleration at this speed (m/s), m/s², positive."""
    return np.minimum(BRAKING + BRAKING_DOWNFORCE * speed**2, BRAKING_MOST)


def driving(speed: Array, drag_share: Array | float = 1.0) -> Array:
    """Largest net acceleration at this speed (m/s), m/s²; negative beyond the top speed."""
    engine = np.minimum(TRACTION, POWER / np.maximum(speed, 1.0))
    return np.asarray(engine - DRAG * drag_share * speed**2)


def shift(gear: NDArray[np.int64], speed: Array) -> NDArray[np.int64]:
    """The gears (1…8) after at most one shift each, with a gap between up and down."""
    return gear + (speed > _UP[gear]) - (speed < _DOWN[gear])


def engine_speed(gear: NDArray[np.int64], speed: Array) -> Array:
    """Revolutions per minute in these gears at these speeds (m/s)."""
    return np.maximum(RPM_IDLE, RPM_TOP * speed / _TOP[gear])


def pedals(speed: Array, acceleration: Array) -> tuple[Array, Array]:
    """Speed (m/s) and acceleration (m/s²) → throttle and brake, both 0…100 %."""
    drag = DRAG * speed**2
    engine = np.minimum(TRACTION, POWER / np.maximum(speed, 1.0))
    throttle = np.clip((acceleration + drag) / engine, 0.0, 1.0) * 100
    coasting = drag + ENGINE_BRAKING
    brake = np.clip((-acceleration - coasting) / (braking(speed) - coasting), 0.0, 1.0) * 100
    throttle = np.where((brake > 0) | (speed < 0.3), 0.0, throttle)
    return throttle, np.where(speed < 0.3, 0.0, brake)


@dataclass(frozen=True, slots=True)
class SpeedLimits:
    """Per level of grip and metre, the speed from which a car still makes every corner ahead.

    table: m/s, shape (levels, points).
    """

    circuit: Circuit
    table: Array

    def at(self, distance: Array, grip: Array) -> Array:
        """Distances (m) and shares of dry grip, both of one shape → limits, m/s."""
        place = np.mod(distance, self.circuit.length) / self.circuit.step
        column = place.astype(np.int64)
        share = place - column
        points = self.table.shape[1]
        column %= points
        after = (column + 1) % points
        level = np.interp(grip, GRIP_LEVELS, _LEVEL_NUMBERS)
        row = np.minimum(level.astype(np.int64), len(GRIP_LEVELS) - 2)
        blend = level - row
        low = self.table[row, column] * (1 - share) + self.table[row, after] * share
        high = self.table[row + 1, column] * (1 - share) + self.table[row + 1, after] * share
        return np.asarray(low + blend * (high - low))


_LEVEL_NUMBERS = np.arange(len(GRIP_LEVELS), dtype=float)


def path_curvature(circuit: Circuit) -> Array:
    """Curvature of the racing line itself, 1/m, without sign, at each point of the tables."""
    x, y = circuit.point(np.arange(len(circuit.x), dtype=np.float64) * circuit.step, circuit.line)
    dx, dy = (np.asarray(np.roll(v, -3) - np.roll(v, 3)) for v in (x, y))
    ddx, ddy = (np.roll(v, -3) + np.roll(v, 3) - 2 * v for v in (x, y))
    return np.asarray(np.abs(dx * ddy - dy * ddx) * 4 / np.hypot(dx, dy) ** 3)


def speed_limits(circuit: Circuit) -> SpeedLimits:
    """Cornering limit per metre, then one pass backwards so that braking begins in time.

    While cornering, only what the tyres have left over brakes the car (friction circle).
    """
    curvature = np.maximum(path_curvature(circuit), 1e-6)
    rows = []
    for share in GRIP_LEVELS:
        spare = curvature - DOWNFORCE * share
        cornering = np.where(
            spare > 0, np.sqrt(GRIP * share / np.maximum(spare, 1e-9)), 120.0
        ).clip(max=120.0)
        limit = list(cornering)
        points = len(limit)
        for i in range(2 * points - 1, -1, -1):  # twice round: the circuit has no end
            ahead = limit[(i + 1) % points]
            sideways = curvature[i % points] * ahead**2
            most = share * (GRIP + DOWNFORCE * ahead**2)
            left = max(0.0, 1.0 - (sideways / most) ** 2) ** 0.5
            slowing = share * min(BRAKING + BRAKING_DOWNFORCE * ahead**2, BRAKING_MOST)
            # 92 %: drivers leave a margin, and the simulation's steps need one.
            allowed = (ahead**2 + 2 * 0.92 * slowing * left * circuit.step) ** 0.5
            if allowed < limit[i % points]:
                limit[i % points] = allowed
        rows.append(np.array(limit))
    return SpeedLimits(circuit, np.stack(rows))
