"""A small race as OpenF1 tables, written to a folder; tests spoil its rows before writing.

Cars drive round a circle at a constant speed from the start signal on, so that where each one is
at any time follows from a division.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

START = 1_717_200_000.0
"""Of the race, seconds since 1970."""
RADIUS = 3000.0
"""Decimetres: 1,885 m round."""
LAP_SECONDS = 40.0
LAPS = 4
GRID_STEP = 0.01
"""Laps between two cars on the grid."""
BEFORE, AFTER = 120.0, 90.0

Row = dict[str, Any]


def stamp(seconds: float) -> str:
    """ISO 8601, whole seconds without a fraction, as OpenF1 writes it."""
    moment = datetime.fromtimestamp(round(seconds, 6), UTC)
    return moment.isoformat()


def lap_seconds(index: int) -> float:
    return LAP_SECONDS * (1 + 0.02 * index)


def progress_at(index: int, time: float) -> float:
    """Laps of car `index` at a time (seconds after the start signal)."""
    return -GRID_STEP * (index + 1) + max(time, 0.0) / lap_seconds(index)


def crossing(index: int, lap: int) -> float:
    """When car `index` ends `lap`, seconds after the start signal."""
    return (lap + GRID_STEP * (index + 1)) * lap_seconds(index)


def place(progress: float) -> tuple[int, int]:
    """x, y of a fraction of the lap, decimetres; the line is at (RADIUS, 0) + (5000, 1000)."""
    angle = 2 * math.pi * progress
    return round(5000 + RADIUS * math.cos(angle)), round(1000 + RADIUS * math.sin(angle))


@dataclass
class RaceFolder:
    """Rows by table, to be changed freely; `write` makes files of them."""

    numbers: tuple[int, ...] = (1, 44, 77)
    location: dict[int, list[Row]] = field(default_factory=dict)
    car_data: dict[int, list[Row]] = field(default_factory=dict)
    laps: list[Row] = field(default_factory=list)
    stints: list[Row] = field(default_factory=list)
    others: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, number in enumerate(self.numbers):
            self._drive(index, number)

    def _drive(self, index: int, number: int) -> None:
        steps = int((BEFORE + AFTER + LAPS * LAP_SECONDS) / 0.24)
        self.location[number], self.car_data[number] = [], []
        for i in range(steps):
            time = -BEFORE + 0.24 * i
            x, y = place(progress_at(index, time))
            row = {"date": stamp(START + time), "x": x, "y": y, "z": 7, "driver_number": number}
            self.location[number].append(row)
            time += 0.1
            going = time > 0
            self.car_data[number].append(
                {
                    "date": stamp(START + time),
                    "driver_number": number,
                    "speed": 160 if going else 0,
                    "throttle": 80 if going else 0,
                    "brake": 0 if going else 100,
                    "rpm": 10_000 if going else 4_000,
                    "n_gear": 5 if going else 0,
                    "drs": 8,
                }
            )
        for lap in range(1, LAPS + 1):
            begin = 0.0 if lap == 1 else crossing(index, lap - 1)
            duration = crossing(index, lap) - begin
            self.laps.append(
                {
                    "driver_number": number,
                    "lap_number": lap,
                    "date_start": stamp(START + begin),
                    "lap_duration": round(duration, 3),
                    "duration_sector_1": round(duration * 0.25, 3),
                    "duration_sector_2": round(duration * 0.35, 3),
                    "duration_sector_3": round(duration * 0.4, 3),
                    "is_pit_out_lap": False,
                }
            )
        self.stints.append(
            {
                "driver_number": number,
                "stint_number": 1,
                "lap_start": 1,
                "lap_end": LAPS,
                "compound": "MEDIUM",
                "tyre_age_at_start": 2,
            }
        )

    def lap(self, number: int, lap: int) -> Row:
        return next(r for r in self.laps if r["driver_number"] == number and r["lap_number"] == lap)

    def between(self, rows: list[Row], first: float, last: float) -> list[Row]:
        """Rows from first to last, seconds after the start signal."""
        low, high = stamp(START + first), stamp(START + last)
        return [r for r in rows if low <= r["date"] <= high]

    def drop(self, rows: list[Row], first: float, last: float) -> None:
        gone = {id(r) for r in self.between(rows, first, last)}
        rows[:] = [r for r in rows if id(r) not in gone]

    def retire(self, number: int, time: float) -> None:
        """The car stops at a time and stays there."""
        index = self.numbers.index(number)
        x, y = place(progress_at(index, time))
        for row in self.between(self.location[number], time, 1e6):
            row["x"], row["y"] = x, y
        for row in self.between(self.car_data[number], time, 1e6):
            row["speed"] = row["throttle"] = row["n_gear"] = 0
        self.laps = [
            r
            for r in self.laps
            if r["driver_number"] != number or crossing(index, r["lap_number"]) <= time
        ]

    def write(self, folder: Path, kind: str = "csv") -> Path:
        """All tables, positions and car data in a folder per car."""
        for number in self.numbers:
            own = folder / f"driver_number={number}"
            own.mkdir(parents=True)
            write_rows(own / f"location.{kind}", self.location[number])
            if self.car_data.get(number):
                write_rows(own / f"car_data.{kind}", self.car_data[number])
        tables = {"laps": self.laps, "stints": self.stints, **self.others}
        for name, rows in tables.items():
            if rows:
                write_rows(folder / f"{name}.{kind}", rows)
        return folder


def write_rows(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        table = pa.Table.from_pylist(rows)
        for name in ("date", "date_start"):
            if name in table.column_names:
                at = table.column_names.index(name)
                times = pa.array(
                    [
                        None if v is None else datetime.fromisoformat(v)
                        for v in table[name].to_pylist()
                    ],
                    pa.timestamp("ns", "UTC"),
                )
                table = table.set_column(at, name, times)
        pq.write_table(table, path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
