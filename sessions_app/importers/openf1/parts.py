"""The parts of a practice or a qualifying: when each begins and ends, and its clock. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...racing import SessionKind
from .control import Message
from .source import SourceTables

Floats = NDArray[np.float64]

_PARTS = 3
_BEFORE_GREEN = 120.0
"""Seconds before the pit exit opens at which the timing goes on to the next part."""
_AGAIN = 60.0
"""Seconds within which a second chequered flag is the same one."""
_TOP_TEN = 10
"""Cars that take part in the last part."""


@dataclass(frozen=True, slots=True)
class SessionPart:
    """A part of a session. Times are seconds since 1970.

    Attributes:
        number: 1, 2, 3.
        name: "Q1", "SQ2"; "" of a practice.
        shown: from when its times count; -inf for the first.
        green: when the pit exit opened first.
        flag: when the chequered flag was shown; None if that was not seen.
        entries: cars that take part in it; None for all.
    """

    number: int
    name: str
    shown: float
    green: float
    flag: float | None
    entries: int | None


def session_parts(
    kind: SessionKind, messages: Sequence[Message], tables: SourceTables, cars: int, first: float
) -> list[SessionPart]:
    """The parts of a session, at least one.

    Args:
        kind: practice or a qualifying.
        messages: of race control.
        tables: of the source; what the live timing says of parts counts before the messages.
        cars: how many there are.
        first: when anything was seen first, for sources that tell of no green light.
    """
    greens = sorted(m.time for m in messages if m.flag == "GREEN")
    flags = sorted(m.time for m in messages if m.flag == "CHEQUERED")
    flags = [t for i, t in enumerate(flags) if i == 0 or t - flags[i - 1] > _AGAIN]
    if kind is SessionKind.PRACTICE:
        opened = tables.started if tables.started is not None else None
        green = greens[0] if greens else opened if opened is not None else first
        return [SessionPart(1, "", -math.inf, green, flags[-1] if flags else None, None)]
    shown = _boundaries(tables, greens, flags, first)
    parts = []
    for index, (begin, number) in enumerate(shown):
        end = shown[index + 1][0] if index + 1 < len(shown) else math.inf
        inside = [t for t in greens if begin <= t < end]
        flag = next((t for t in flags if begin <= t < end), None)
        start = begin if begin > -math.inf else first
        entries = tables.entries_of_parts.get(number) or _entries(cars, number)
        parts.append(
            SessionPart(
                number,
                kind.part_name(number),
                begin,
                inside[0] if inside else start,
                flag,
                entries,
            )
        )
    return parts


def _boundaries(
    tables: SourceTables, greens: Sequence[float], flags: Sequence[float], first: float
) -> list[tuple[float, int]]:
    """(from when it counts, number) of each part."""
    if tables.parts:
        begun, number = tables.parts[0]
        if number > 1 and begun > first + _AGAIN:
            # The recording began in the part before.
            return [(-math.inf, number - 1), *tables.parts]
        return [(-math.inf, number), *tables.parts[1:]]
    found = [(-math.inf, 1)]
    for flag in flags[: _PARTS - 1]:
        green = next((t for t in greens if t > flag), None)
        if green is None:
            break
        found.append((max(flag, green - _BEFORE_GREEN), len(found) + 1))
    return found


def _entries(cars: int, number: int) -> int | None:
    """By the regulations: as many drop out of Q1 as of Q2, and ten are left. None for all."""
    if cars <= _TOP_TEN or number == 1:
        return None
    return _TOP_TEN if number == _PARTS else _TOP_TEN + (cars - _TOP_TEN) // 2


def part_at(parts: Sequence[SessionPart], times: Floats) -> Floats:
    """The number of the part at each frame, from when its times count."""
    shown = np.array([part.shown for part in parts])
    numbers = np.array([part.number for part in parts], dtype=np.float64)
    return numbers[np.searchsorted(shown, times, side="right") - 1]


def clock_at(
    parts: Sequence[SessionPart],
    messages: Sequence[Message],
    times: Floats,
    clock: Sequence[tuple[float, float, bool]],
) -> Floats:
    """Whole seconds left at each frame, NaN where that is not known.

    clock: of the live timing, as in `SourceTables`. Without it the seconds are counted back from
    the chequered flag; the clock stands under a red flag.
    """
    if clock:
        at = np.array([time for time, _, _ in clock])
        order = np.argsort(at, kind="stable")
        left = np.array([seconds for _, seconds, _ in clock])[order]
        runs = np.array([running for _, _, running in clock])[order]
        latest = np.searchsorted(at[order], times, side="right") - 1
        since = times - at[order][np.maximum(latest, 0)]
        seconds = np.ceil(left[latest] - np.where(runs[latest], since, 0.0) - 1e-6)
        return np.where(latest >= 0, np.maximum(seconds, 0.0), np.nan)
    result = np.full(len(times), np.nan)
    for index, part in enumerate(parts):
        if part.flag is None:
            continue
        end = parts[index + 1].shown if index + 1 < len(parts) else math.inf
        own = (times >= part.shown) & (times < end)
        running = _running_seconds(part.green, part.flag, messages)
        nodes = np.concatenate(([part.green], *[[a, b] for a, b in running], [part.flag]))
        done = np.concatenate(([0.0], np.cumsum(_steps(running)), [0.0]))
        done[-1] = done[-2]
        total = done[-1]
        result[own] = np.ceil(total - np.interp(times[own], nodes, done) - 1e-6)
    return result


def _steps(running: Sequence[tuple[float, float]]) -> list[float]:
    return [step for begin, end in running for step in (0.0, end - begin)]


def _running_seconds(
    green: float, flag: float, messages: Sequence[Message]
) -> list[tuple[float, float]]:
    """Spans in which the clock ran: from green to flag without the red flags."""
    spans, begin = [], green
    stopped = False
    for message in messages:
        if not green < message.time < flag:
            continue
        if message.flag == "RED" and not stopped:
            spans.append((begin, message.time))
            stopped = True
        elif message.flag == "GREEN" and stopped:
            begin, stopped = message.time, False
    if not stopped:
        spans.append((begin, flag))
    return spans or [(green, green)]
