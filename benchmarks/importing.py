"""Importing a real race: wall and processor time, and the most memory that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from .figures import Figure
from .real_races import RACES, imported

SECONDS_GOAL, MEMORY_GOAL_MB = 7.6, 400.0


def run(quick: bool) -> Iterator[Figure]:
    for race in list(RACES)[: 1 if quick else 2]:
        found = imported(race)
        if found is None:
            continue
        n = found.frames
        yield Figure(
            "importing", f"{race}: command to ready", found.wall, "s", n, found.wall,
            spread=f"{n:,} frames", goal=f"≤ {SECONDS_GOAL:g}", met=found.wall <= SECONDS_GOAL,
        )  # fmt: skip
        yield Figure("importing", f"{race}: CPU", found.cpu, "s", n, found.wall)
        peak = found.peak / 1e6
        yield Figure(
            "importing", f"{race}: most memory", peak, "MB", n, found.wall,
            goal=f"≤ {MEMORY_GOAL_MB:g}", met=peak <= MEMORY_GOAL_MB,
        )  # fmt: skip
