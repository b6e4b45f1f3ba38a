"""Real tables with something spoilt: imported with a report, or refused in one line. Tables of
OpenF1, and a play of American football with its mapping.

`python -m tests.mutations --minutes 5` runs for that long and prints the counts; the tests run a
few cases of fixed seeds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
Tables = dict[str, list[Row]]

CARS = (1, 44, 4)
BEGIN, END = "2024-06-30T13:01:00+00:00", "2024-06-30T13:07:00+00:00"
"""Of the part of Austria that is used: the start and three laps."""
COLUMNS = {
    "location": ("date", "x", "y", "z", "driver_number"),
    "car_data": ("date", "speed", "throttle", "brake", "rpm", "n_gear", "drs", "driver_number"),
    "laps": (
        "driver_number", "lap_number", "date_start", "lap_duration", "duration_sector_1",
        "duration_sector_2", "duration_sector_3", "is_pit_out_lap",
    ),
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, math.nan, math.inf, -1, 0, 1e300, 2**70, -0.5, 40_000, "", "quick", "1 L", "\x00", "٣",
    [1, 2], {"a": 1}, True, "2024-02-31T25:00:00", "1066-10-14T09:00:00+00:00", "x" * 20_000,
)  # fmt: skip


def real_tables(folder: Path) -> Tables:
    """Some cars and minutes of a real race; one list of rows a table, one of `location` a car."""
    tables: Tables = {}
    first, last = datetime.fromisoformat(BEGIN), datetime.fromisoformat(END)
    for number in CARS:
        for name, columns in COLUMNS.items():
            path = folder / f"driver_number={number}" / f"{name}.parquet"
            stamp = "date_start" if name == "laps" else "date"
            rows = pq.read_table(path, columns=[c for c in columns if c != "driver_number"])
            for row in rows.to_pylist():
                at = row[stamp]
                if at is not None and first <= at <= last:
                    row[stamp] = at.isoformat()
                    row["driver_number"] = number
                    tables.setdefault(f"{name} {number}", []).append(row)
    for name in ("drivers", "position", "race_control", "stints"):
        with (folder / f"{name}.csv").open() as stream:
            rows_of = list(csv.DictReader(stream))
        tables[name] = [r for r in rows_of if _is_used(r)]
    return tables


def real_play(path: Path, rows: int = 1500) -> list[Row]:
    """Some rows of a play: all of six players and a part of a seventh."""
    with gzip.open(path, "rt", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        return [dict(row) for row, _ in zip(reader, range(rows), strict=False)]


def _is_used(row: Row) -> bool:
    number = row.get("driver_number") or ""
    return number == "" or number in map(str, CARS)


def _some(rows: list[Row], chance: random.Random) -> list[Row]:
    """One row, a few, or all."""
    count = chance.choice((1, 1, 3, max(1, len(rows) // 2), len(rows)))
    return chance.sample(rows, min(count, len(rows)))


def spoil_values(rows: list[Row], column: str, chance: random.Random) -> None:
    odd = chance.choice(ODD)
    for row in _some(rows, chance):
        row[column] = odd


def spoil_types(rows: list[Row], column: str, chance: random.Random) -> None:
    for row in _some(rows, chance):
        row[column] = chance.choice((str, repr, lambda v: [v]))(row.get(column))


def repeat_rows(rows: list[Row], column: str, chance: random.Random) -> None:
    rows += [dict(row) for row in _some(rows, chance)]


def swap_rows(rows: list[Row], column: str, chance: random.Random) -> None:
    chance.shuffle(rows)


def swap_columns(rows: list[Row], column: str, chance: random.Random) -> None:
    other = chance.choice(list(rows[0]))
    for row in _some(rows, chance):
        row[column], row[other] = row.get(other), row.get(column)


def swap_values(rows: list[Row], column: str, chance: random.Random) -> None:
    a, b = chance.choice(rows), chance.choice(rows)
    a[column], b[column] = b.get(column), a.get(column)


def cut_rows(rows: list[Row], column: str, chance: random.Random) -> None:
    del rows[chance.randrange(len(rows)) :]


def drop_rows(rows: list[Row], column: str, chance: random.Random) -> None:
    gone = {id(row) for row in _some(rows, chance)}
    rows[:] = [row for row in rows if id(row) not in gone]


def drop_column(rows: list[Row], column: str, chance: random.Random) -> None:
    for row in rows:
        row.pop(column, None)


def null_table(rows: list[Row], column: str, chance: random.Random) -> None:
    for row in rows:
        for name in row:
            row[name] = None


def shift_clock(rows: list[Row], column: str, chance: random.Random) -> None:
    by = timedelta(seconds=chance.choice((0.5, -20, 300, 3600, -7200, 90_000, -3e7, 3e9)))
    for row in _some(rows, chance):
        for name in ("date", "date_start", "time"):
            try:
                row[name] = (datetime.fromisoformat(row[name]) + by).isoformat()
            except (KeyError, TypeError, ValueError, OverflowError):
                continue


SPOILS: tuple[Callable[[list[Row], str, random.Random], None], ...] = (
    spoil_values, spoil_values, spoil_values, spoil_types, repeat_rows, swap_rows, swap_columns,
    swap_values, cut_rows, drop_rows, drop_column, null_table, shift_clock, shift_clock,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A spoilt folder, or a table with its mapping, and what was done to it."""

    source: Path
    done: tuple[str, ...]
    mapping: Path | None = None


