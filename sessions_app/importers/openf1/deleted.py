"""Laps that race control deleted: which they are, and from when they do not count. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .car import Car
from .control import Message

_DELETED = re.compile(
    r"\bCAR (\d+)\b.*?\b(?:TIME (\d+:)?(\d+\.\d+) |LAP )(DELETED|REINSTATED)\b(?:\s*-\s*(.*))?"
)
_WHERE = re.compile(r"\s*\bLAP (\d+)(?: (\d+):(\d\d):(\d\d))?.*$")
SAME_TIME = 0.0015
"""Seconds: lap times have thousandths."""
_ZONE = 900.0
"""Seconds: time zones are whole quarters of an hour."""
_LATE = 1800.0
"""Seconds within which a lap is deleted."""
_FEED_LATE = 120.0
"""Seconds between race control's message and the timing's change that belongs to it."""


@dataclass(slots=True)
class DeletedLap:
    """A lap whose time was deleted. Times are seconds since 1970.

    Attributes:
        car: its number.
        lap: its index among the car's laps, from 0.
        duration: the time that was deleted, NaN where the lap had none.
        time: of the message.
        withdrawn: when the timing took the lap back; the message's time where that is not known.
        reason: "TRACK LIMITS AT TURN 12".
        reinstated: when it came to count again; infinity if it did not.
        message: race control's words; "" where only the timing tells.
    """

    car: int
    lap: int
    duration: float
    time: float
    withdrawn: float
    reason: str
    reinstated: float = math.inf
    message: str = ""


def deleted_laps(
    messages: Sequence[Message],
    cars: Mapping[int, Car],
    bests: Mapping[int, Sequence[tuple[float, float, float]]],
) -> list[DeletedLap]:
    """Every deleted lap, in the order of time.

    bests: as in `SourceTables`; those that the timing took back and no message explains count too.
    """
    found: list[DeletedLap] = []
    for message in messages:
        match = _DELETED.search(message.text.upper())
        if match is None or int(match[1]) not in cars:
            continue
        number = int(match[1])
        about = match[5] or ""
        duration = math.nan
        if match[3]:
            duration = float(match[3]) + 60 * int((match[2] or "0:")[:-1])
        if match[4] == "REINSTATED":
            for lap in found:
                if lap.car == number and abs(lap.duration - duration) < SAME_TIME:
                    lap.reinstated = message.time
            continue
        car = cars[number]
        index = _by_time(car, duration)
        if index is None:
            index = _by_clock(car, about, message.time)
        if index is None:
            continue
        reason = _WHERE.sub("", about).strip(" -")
        found.append(
            DeletedLap(
                number, index, duration, message.time, message.time, reason, message=message.text
            )
        )
    for number, told in bests.items():
        # A time that was told again later stands.
        last = {duration: withdrawn for _, duration, withdrawn in told}
        for duration, withdrawn in last.items():
            if withdrawn < math.inf:
                _by_feed(found, cars, number, withdrawn, duration)
    return sorted(found, key=lambda lap: lap.time)


def _by_feed(
    found: list[DeletedLap], cars: Mapping[int, Car], number: int, time: float, duration: float
) -> None:
    """The timing took a best lap back: for a message that is known, or before there is one."""
    for lap in found:
        if lap.car == number and abs(lap.duration - duration) < SAME_TIME:
            if abs(time - lap.time) < _FEED_LATE:
                lap.withdrawn = time
            return
    index = _by_time(cars[number], duration) if number in cars else None
    if index is not None:
        found.append(DeletedLap(number, index, duration, time, time, ""))


def _by_time(car: Car, duration: float) -> int | None:
    """The last lap of that time."""
    with np.errstate(invalid="ignore"):
        same = np.flatnonzero(np.abs(car.laps.duration - duration) < SAME_TIME)
    return int(same[-1]) if same.size else None


def _by_clock(car: Car, about: str, time: float) -> int | None:
    """The lap that was being driven at the time of day that the message names, in the circuit's
    own time zone; without one, the lap of that number."""
    match = _WHERE.search(about)
    if match is None:
        return None
    if match[2] is None:
        index = int(match[1]) - 1
        return index if 0 <= index < car.laps.count else None
    of_day = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
    # Of all zones the one in which it was just before the message.
    ago = (time - of_day) % _ZONE
    starts, ends = car.laps.start, car.laps.end
    while ago < _LATE:
        with np.errstate(invalid="ignore"):
            inside = np.flatnonzero((starts <= time - ago) & (time - ago < ends))
        if inside.size:
            return int(inside[-1])
        ago += _ZONE
    return None
