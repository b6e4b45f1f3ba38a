"""A qualifying of four cars round a circle, small enough to check by hand, as live timing and as
OpenF1 tables.

Every car leaves the pits, drives an out-lap, a flying lap and a lap back, in each part that it
takes part in. Three go on to Q2 and two to Q3.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BEGAN = 1_717_200_000.0
"""When the streams began, seconds since 1970."""
GREEN = (100.0, 600.0, 1100.0)
FLAG = (400.0, 900.0, 1400.0)
SHOWN = (5.0, 480.0, 980.0)
"""Seconds after the streams began, of Q1, Q2, Q3."""
NUMBERS = (4, 16, 44, 81)
CODES = ("NOR", "LEC", "HAM", "PIA")
FLYING: tuple[dict[int, float], ...] = (
    {4: 42.5, 16: 41.0, 44: 43.0, 81: 42.0},
    {4: 41.0, 16: 40.9, 81: 41.2},
    {4: 40.1, 16: 40.5},
)
"""Flying laps by number, in the order of the parts. In Q1 car 81 had 40.0 first, which was
deleted."""
DELETED, DELETED_AT, TAKEN_BACK_AT = 40.0, 290.0, 300.0
OUT_LAP, IN_LAP = 50.0, 55.0
RADIUS = 3000.0

Line = tuple[float, str, Any]


@dataclass
class Run:
    """One run: laps are (ended, duration) of the out-lap, the flying lap and the lap back."""

    number: int
    part: int
    left: float
    flying: float

    @property
    def ends(self) -> tuple[float, float, float]:
        out = self.left + OUT_LAP
        return out, out + self.flying, out + self.flying + IN_LAP


@dataclass
class Qualifying:
    """The runs in the order of time."""

    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part, laps in enumerate(FLYING):
            for index, (number, flying) in enumerate(laps.items()):
                left = GREEN[part] + 10.0 + 5.0 * index
                if part == 0 and number == 81:
                    self.runs.append(Run(number, part, left, DELETED))
                    left += 210.0  # crosses the line for a last time after the flag's shadow
                self.runs.append(Run(number, part, left, flying))

    def of(self, number: int) -> list[Run]:
        return [run for run in self.runs if run.number == number]


def stamp(seconds: float) -> str:
    """Seconds after the streams began, as UTC."""
    moment = datetime.fromtimestamp(round(BEGAN + seconds, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lap_text(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:06.3f}"


def place(fraction: float) -> tuple[int, int]:
    angle = 2 * math.pi * fraction
    return round(RADIUS * math.cos(angle)), round(RADIUS * math.sin(angle))


def laps_at(runs: list[Run], time: float) -> float:
    """Laps of a car at a time: it stands at the line before and after its runs."""
    done = 0.0
    for run in runs:
        begin = run.left
        for end in run.ends:
            if time < begin:
                return done
            if time < end:
                return done + (time - begin) / (end - begin)
            done, begin = done + 1, end
    return done


MESSAGES: list[tuple[float, str, str]] = [
    *((green, "GREEN", "GREEN LIGHT - PIT EXIT OPEN") for green in GREEN),
    *((flag, "CHEQUERED", "CHEQUERED FLAG") for flag in FLAG),
    (
        DELETED_AT,
        "",
        f"CAR 81 (PIA) TIME {lap_text(DELETED)} DELETED - TRACK LIMITS AT TURN 3 LAP 3 10:03:00",
    ),
]


def timing_lines(positions: bool = True) -> list[Line]:
    """(seconds after the streams began, topic, data), in the order of time."""
    quali = Qualifying()
    lines: list[Line] = [
        (
            0.0,
            "SessionInfo",
            {
                "Meeting": {"Location": "Ring", "Circuit": {"ShortName": "Ring", "Key": 1}},
                "Name": "Qualifying",
                "StartDate": "2024-06-01T12:00:00",
            },
        ),
        (
            1.0,
            "DriverList",
            {str(n): {"Tla": c, "TeamName": "T"} for n, c in zip(NUMBERS, CODES, strict=True)},
        ),
        (
            2.0,
            "TimingData",
            {
                "NoEntries": {"0": 4, "1": 3, "2": 2},
                "Lines": {
                    str(n): {"Position": str(i + 1), "InPit": True} for i, n in enumerate(NUMBERS)
                },
            },
        ),
    ]
    for part, shown in enumerate(SHOWN):
        said = {"Utc": stamp(shown), "QualifyingPart": part + 1}
        lines.append((shown, "SessionData", {"Series": {str(part): said}}))
        length = FLAG[part] - GREEN[part]
        clock = {"Utc": stamp(GREEN[part]), "Remaining": f"00:{int(length // 60):02}:00"}
        lines.append((GREEN[part], "ExtrapolatedClock", {**clock, "Extrapolating": True}))
    for index, (at, flag, text) in enumerate(sorted(MESSAGES)):
        said = {"Utc": stamp(at), "Category": "Flag" if flag else "Other", "Flag": flag}
        lines.append(
            (at, "RaceControlMessages", {"Messages": {str(index): {**said, "Message": text}}})
        )
    counts = dict.fromkeys(NUMBERS, 0)
    for run in sorted(quali.runs, key=lambda run: run.left):
        key = str(run.number)

        def say(at: float, key: str = key, **line: Any) -> None:
            lines.append((at, "TimingData", {"Lines": {key: line}}))

        counts[run.number] += 1
        say(run.left, InPit=False, PitOut=True, NumberOfLaps=counts[run.number])
        stint = {"Compound": "SOFT", "StartLaps": 0}
        number = str(len([r for r in quali.of(run.number) if r.left < run.left]))
        lines.append((run.left + 1, "TimingAppData", {"Lines": {key: {"Stints": {number: stint}}}}))
        out, flown, back = run.ends
        counts[run.number] += 1
        say(out, NumberOfLaps=counts[run.number], Sectors={"2": {"Value": "15.000"}})
        counts[run.number] += 1
        say(
            flown,
            NumberOfLaps=counts[run.number],
            LastLapTime={"Value": lap_text(run.flying)},
            BestLapTimes={str(run.part): {"Value": lap_text(run.flying)}},
        )
        say(back - 5.0, InPit=True)
        say(back, LastLapTime={"Value": lap_text(IN_LAP)})
    taken = {"BestLapTimes": {"0": {"Value": ""}}}
    lines.append((TAKEN_BACK_AT, "TimingData", {"Lines": {"81": taken}}))
    if positions:
        lines += _samples(quali)
    return sorted(lines, key=lambda line: line[0])


def _samples(quali: Qualifying) -> list[Line]:
    lines: list[Line] = []
    for at in range(1600):
        spots = {}
        for number in NUMBERS:
            x, y = place(laps_at(quali.of(number), at))
            spots[str(number)] = {"Status": "OnTrack", "X": x, "Y": y, "Z": 5}
        sample = {"Timestamp": stamp(at), "Entries": spots}
        lines.append((at, "Position", {"Position": [sample]}))
    return lines


def archive(folder: Path, lines: list[Line]) -> Path:
    """One file a topic, as the archive has them."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[str]] = {}
    for at, topic, data in lines:
        clock = f"{int(at // 3600):02}:{int(at // 60) % 60:02}:{at % 60:06.3f}"
        files.setdefault(topic, []).append(clock + json.dumps(data))
    for topic, rows in files.items():
        (folder / f"{topic}.jsonStream").write_text("\ufeff" + "\r\n".join(rows) + "\r\n")
    return folder