def make_case(tables: Tables, folder: Path, seed: int) -> Case:
    """Write the tables with one to three things spoilt, each table in a format of its own."""
    chance = random.Random(seed)
    rows_of = {name: [dict(row) for row in rows] for name, rows in tables.items()}
    done = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        name = chance.choice(list(rows_of))
        rows = rows_of[name]
        if not rows or not rows[0]:
            continue
        spoil, column = chance.choice(SPOILS), chance.choice(list(rows[0]))
        spoil(rows, column, chance)
        done.append(f"{spoil.__name__} {name} {column}")
    if chance.random() < 0.15:
        gone = chance.choice(list(rows_of))
        del rows_of[gone]
        done.append(f"no {gone}")
    paths = [_write(folder, name, rows, chance) for name, rows in rows_of.items()]
    if chance.random() < 0.15:
        path = chance.choice(paths)
        data = path.read_bytes()
        path.write_bytes(data[: chance.randrange(len(data) + 1)])
        done.append(f"cut {path.name}")
    return Case(folder, tuple(done))


def make_table_case(rows: list[Row], folder: Path, seed: int) -> Case:
    """Write the rows of a play with one to three things spoilt, in any format."""
    chance = random.Random(seed)
    spoilt, done = [dict(row) for row in rows], []
    used = ("time", "x", "y", "s", "dir", "event", "displayName", "jerseyNumber", "teamAbbr")
    for _ in range(chance.choice((1, 1, 2, 3))):
        if not spoilt or not spoilt[0]:
            break
        spoil = chance.choice(SPOILS)
        column = chance.choice([name for name in used if name in spoilt[0]] or list(spoilt[0]))
        spoil(spoilt, column, chance)
        done.append(f"{spoil.__name__} {column}")
    folder.mkdir(parents=True, exist_ok=True)
    path = _write(folder, "play", spoilt, chance)
    if chance.random() < 0.15:
        data = path.read_bytes()
        path.write_bytes(data[: chance.randrange(len(data) + 1)])
        done.append("cut")
    return Case(path, tuple(done), PLAY)


PLAY = Path(__file__).parent.parent / "docs" / "examples" / "nfl-play.yaml"


def _write(folder: Path, name: str, rows: list[Row], chance: random.Random) -> Path:
    table, _, number = name.partition(" ")
    own = folder / f"driver_number={number}" if number else folder
    own.mkdir(parents=True, exist_ok=True)
    kind = chance.choice(("csv", "json", "parquet"))
    path = own / f"{table}.{kind}"
    if kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]) if rows else ["date"])
            writer.writeheader()
            writer.writerows({k: v for k, v in row.items() if k in rows[0]} for row in rows)
    else:
        columns = {}
        for column in rows[0] if rows else ():
            values = [row.get(column) for row in rows]
            try:
                columns[column] = pa.array(values)
            except (pa.ArrowException, OverflowError):
                columns[column] = pa.array([None if v is None else str(v) for v in values])
        pq.write_table(pa.table(columns), path)
    return path


def check(case: Case, recordings: Path) -> str:
    """Import it whole, with the database. Returns: "imported", "imported, with findings" or
    "refused". Raises: AssertionError for anything between; whatever else the import raises."""
    from sessions_app.importers.options import ImportOptions
    from sessions_app.importers.registry import run_importer
    from sessions_app.importers.result import ImportSourceError
    from sessions_app.models import Session
    from sessions_app.recording.file import Recording
    from sessions_app.storing import delete_recording, store_result

    try:
        name = "openf1" if case.mapping is None else "table"
        result = run_importer(name, case.source, ImportOptions(mapping=case.mapping))
        session = store_result(result, slug="spoilt")
    except ImportSourceError as error:
        text = str(error)
        assert 0 < len(text) <= 500, text
        assert "\n" not in text, text
        assert not Session.objects.filter(slug="spoilt").exists()
        assert not list(recordings.glob("*.mcap"))
        return "refused"
    assert session.state == Session.State.READY
    assert session.report["rows_read"] > 0
    json.dumps(session.report, allow_nan=False)
    json.dumps(session.metadata, allow_nan=False)
    with Recording(session.recording_path) as recording:
        assert recording.frame_count == session.frame_count > 0
    delete_recording(session)
    found = bool(session.report["findings"])
    session.delete()
    return "imported, with findings" if found else "imported"


def main() -> int:
    """Returns: 1 if a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="to begin with")
    wanted = parser.parse_args()
    realdata = Path(os.environ.get("REPLAY_REALDATA", "../shared/realdata"))
    source, plays = realdata / "openf1-2024-austria", sorted((realdata / "nfl").glob("*.tsv.gz"))
    if not source.is_dir() or not plays:
        print(f"skipped: no real recording at {source} (set REPLAY_REALDATA)")
        return 0
    data = tempfile.TemporaryDirectory(prefix="replay-mutations-")
    os.environ["REPLAY_DATA_DIR"] = data.name
    os.environ["DJANGO_SETTINGS_MODULE"] = "replayproject.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    recordings = Path(settings.RECORDINGS_DIR)
    recordings.mkdir(parents=True, exist_ok=True)
    tables, play = real_tables(source), real_play(plays[0])
    counts, spoilt = Counter[str](), Counter[str]()
    end, seed, failed = time.monotonic() + 60 * wanted.minutes, wanted.seed, 0
    while time.monotonic() < end:
        folder = Path(data.name) / "race"
        # A play takes a tenth of the time of a race.
        case = make_table_case(play, folder, seed) if seed % 2 else make_case(tables, folder, seed)
        try:
            outcome = check(case, recordings)
        except Exception as error:
            failed += 1
            outcome = "failed"
            print(f"seed {seed}: {case.done}: {type(error).__name__}: {error}", flush=True)
        counts[outcome] += 1
        spoilt.update(done.split()[0] for done in case.done)
        shutil.rmtree(folder)
        seed += 1
    print(f"seeds {wanted.seed} to {seed - 1}: {dict(counts)}")
    print(f"spoilt: {dict(spoilt)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
