"""What the topic TimingData says of one car → its laps, sectors, pit visits and best laps. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .merging import entries

_SAME_CROSSING = 6.0
"""Seconds within which a lap's number, its time and its third sector come, in any order."""


@dataclass(slots=True)
class TimedLap:
    """One lap. began, ended: seconds since 1970, NaN if not seen; duration, sectors: seconds, NaN
    where the timing gave none; pit_out: began in the pit lane."""

    began: float
    ended: float = math.nan
    duration: float = math.nan
    sectors: list[float] = field(default_factory=lambda: [math.nan] * 3)
    pit_out: bool = False


@dataclass(slots=True)
class CarTiming:
    """One car, as the updates come in. Feed them in the order of time.

    laps: by number; the last one may be being driven. pits: [in, out], seconds since 1970, NaN
    for an end that was not seen. places: (time, position) of each change.
    """

    first_lap: int
    """Number of the lap that ends when the timing first counts: 1 in a race, where it counts laps
    that are done, 0 in other sessions, where it counts laps that were begun."""
    laps: dict[int, TimedLap] = field(default_factory=dict)
    pits: list[list[float]] = field(default_factory=list)
    bests: list[list[float]] = field(default_factory=list)
    places: list[tuple[float, int]] = field(default_factory=list)
    _count: int | None = None
    _lap: int = 0
    _closed: int = 0
    _best: dict[int, list[float]] = field(default_factory=dict)
    _in_pit: bool | None = None

    def take(self, time: float, line: Mapping[str, Any]) -> None:
        """One update of this car's line. time: seconds since 1970."""
        place = whole(line.get("Position"))
        if place is not None:
            self.places.append((time, place))
        self._pit(time, line)
        self._laps(time, line)
        self._best_laps(time, line)

    @property
    def next_stint(self) -> int:
        """The lap that a set of tyres put on now is first used in."""
        return self._lap + 1 if self._in_pit or not self._lap else self._lap

    def _pit(self, time: float, line: Mapping[str, Any]) -> None:
        inside = line.get("InPit")
        if not isinstance(inside, bool) or inside == self._in_pit:
            return
        first, self._in_pit = self._in_pit is None, inside
        if inside:
            self.pits.append([math.nan if first else time, math.nan])
        elif self.pits:
            self.pits[-1][1] = time
            if self.first_lap and self._lap > 1:
                # In a race a lap begins at the line in the pit lane, before the exit.
                self.laps[self._lap].pit_out = True

    def _laps(self, time: float, line: Mapping[str, Any]) -> None:
        count = whole(line.get("NumberOfLaps"))
        if "RacingNumber" in line:
            self._state(count)
            return
        if count is not None and (self._count is None or count > self._count):
            self._count = count
            self._begin(time, count + self.first_lap)
        if self._count is None and not self.first_lap:
            return  # The lap's number is not known before the timing counts.
        last = line.get("LastLapTime")
        duration = seconds(last.get("Value")) if isinstance(last, Mapping) else None
        if duration is not None and (ended := self._ended(time)) is not None:
            ended.duration = duration
        for sector, said in entries(line.get("Sectors")):
            value = seconds(said.get("Value")) if isinstance(said, Mapping) else None
            if value is None or sector > 2:
                continue
            lap = self._ended(time) if sector == 2 else self._driven(time)
            if lap is not None:
                lap.sectors[sector] = value

    def _state(self, count: int | None) -> None:
        """A whole line and no change: its times may be old, only the number of laps counts."""
        if count and (self._count is None or count > self._count):
            self._count = count
            self._lap = count + self.first_lap
            self._closed = self._lap - 1
            self.laps.setdefault(self._lap, TimedLap(math.nan))

    def _begin(self, time: float, number: int) -> None:
        """Lap `number` begins: at the line, or at the exit of the pits."""
        before = self.laps.get(number - 1)
        if before is None and number > 1:
            before = self.laps[number - 1] = TimedLap(math.nan)
        if before is not None and math.isnan(before.ended):
            before.ended = time
        self._closed, self._lap = number - 1, number
        lap = self.laps.setdefault(number, TimedLap(math.nan))
        if before is not None:
            lap.began = before.ended
        elif not self.first_lap:
            lap.began = time
        left = self.pits[-1][1] if self.pits else math.nan
        lap.pit_out |= not self.first_lap and abs(left - time) < _SAME_CROSSING

    def _ended(self, time: float) -> TimedLap | None:
        """The lap whose end is being told: the one that ended just now; else, but not in a race,
        the one being driven, which then ends in the pit lane."""
        closed = self.laps.get(self._closed)
        if closed is not None and (self.first_lap or abs(time - closed.ended) < _SAME_CROSSING):
            return closed
        if self.first_lap:
            return None
        lap = self._driven(time)
        if math.isnan(lap.ended):
            lap.ended = time
            self._closed = self._lap
        return lap

    def _driven(self, time: float) -> TimedLap:
        if not self._lap:
            self._lap = 1
        if self._lap not in self.laps:
            self.laps[self._lap] = TimedLap(math.nan)
        return self.laps[self._lap]

    def _best_laps(self, time: float, line: Mapping[str, Any]) -> None:
        best: Any = line.get("BestLapTimes")
        if best is None and "BestLapTime" in line:
            best = [line["BestLapTime"]]
        for part, said in entries(best):
            if not isinstance(said, Mapping) or "Value" not in said:
                continue
            value, before = seconds(said["Value"]), self._best.get(part)
            if before is not None and (value is None or value > before[1]):
                before[2] = time
                del self._best[part]
            if value is not None and (before is None or value != before[1]):
                self._best[part] = [time, value, math.inf]
                self.bests.append(self._best[part])


def seconds(text: object) -> float | None:
    """ "1:18.964" or "33.329" in seconds; None for "" and anything else."""
    if not isinstance(text, str):
        return None
    minutes, _, rest = text.strip().rpartition(":")
    hours, _, minutes = minutes.rpartition(":")
    try:
        value = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest)
    except ValueError:
        return None
    return value if 0 < value < 86_400 else None


def whole(text: object) -> int | None:
    """A whole number from 0 to 9999, which may come as text; None for anything else."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        return None
    if isinstance(text, str) and not (text.isdecimal() and len(text) < 5):
        return None
    value = int(text)
    return value if 0 <= value <= 9999 else None