def openf1_folder(folder: Path) -> Path:
    """The same as OpenF1 tables."""
    folder.mkdir(parents=True, exist_ok=True)
    quali = Qualifying()

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)

    location, car_data, laps = [], [], []
    for number in NUMBERS:
        runs = quali.of(number)
        for at in range(1600):
            x, y = place(laps_at(runs, at))
            row = {"date": stamp(at), "driver_number": number}
            location.append({**row, "x": x, "y": y, "z": 5})
            driving = any(run.left <= at < run.ends[2] - 5.0 for run in runs)
            car_data.append({**row, "speed": 200 if driving else 0})
        lap, before = 0, None
        for run in runs:
            begin = run.left
            for kind, end in enumerate(run.ends):
                lap += 1
                first = before if kind == 0 else begin
                laps.append(
                    {
                        "driver_number": number,
                        "lap_number": lap,
                        "date_start": "" if first is None else stamp(first),
                        "lap_duration": "" if first is None else round(end - first, 3),
                        "is_pit_out_lap": kind == 0,
                    }
                )
                begin = before = end
    write("location", location)
    write("car_data", car_data)
    write("laps", laps)
    write(
        "race_control",
        [{"date": stamp(at), "message": text, "flag": flag} for at, flag, text in sorted(MESSAGES)],
    )
    write(
        "drivers",
        [{"driver_number": n, "name_acronym": c} for n, c in zip(NUMBERS, CODES, strict=True)],
    )
    write("sessions", [{"session_name": "Qualifying", "circuit_short_name": "Ring"}])
    return folder
