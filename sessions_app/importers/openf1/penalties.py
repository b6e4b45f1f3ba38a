"""Time penalties and disqualifications → the final classification beside the order on the road."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..report import Report
from ..tables import Table
from .car import Car
from .control import Message
from .frames import TimeBase

_TIME = re.compile(r"\b(\d{1,3}) SECONDS? TIME PENALTY FOR CAR (\d+)\b(?:\s*\([^)]*\))?(.*)")
_OUT = re.compile(r"\bCAR (\d+)\b[^:]*\bDISQUALIFIED\b|\bDISQUALIFIED\b.*\bCAR (\d+)\b")
_NOT_YET = ("UNDER INVESTIGATION", "NOTED", "NO FURTHER")
_SERVED_WORDS = "PENALTY SERVED"
_CANCELLED = ("RESCINDED", "CANCELLED", "WITHDRAWN")


@dataclass(slots=True)
class Penalty:
    """A time penalty as race control announced it. served: "announced" by race control, "pit stop"
    if the car stopped afterwards (it must then be served), "" if it is added to the time."""

    seconds: int
    reason: str
    time: float
    served: str = ""


@dataclass(slots=True)
class Ruling:
    """What the stewards decided about one car."""

    penalties: list[Penalty] = field(default_factory=list)
    disqualified: bool = False

    @property
    def added(self) -> int:
        """Seconds that its time grows by."""
        return sum(p.seconds for p in self.penalties if not p.served)


def rulings(
    messages: Sequence[Message], cars: Mapping[int, Car], report: Report
) -> dict[int, Ruling]:
    """What race control's messages say of each car, by number."""
    result: dict[int, Ruling] = {}
    for message in messages:
        text = message.text.upper()
        if any(words in text for words in _NOT_YET):
            continue
        if match := _OUT.search(text):
            result.setdefault(int(match[1] or match[2]), Ruling()).disqualified = True
            continue
        match = _TIME.search(text)
        if match is None:
            continue
        seconds, ruling = int(match[1]), result.setdefault(int(match[2]), Ruling())
        if any(words in text for words in _CANCELLED):
            ruling.penalties = [p for p in ruling.penalties if p.seconds != seconds]
        elif _SERVED_WORDS in text:
            open_ = next(
                (p for p in ruling.penalties if p.seconds == seconds and not p.served), None
            )
            if open_ is not None:
                open_.served = "announced"
        else:
            reason = match[3].strip(" -–")
            ruling.penalties.append(Penalty(seconds, reason, message.time))
    for number, ruling in result.items():
        for penalty in ruling.penalties:
            if penalty.served or number not in cars:
                continue
            if any(visit.entry > penalty.time for visit in cars[number].visits):
                penalty.served = "pit stop"
                report.estimate("served penalties: those with a pit stop after them")
    return result


def classification(
    cars: Sequence[Car],
    codes: Mapping[int, str],
    road: Sequence[int],
    messages: Sequence[Message],
    results: Table | None,
    base: TimeBase,
    report: Report,
) -> dict[str, Any]:
    """The final classification, JSON-able; {} if nobody finished.

    Finished cars by laps, then by time with the penalties that were not served; then who retired,
    in the order on the road; disqualified last. A table `session_result` overrules that.

    Args:
        cars: in the order of the recording.
        codes: entity codes by number.
        road: position on the road of each car, in the same order.
        messages: of race control.
        results: official ones, if there are any.
        base: of the recording's frames.
        report: where guesses are named.
    """
    if all(car.finish is None for car in cars):
        return {}
    ruled = rulings(messages, {car.number: car for car in cars}, report)
    official, out = _official(results)
    rows = []
    for car, place in zip(cars, road, strict=True):
        ruling = ruled.get(car.number, Ruling())
        disqualified = ruling.disqualified or car.number in out
        finished = car.finish is not None
        end = car.finish if car.finish is not None else car.retired
        laps = 0 if end is None else car.laps_done(end)
        status = "disqualified" if disqualified else "finished" if finished else "retired"
        own = (
            ("finished", "retired", "disqualified").index(status),
            -laps if finished else 0,
            (car.finish or 0.0) + ruling.added if finished else 0.0,
            place,
        )
        rows.append(
            (
                (disqualified, official.get(car.number, np.inf) if official else 0, own),
                {
                    "entity": codes[car.number],
                    "position": 0,
                    "road_position": int(place),
                    "status": status,
                    "laps": laps,
                    "penalty_seconds": ruling.added if finished else 0,
                    "penalties": [
                        {
                            "seconds": p.seconds,
                            "reason": p.reason,
                            "frame": base.frame(p.time),
                            "served": p.served,
                        }
                        for p in ruling.penalties
                    ],
                },
            )
        )
    rows.sort(key=lambda row: row[0])
    order: list[dict[str, Any]] = [row for _, row in rows]
    for position, row in enumerate(order, 1):
        row["position"] = position
    return {"source": "session_result" if official else "race_control", "order": order}


def _official(results: Table | None) -> tuple[dict[int, float], set[int]]:
    """(places by number, numbers that were disqualified) of the table `session_result`."""
    places: dict[int, float] = {}
    out: set[int] = set()
    if results is None:
        return places, out
    for row, number in enumerate(results["driver_number"]):
        if np.isnan(number):
            continue
        if "position" in results and not np.isnan(results["position"][row]):
            places[int(number)] = float(results["position"][row])
        if "dsq" in results and results["dsq"][row]:
            out.add(int(number))
    return places, out
