"""What will happen in the race and when: drawn once from the seed, before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..racing import Tyre
from .circuit import Array
from .teams import CARS

GRID_WAIT = 10.0
"""Seconds on the grid before the lights go out."""
MEAN_LAP = 98.0
"""Seconds: a dry lap takes 85, behind the safety car and in the rain more."""
OVERHEAD = 70.0
"""Seconds of a recording that are not racing: the wait on the grid and the cool-down."""
SHORTEST, LONGEST = 5.0, 180.0
"""Minutes. A shorter race leaves no room for its retirements, stops and rain."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """car: column; at: laps done when it happens; reason: as race control would put it."""

    car: int
    at: float
    reason: str
    safety_car: bool


@dataclass(frozen=True, slots=True)
class RacePlan:
    """One race, before it is run. Arrays have shape (cars,).

    grid: columns in starting order. grip: share of the best car's. start_tyre: `Tyre`.
    stops: per car the laps (of the race's laps) at whose end it changes dry tyres.
    rain_at: laps done by the leader when it starts to rain; soaking: seconds until it is wet.
    wet_threshold: wetness at which a car comes in; full_wet: whether it then takes wet tyres.
    """

    laps: int
    grid: NDArray[np.int64]
    grip: Array
    drag: Array
    reaction: Array
    launch: Array
    start_tyre: NDArray[np.int64]
    stops: tuple[tuple[int, ...], ...]
    compounds: tuple[tuple[Tyre, ...], ...]
    retirements: tuple[Retirement, Retirement]
    rain_at: float
    soaking: float
    wet_threshold: Array
    full_wet: NDArray[np.bool_]


def race_laps(minutes: float) -> int:
    """How many laps fill a recording of this length."""
    return max(3, round((minutes * 60 - OVERHEAD) / MEAN_LAP))


def draw_plan(minutes: float, rng: np.random.Generator) -> RacePlan:
    """Raises: ValueError if `minutes` is out of range."""
    if not SHORTEST <= minutes <= LONGEST:
        raise ValueError(f"minutes {minutes:g}: expected {SHORTEST:g} to {LONGEST:g}")
    laps = race_laps(minutes)
    cars = len(CARS)
    grip = np.array([1.0 - team.pace + driver.talent for team, driver in CARS])
    grip += rng.normal(0, 0.002, cars)
    # Qualifying shuffles the order more than the race pace says: faster cars come from behind.
    grid = np.argsort(-(grip + rng.normal(0, 0.007, cars)), kind="stable")
    dry_stops = round(laps / 14) if laps >= 8 else 0
    stops, compounds = [], []
    start_tyre = np.where(rng.random(cars) < 0.6, Tyre.MEDIUM, Tyre.SOFT).astype(np.int64)
    for car in range(cars):
        share = (np.arange(dry_stops) + 1) / (dry_stops + 1.25)
        drawn = np.rint(share * 0.68 * laps + rng.uniform(-0.15, 0.12, dry_stops) * laps)
        stops.append(tuple(int(v) for v in np.clip(drawn, 2, laps - 2)))
        choice = [Tyre.HARD, Tyre.MEDIUM, Tyre.SOFT]
        last = Tyre(int(start_tyre[car]))
        own = []
        for _ in range(dry_stops + 1):
            last = [t for t in choice if t is not last][int(rng.integers(2))]
            own.append(last)
        compounds.append(tuple(own))
    return RacePlan(
        laps=laps,
        grid=grid,
        grip=grip,
        drag=np.array([team.drag for team, _ in CARS]),
        reaction=rng.uniform(0.18, 0.36, cars),
        launch=rng.uniform(0.78, 1.0, cars),
        start_tyre=start_tyre,
        stops=tuple(stops),
        compounds=tuple(compounds),
        retirements=_retirements(laps, grid, rng),
        rain_at=(0.63 + rng.uniform(-0.03, 0.03)) * laps if laps >= 6 else 0.36 * laps,
        soaking=float(np.clip(0.12 * laps * MEAN_LAP, 40.0, 240.0)),
        wet_threshold=rng.uniform(0.22, 0.45, cars),
        full_wet=rng.random(cars) < 0.12,
    )


def _retirements(
    laps: int, grid: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Retirement, Retirement]:
    # Neither of the front rows: the lead should be fought out, not handed over.
    first, second = (int(c) for c in rng.choice(grid[5:18], size=2, replace=False))
    reasons = ["POWER UNIT", "GEARBOX", "HYDRAULICS", "PUNCTURE", "SUSPENSION"]
    drawn = rng.choice(reasons, size=2, replace=False)
    early = max(1, round(0.16 * laps)) if laps >= 6 else 0
    middle = max(early + 1, round(0.36 * laps)) if laps >= 6 else 0.65
    # Where they stop: in the second sector, and just after the first corner.
    return (
        Retirement(first, early + 0.42 + rng.uniform(-0.02, 0.02), str(drawn[0]), False),
        Retirement(second, middle + 0.05 + rng.uniform(0.0, 0.03), str(drawn[1]), True),
    )
