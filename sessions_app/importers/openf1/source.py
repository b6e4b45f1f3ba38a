"""What a session is made from: the tables of a source, wherever they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..tables import Table


@dataclass(frozen=True, slots=True)
class SourceTables:
    """OpenF1's tables of one session, and what only the live timing tells. Times are seconds since
    1970, cars are named by their numbers.

    Attributes:
        path: of the source.
        small: the tables of all cars by name: sessions, drivers, laps, stints, position…
        location: positions by car.
        car_data: telemetry by car.
        parts: (time, number) of each part of a qualifying, from when its times count.
        entries_of_parts: cars that take part in each, by its number.
        clock: (time, seconds left, whether it runs) at each change of the session's clock.
        pits: (in, out) of each stay in the pits by car, NaN for an end that was not seen; None if
            the source does not tell.
        bests: (when it was told, lap time, when it was withdrawn or infinity) of each car's best
            laps; None if the source does not tell.
        total_laps: of a race, as announced.
        started: when the session began; None if the source does not tell.
    """

    path: Path
    small: Mapping[str, Table]
    location: Mapping[int, Sequence[Table]]
    car_data: Mapping[int, Sequence[Table]]
    parts: Sequence[tuple[float, int]] = ()
    entries_of_parts: Mapping[int, int] = field(default_factory=dict)
    clock: Sequence[tuple[float, float, bool]] = ()
    pits: Mapping[int, Sequence[tuple[float, float]]] | None = None
    bests: Mapping[int, Sequence[tuple[float, float, float]]] | None = None
    total_laps: int | None = None
    started: float | None = None
