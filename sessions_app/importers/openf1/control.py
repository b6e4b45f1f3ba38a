"""Race control and weather: the track's status over time, and events. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...racing import TrackStatus
from ..tables import Table

_CAR = re.compile(r"\bCARS? (\d+) \(")
_FLAGS = (
    "DOUBLE YELLOW",
    "YELLOW",
    "RED",
    "CHEQUERED",
    "GREEN",
    "CLEAR",
    "BLUE",
    "BLACK AND WHITE",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One line of race control. time: seconds since 1970; flag: "" if none; driver: number or
    None; sector: of the marshals, or None."""

    time: float
    text: str
    kind: str
    flag: str
    driver: int | None
    lap: int | None
    sector: int | None


def read_messages(table: Table | None) -> list[Message]:
    """Messages in the order of time; those without a time are left out."""
    if table is None:
        return []
    messages = []
    for row in range(table.rows):
        time = float(table["date"][row])
        if np.isnan(time):
            continue
        text = table["message"][row].strip()
        flag = _text(table, "flag", row)
        if flag not in _FLAGS:
            flag = ""
        driver = _number(table, "driver_number", row)
        if driver is None and (match := _CAR.search(text)):
            driver = int(match[1])
        messages.append(
            Message(
                time=time,
                text=text,
                kind=_kind(text, flag, _text(table, "category", row)),
                flag=flag,
                driver=driver,
                lap=_number(table, "lap_number", row),
                sector=_number(table, "sector", row),
            )
        )
    return sorted(messages, key=lambda m: m.time)


def _text(table: Table, name: str, row: int) -> str:
    return str(table[name][row]).strip().upper() if name in table else ""


def _number(table: Table, name: str, row: int) -> int | None:
    if name not in table or np.isnan(table[name][row]):
        return None
    return int(table[name][row])


def _kind(text: str, flag: str, category: str) -> str:
    upper = text.upper()
    # The category is broken now and then, the words are not.
    if category == "SAFETYCAR" or re.match(r"(VIRTUAL )?SAFETY CAR", upper):
        return "safety_car"
    if flag:
        return "flag"
    return "race_control"


def track_status(messages: Sequence[Message], frames: NDArray[np.float64]) -> NDArray[np.int32]:
    """`TrackStatus` at each frame (seconds since 1970), shape (frames,)."""
    times, states = [], []
    yellow: set[int | None] = set()
    double: set[int | None] = set()
    neutral = TrackStatus.CLEAR
    chequered = False
    for message in messages:
        upper = message.text.upper()
        if message.kind == "safety_car":
            virtual = "VIRTUAL" in upper or "VSC" in upper
            if "DEPLOYED" in upper:
                neutral = TrackStatus.VIRTUAL_SAFETY_CAR if virtual else TrackStatus.SAFETY_CAR
        elif message.flag in ("YELLOW", "DOUBLE YELLOW"):
            (double if message.flag.startswith("D") else yellow).add(message.sector)
        elif message.flag == "RED":
            neutral = TrackStatus.RED
        elif message.flag == "CHEQUERED":
            chequered = True
        elif message.flag in ("CLEAR", "GREEN"):
            if "PIT EXIT OPEN" in upper:
                # The next part of a qualifying has begun.
                chequered = False
            if message.sector is None:
                yellow.clear()
                double.clear()
                neutral = TrackStatus.CLEAR
            else:
                yellow.discard(message.sector)
                double.discard(message.sector)
        times.append(message.time)
        states.append(_shown(neutral, bool(double), bool(yellow), chequered))
    if not times:
        return np.zeros(len(frames), dtype=np.int32)
    index = np.searchsorted(np.array(times), frames, side="right")
    return np.array([TrackStatus.CLEAR, *states], dtype=np.int32)[index]


def _shown(neutral: TrackStatus, double: bool, yellow: bool, chequered: bool) -> TrackStatus:
    """The one state that matters most to who watches."""
    if neutral is TrackStatus.RED:
        return neutral
    if chequered:
        return TrackStatus.CHEQUERED
    if neutral is not TrackStatus.CLEAR:
        return neutral
    if double:
        return TrackStatus.DOUBLE_YELLOW
    return TrackStatus.YELLOW if yellow else TrackStatus.CLEAR


WEATHER_FIELDS = {
    "air_temperature": "air_temperature",
    "track_temperature": "track_temperature",
    "humidity": "humidity",
    "wind_speed": "wind_speed",
    "wind_direction": "wind_direction",
    "rain": "rainfall",
}
"""Field of a recording → column of OpenF1."""


def rain_changes(table: Table | None) -> list[tuple[float, bool]]:
    """(time, whether it rains) at each change, seconds since 1970; dry before the first."""
    if table is None or "rainfall" not in table:
        return []
    order = np.argsort(table["date"], kind="stable")
    changes, raining = [], False
    for time, value in zip(table["date"][order], table["rainfall"][order], strict=True):
        if np.isnan(time) or np.isnan(value):
            continue
        if (value > 0) != raining:
            raining = bool(value > 0)
            changes.append((float(time), raining))
    return changes
