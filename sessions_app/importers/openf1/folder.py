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
from ..options import ImportOptions
from ..report import Done, Report
from ..result import ImportSourceError
from ..tables import ColumnType, Table, format_of, read_table, rows_of

MAX_LAPS = 1000
"""More than any race; a larger lap number is a broken row."""

TIME, NUMBER = ColumnType.TIME, ColumnType.NUMBER
TEXT, FLAG = ColumnType.TEXT, ColumnType.FLAG


MAX_CARS = 200
"""Of one session; more numbers are a column of something else."""


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
    # Gaps are numbers, and "+1 LAP" for lapped cars.
    "intervals": TableSpec({"date": TIME, "gap_to_leader": TEXT}, {"interval": TEXT}),
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
    "session_result": TableSpec(
        {"driver_number": NUMBER},
        {"position": NUMBER, "number_of_laps": NUMBER, "dnf": FLAG, "dns": FLAG, "dsq": FLAG},
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

_SANE: Mapping[str, tuple[float, float, bool]] = {
    "x": (-1e6, 1e6, False),
    "y": (-1e6, 1e6, False),
    "z": (-1e6, 1e6, False),
    "lap_number": (0, MAX_LAPS, True),
    "lap_duration": (0.0, 86_400.0, False),
    "duration_sector_1": (0.0, 86_400.0, False),
    "duration_sector_2": (0.0, 86_400.0, False),
    "duration_sector_3": (0.0, 86_400.0, False),
    "stint_number": (0, MAX_LAPS, True),
    "lap_start": (0, MAX_LAPS, True),
    "lap_end": (0, MAX_LAPS, True),
    "tyre_age_at_start": (0, MAX_LAPS, True),
    "position": (1, MAX_CARS, True),
    "sector": (0, 1000, True),
    "air_temperature": (-90.0, 90.0, False),
    "track_temperature": (-90.0, 150.0, False),
    "humidity": (0.0, 100.0, False),
    "wind_speed": (0.0, 150.0, False),
    "wind_direction": (0.0, 360.0, False),
    "rainfall": (0.0, 1000.0, False),
    "year": (1950, 2100, True),
    "number_of_laps": (0, MAX_LAPS, True),
}
"""Column → (lowest, highest, whole numbers only). Beyond it a value is not believed. `car_data`
has sentinels of its own, which are looked for with it."""
_FIRST_TIME, _LAST_TIME = -631_152_000.0, 4_102_444_800.0
"""1950 to 2100: times of other years are broken."""
MAX_NUMBER = 9999
"""Of a car."""

_SMALL_FIRST = (
    "sessions",
    "drivers",
    "laps",
    "stints",
    "position",
    "intervals",
    "race_control",
    "weather",
    "session_result",
)
"""Read before the large ones, so that a broken file is found at once."""
_ALIASES = {
    "positions": "position",
    "interval": "intervals",
    "session": "sessions",
    "driver": "drivers",
    "session_results": "session_result",
}
_NAME = re.compile(r"^(?:session_\d+_)?([a-z_]+?)(?:_driver_(\d+))?$")
_DRIVER_FOLDER = re.compile(r"^driver_number=(\d+)$")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """driver: from the file's place, else None."""

    table: str
    path: Path
    driver: int | None


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


def is_openf1(source: Path, options: ImportOptions) -> bool:
    """Whether it is a folder with files that are named as OpenF1's tables are, positions or laps
    among them."""
    return source.is_dir() and bool({"location", "laps"} & set(find_tables(source, options.bounds)))


def read_small_tables(
    files: Mapping[str, list[SourceFile]],
    allowance: Allowance | None = None,
    report: Report | None = None,
) -> dict[str, Table]:
    """Every table but the two clocks, whole, with `driver_number` where it belongs to a car."""
    allowance = allowance or Allowance()
    report = report if report is not None else Report(strict=True)
    return {
        name: rows_of([_read(f, allowance, report) for f in files[name]], files[name][0].path)
        for name in _SMALL_FIRST
        if name in files
    }


def read_car_table(
    files: Mapping[str, list[SourceFile]],
    name: str,
    shared: dict[Path, Table],
    allowance: Allowance | None = None,
    report: Report | None = None,
) -> dict[int, list[Table]]:
    """`location` or `car_data` by driver number. shared: files with all cars, read once."""
    allowance = allowance or Allowance()
    report = report if report is not None else Report(strict=True)
    result: dict[int, list[Table]] = {}
    for source in files.get(name, ()):
        table = _read(source, allowance, report)
        if source.driver is not None:
            result.setdefault(source.driver, []).append(table)
            continue
        shared[source.path] = table
        for number in np.unique(table["driver_number"]):
            result.setdefault(int(number), []).append(table.where(table["driver_number"] == number))
    return result


def _read(source: SourceFile, allowance: Allowance, report: Report) -> Table:
    """One file, with only rows and values in it that can be."""
    spec = SPECS[source.table]
    required = dict(spec.required)
    if spec.per_car and source.driver is None:
        required["driver_number"] = NUMBER
    table = read_table(
        source.path,
        required,
        spec.optional,
        allowance=allowance,
        report=report,
        name=source.table,
    )
    rows, times = table.rows, next((table[t] for t in ("date", "date_start") if t in table), None)
    if source.driver is not None and spec.per_car:
        table = table.with_columns(driver_number=np.full(table.rows, float(source.driver)))
    elif "driver_number" in required:
        table = _of_cars(table, report)
    table = sane(table, report)
    cars = np.unique(table["driver_number"]) if "driver_number" in required or spec.per_car else ()
    report.read(source.table, times, rows, cars)
    return table


def _of_cars(table: Table, report: Report) -> Table:
    """The rows that name a car."""
    numbers = table["driver_number"]
    with np.errstate(invalid="ignore"):
        wrong = ~((numbers >= 0) & (numbers <= MAX_NUMBER) & (numbers == np.floor(numbers)))
    table = table.believed(report, wrong, "driver_number", "the number of a car", Done.ROW)
    check_cars(len(np.unique(table["driver_number"])), table.path)
    return table


def check_cars(count: int, path: Path) -> None:
    """Raises: ImportSourceError for more cars than a session may have."""
    if count > MAX_CARS:
        raise ImportSourceError(
            f"{count:,} different numbers: expected at most {MAX_CARS} cars",
            file=path,
            column="driver_number",
        )


def sane(table: Table, report: Report) -> Table:
    """The table without values that cannot be; each is listed in the report."""
    for column, values in table.columns.items():
        if values.dtype.kind == "f":
            table = _sane(table, column, report)
    return table


def _sane(table: Table, column: str, report: Report) -> Table:
    """Without the values of a column that cannot be."""
    values = table[column]
    if column in ("date", "date_start"):
        with np.errstate(invalid="ignore"):
            wrong = (values < _FIRST_TIME) | (values > _LAST_TIME)
        return table.believed(report, wrong, column, "a time from 1950 to 2100", Done.VALUE)
    if column not in _SANE:
        return table
    low, high, whole = _SANE[column]
    with np.errstate(invalid="ignore"):
        wrong = (values < low) | (values > high)
        if whole:
            wrong |= (values != np.floor(values)) & ~np.isnan(values)
    kind = "a whole number" if whole else "a number"
    return table.believed(report, wrong, column, f"{kind} from {low:g} to {high:g}", Done.VALUE)
