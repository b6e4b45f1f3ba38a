"""Which files of a folder hold which OpenF1 table, and what they say, as typed columns.

Known layouts, free to be mixed: `driver_number=7/location.parquet`,
`location/location_driver_7.csv`, `location.csv` with a column `driver_number`, each also as JSON
and each also gzipped, with or without a prefix such as `session_9161_`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..bounds import Allowance, Bounds, files_below
from ..result import ImportSourceError
from ..tables import ColumnType, Table, format_of, read_table, rows_of

TIME, NUMBER = ColumnType.TIME, ColumnType.NUMBER
TEXT, FLAG = ColumnType.TEXT, ColumnType.FLAG


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table's columns; those of `required` must be there. per_car: `driver_number` may come from
    the file's place instead of a column."""

    required: Mapping[str, ColumnType]
    optional: Mapping[str, ColumnType] = field(default_factory=dict)
    per_car: bool = True


SPECS: Mapping[str, TableSpec] = {
    "location": TableSpec({"date": TIME, "x": NUMBER, "y": NUMBER}, {"z": NUMBER}),
    "car_data": TableSpec(
        {"date": TIME, "speed": NUMBER},
        {"throttle": NUMBER, "brake": NUMBER, "rpm": NUMBER, "n_gear": NUMBER, "drs": NUMBER},
    ),
    "laps": TableSpec(
        {"lap_number": NUMBER, "date_start": TIME, "lap_duration": NUMBER},
        {
            "duration_sector_1": NUMBER,
            "duration_sector_2": NUMBER,
            "duration_sector_3": NUMBER,
            "is_pit_out_lap": FLAG,
        },
    ),
    "stints": TableSpec(
        {"stint_number": NUMBER, "lap_start": NUMBER, "lap_end": NUMBER, "compound": TEXT},
        {"tyre_age_at_start": NUMBER},
    ),
    "position": TableSpec({"date": TIME, "position": NUMBER}),
    "drivers": TableSpec(
        {"driver_number": NUMBER},
        {
            "name_acronym": TEXT,
            "full_name": TEXT,
            "team_name": TEXT,
            "team_colour": TEXT,
            "country_code": TEXT,
        },
        per_car=False,
    ),
    "race_control": TableSpec(
        {"date": TIME, "message": TEXT},
        {
            "driver_number": NUMBER,
            "lap_number": NUMBER,
            "category": TEXT,
            "flag": TEXT,
            "scope": TEXT,
            "sector": NUMBER,
        },
        per_car=False,
    ),
    "weather": TableSpec(
        {"date": TIME},
        {
            "air_temperature": NUMBER,
            "track_temperature": NUMBER,
            "humidity": NUMBER,
            "wind_speed": NUMBER,
            "wind_direction": NUMBER,
            "rainfall": NUMBER,
        },
        per_car=False,
    ),
    "sessions": TableSpec(
        {"session_name": TEXT},
        {
            "session_type": TEXT,
            "circuit_key": NUMBER,
            "circuit_short_name": TEXT,
            "country_name": TEXT,
            "location": TEXT,
            "year": NUMBER,
        },
        per_car=False,
    ),
}

_SMALL_FIRST = ("sessions", "drivers", "laps", "stints", "position", "race_control", "weather")
"""Read before the large ones, so that a broken file is found at once."""
_ALIASES = {"positions": "position", "session": "sessions", "driver": "drivers"}
_NAME = re.compile(r"^(?:session_\d+_)?([a-z_]+?)(?:_driver_(\d+))?$")
_DRIVER_FOLDER = re.compile(r"^driver_number=(\d+)$")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """driver: from the file's place, else None."""

    table: str
    path: Path
    driver: int | None


MAX_CARS = 200
"""Of one session; more numbers are a column of something else."""


def find_tables(folder: Path, bounds: Bounds | None = None) -> dict[str, list[SourceFile]]:
    """All files of the folder that hold an OpenF1 table, by table, in a stable order.

    Raises: ImportSourceError if the folder is not there, has too many files, or has a symbolic link
    or a special file in it.
    """
    if not folder.is_dir():
        raise ImportSourceError("no such folder: expected a folder of OpenF1 tables", file=folder)
    found: dict[str, list[SourceFile]] = {}
    for path in files_below(folder, bounds or Bounds()):
        if not format_of(path):
            continue
        match = _NAME.match(path.name.lower().split(".", 1)[0])
        if not match:
            continue
        table = _ALIASES.get(match[1], match[1])
        if table not in SPECS:
            continue
        parent = _DRIVER_FOLDER.match(path.parent.name)
        number = match[2] or (parent[1] if parent else None)
        found.setdefault(table, []).append(
            SourceFile(table, path, None if number is None else int(number))
        )
    return found


def read_small_tables(
    files: Mapping[str, list[SourceFile]], allowance: Allowance | None = None
) -> dict[str, Table]:
    """Every table but the two clocks, whole, with `driver_number` where it belongs to a car."""
    allowance = allowance or Allowance()
    return {
        name: rows_of([_read(f, allowance) for f in files[name]], files[name][0].path)
        for name in _SMALL_FIRST
        if name in files
    }


def read_car_table(
    files: Mapping[str, list[SourceFile]],
    name: str,
    shared: dict[Path, Table],
    allowance: Allowance | None = None,
) -> dict[int, list[Table]]:
    """`location` or `car_data` by driver number. shared: files with all cars, read once."""
    allowance = allowance or Allowance()
    result: dict[int, list[Table]] = {}
    for source in files.get(name, ()):
        table = _read(source, allowance)
        if source.driver is not None:
            result.setdefault(source.driver, []).append(table)
            continue
        shared[source.path] = table
        numbers = np.unique(table["driver_number"])
        if len(numbers) > MAX_CARS:
            raise ImportSourceError(
                f"{len(numbers):,} different numbers: expected at most {MAX_CARS} cars",
                file=source.path,
                column="driver_number",
            )
        for number in numbers:
            result.setdefault(int(number), []).append(table.where(table["driver_number"] == number))
    return result


def _read(source: SourceFile, allowance: Allowance) -> Table:
    spec = SPECS[source.table]
    required = dict(spec.required)
    if spec.per_car and source.driver is None:
        required["driver_number"] = NUMBER
    table = read_table(source.path, required, spec.optional, allowance=allowance)
    if not spec.per_car:
        return table
    if source.driver is not None:
        number = np.full(table.rows, float(source.driver))
        return Table(table.path, {**table.columns, "driver_number": number}, table.rows)
    unknown = np.flatnonzero(np.isnan(table["driver_number"]))
    if unknown.size:
        raise ImportSourceError(
            "no value found: expected the number of a car",
            file=source.path,
            row=int(unknown[0]) + 1,
            column="driver_number",
        )
    return table
