"""Real races: what the import makes of them agrees with what the source says."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sessions_app.importers.openf1 import import_openf1
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.importers.samples import SourceSamples
from sessions_app.importers.validation import validated
from sessions_app.racing import CarStatus
from sessions_app.recording import MISSING
from sessions_app.recording.curves import Clock, at_ticks
from sessions_app.recording.dense import deflate
from sessions_app.recording.sampled import pack_measured

pytestmark = pytest.mark.realdata

Importing = Callable[[str], ImportResult]


@pytest.fixture(scope="session")
def race(realdata: Path) -> Importing:
    """Imports a folder of the real recordings, each once in a run of the tests."""
    done: dict[str, ImportResult] = {}

    def once(name: str) -> ImportResult:
        folder = realdata / name
        if not folder.is_dir():
            pytest.skip(f"no real recording at {folder}")
        if name not in done:
            done[name] = import_openf1(folder, ImportOptions())
        return done[name]

    return once


@pytest.fixture
def austria(race: Importing) -> ImportResult:
    return race("openf1-2024-austria")


@pytest.fixture
def bahrain(race: Importing) -> ImportResult:
    return race("openf1-2024-bahrain")


BAHRAIN = pytest.param("openf1-2024-bahrain", marks=pytest.mark.long)
"""Another whole race takes as long as all of a table's rows; `make check` reads one."""

AUSTRIA = """
ALB ALO BOT GAS HAM HUL LEC MAG NOR OCO PER PIA RIC RUS SAI SAR STR TSU VER ZHO
"""


def frame_times(result: ImportResult) -> np.ndarray:
    assert result.start_time is not None
    return result.start_time.timestamp() + np.arange(result.columns.frame_count) / 25.0


def bytes_a_frame(result: ImportResult) -> float:
    assert isinstance(result.samples, SourceSamples)
    packed = pack_measured(result.samples, result.schema.segment_frames)
    return sum(len(deflate(payload)) for payload in packed) / result.frame_count


def test_austria_has_its_twenty_cars(austria: ImportResult) -> None:
    assert sorted(e.code for e in austria.entities) == AUSTRIA.split()
    assert all(e.colour and e.team and e.name for e in austria.entities)
    assert austria.metadata["total_laps"] == 71
    assert austria.metadata["race_start_frame"] == 60 * 25
    assert austria.metadata["outline_file"] == "19-2024.json"
    assert len(austria.geometry.corners) == 10  # type: ignore[union-attr]
    marshals = austria.geometry.marshal_sectors  # type: ignore[union-attr]
    assert len(marshals) == 16
    # "YELLOW IN TRACK SECTOR 6" was for a collision in turn 3.
    turn = austria.geometry.corners[2].fraction  # type: ignore[union-attr]
    assert marshals[5] < turn < marshals[6]  # type: ignore[operator]


def test_the_leader_agrees_with_the_official_order(austria: ImportResult, realdata: Path) -> None:
    official = official_positions(austria, realdata / "openf1-2024-austria" / "position.csv")
    race = slice(austria.metadata["race_start_frame"], austria.metadata["finish_frame"])
    ours = np.argmin(austria.columns.values["position"][race], axis=1)
    assert (np.argmin(official[race], axis=1) == ours).mean() >= 0.99


def agreement(result: ImportResult) -> dict[str, Any]:
    assert result.report is not None
    assert result.report.agreement is not None
    return result.report.agreement


@pytest.mark.parametrize(
    "name", ["2024-austria", "2024-bahrain", "2024-silverstone", "2023-zandvoort"]
)
def test_the_order_at_the_line_is_that_of_the_lap_table(race: Importing, name: str) -> None:
    crossings = agreement(race(f"openf1-{name}"))["crossings"]
    assert crossings["compared"] > 900
    assert crossings["share"] >= 0.999, crossings["differences"]


def test_the_order_is_that_of_the_official_feed(austria: ImportResult) -> None:
    order = agreement(austria)["order"]
    assert order["car_seconds"] > 90_000
    assert order["leader"] >= 0.995
    assert order["cars"] >= 0.985


def test_the_race_ends_as_it_did(austria: ImportResult) -> None:
    last = austria.columns.values["position"][-1]
    order = [austria.entities[i].code for i in np.argsort(last)]
    assert order[:5] == ["RUS", "PIA", "SAI", "HAM", "VER"]
    assert order[-1] == "NOR"
    status = austria.columns.values["status"][-1]
    out = [e.code for e, s in zip(austria.entities, status, strict=True) if s == CarStatus.RETIRED]
    assert out == ["NOR"]
    assert (status != CarStatus.RETIRED).sum() == (status == CarStatus.FINISHED).sum() == 19


def test_the_classification_has_the_penalties(austria: ImportResult) -> None:
    order = austria.metadata["classification"]["order"]
    official = "RUS PIA SAI HAM VER HUL PER MAG RIC GAS LEC OCO STR TSU ALB BOT ZHO ALO SAR NOR"
    assert [row["entity"] for row in order] == official.split()
    added = {r["entity"]: r["penalty_seconds"] for r in order if r["penalty_seconds"]}
    # Albon loses a place by it; the others served theirs at a stop.
    assert added == {"VER": 10, "ALB": 5}
    assert [r["road_position"] for r in order[13:15]] == [15, 14]
    served = {r["entity"] for r in order for p in r["penalties"] if p["served"]}
    assert served == {"ALO", "HAM", "PER"}


def test_finishing_gaps_are_the_official_ones(austria: ImportResult) -> None:
    gap = dict(
        zip(
            (e.code for e in austria.entities),
            austria.columns.quantities("gap_to_leader")[-1],
            strict=True,
        )
    )
    # As published after the race, penalties left out; a frame is 0.04 s.
    assert gap["RUS"] == 0
    assert gap["PIA"] == pytest.approx(1.906, abs=0.15)
    assert gap["SAI"] == pytest.approx(4.533, abs=0.15)
    assert gap["HAM"] == pytest.approx(23.142, abs=0.15)


def official_positions(result: ImportResult, path: Path) -> np.ndarray:
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    times = frame_times(result)
    columns = []
    for entity in result.entities:
        own = sorted(
            (datetime.fromisoformat(r["date"]).timestamp(), int(r["position"]))
            for r in rows
            if r["driver_number"] == entity.number
        )
        index = np.searchsorted([t for t, _ in own], times, side="right") - 1
        columns.append(np.array([p for _, p in own])[np.maximum(index, 0)])
    return np.column_stack(columns)


@pytest.mark.parametrize("name", ["openf1-2024-austria", BAHRAIN])
def test_random_moments_agree_with_the_source(race: Importing, realdata: Path, name: str) -> None:
    result = race(name)
    times = frame_times(result)
    chance = random.Random(20)
    for _ in range(20):
        car = chance.randrange(len(result.entities))
        frame = chance.randrange(len(times))
        folder = realdata / name / f"driver_number={result.entities[car].number}"
        for table, columns in (
            ("location", {"x": "x", "y": "y"}),
            ("car_data", {"speed": "speed", "rpm": "rpm", "gear": "n_gear", "drs": "drs"}),
        ):
            rows = pq.read_table(folder / f"{table}.parquet", columns=["date", *columns.values()])
            rows = rows.filter(rows["date"].is_valid())
            stamps = rows["date"].cast(pa.int64()).to_numpy() / 1e9
            after = int(np.searchsorted(stamps, times[frame], side="right"))
            assert stamps[after] - stamps[after - 1] < 2.0
            for field, column in columns.items():
                before, following = (
                    float(rows[column][after - 1].as_py()),
                    float(rows[column][after].as_py()),
                )
                got = float(result.columns.quantities(field)[frame, car])
                where = f"{field} of {result.entities[car].code} at frame {frame}"
                if field in ("gear", "drs"):
                    assert got == before, where
                    continue
                # A curve may leave the span of its ends by a part of it; half a step is rounding.
                slack = result.columns.schema[field].scale / 2 + (
                    0.25 * abs(following - before) + 2 if field in "xy" else 1e-6
                )
                low, high = sorted((before, following))
                assert low - slack <= got <= high + slack, where


@pytest.mark.parametrize("name", ["openf1-2024-austria", "openf1-2024-bahrain"])
def test_all_fields_take_at_most_twenty_bytes_a_frame(race: Importing, name: str) -> None:
    assert bytes_a_frame(race(name)) <= 20.0


def test_a_position_that_is_left_out_is_found_again(austria: ImportResult) -> None:
    assert isinstance(austria.samples, SourceSamples)
    clock = next(c for c in austria.samples.clocks if ("x", 0) in c.columns)
    places = [i for i, (name, _) in enumerate(clock.columns) if name in ("x", "y")]
    own = [clock.columns[i] for i in places]
    kept = Clock(
        clock.ticks[::2],
        clock.max_gap,
        own,
        clock.values[::2, places],
        clock.there[::2, places],
    )
    fields = [austria.schema[name] for name, _ in own]
    guess = at_ticks(kept, fields, clock.ticks[1::2]).astype(float)
    truth = clock.values[1::2, places].astype(float)
    known = (guess != MISSING) & (truth != MISSING) & clock.there[1::2, places]
    error = np.where(known, guess - truth, np.nan)
    x = np.array([name == "x" for name, _ in own])
    metres = np.hypot(error[:, x], error[:, ~x]) / 10
    assert np.nanmedian(metres) <= 1.46


def test_progress_and_lap_agree(austria: ImportResult) -> None:
    start = austria.metadata["race_start_frame"]
    lap = austria.columns.values["lap"][start:].astype(float)
    progress = austria.columns.quantities("progress")[start:]
    running = austria.columns.values["status"][start:] <= CarStatus.PIT
    off = np.abs(np.clip(np.floor(progress), 0, None) + 1 - lap) * running
    # Apart from the frames around a crossing.
    assert (off > 0).sum() / running.sum() < 0.002
    assert off.max() <= 1


@pytest.mark.long
def test_bahrain_calls_cars_by_their_numbers(bahrain: ImportResult) -> None:
    codes = [e.code for e in bahrain.entities]
    assert codes == sorted(codes, key=int)
    assert len(codes) == 20
    assert codes[:3] == ["1", "2", "3"]
    assert bahrain.metadata["total_laps"] == 57
    last = bahrain.columns.values["position"][-1]
    assert [codes[i] for i in np.argsort(last)][:3] == ["1", "11", "55"]
    before = bahrain.columns.values["position"][0]
    assert [codes[i] for i in np.argsort(before)][:3] == ["1", "16", "63"]


@pytest.mark.long
def test_every_pit_stop_changes_tyres(bahrain: ImportResult) -> None:
    stops = bahrain.columns.values["pit_stops"][-1]
    for column, entity in enumerate(bahrain.entities):
        stints = [s for s in bahrain.stints if s.entity == entity.code]
        assert stops[column] == len(stints) - 1, entity.code


@pytest.mark.long
def test_the_order_after_a_red_flag_is_the_official_one(race: Importing) -> None:
    result = race("openf1-2023-zandvoort")
    last = result.columns.values["position"][-1]
    order = [result.entities[i].number for i in np.argsort(last)]
    # On the road; 44 finished 23 ms ahead of 4.
    assert order[:10] == ["1", "14", "11", "10", "55", "44", "4", "23", "81", "31"]


def test_two_cars_as_json(race: Importing) -> None:
    result = race("openf1-json/canada-2cars")
    assert [e.code for e in result.entities] == ["1", "63"]
    assert result.metadata["total_laps"] == 70
    assert np.isnan(result.columns.quantities("speed")).all()
    # Verstappen won, Russell was third.
    assert result.columns.values["position"][-1].tolist() == [1, 2]


def test_two_cars_as_csv_without_laps(race: Importing) -> None:
    result = race("openf1-csv-2024-austria-2cars")
    assert [e.code for e in result.entities] == ["VER", "NOR"]
    assert result.metadata["total_laps"] == 71
    assert result.columns.values["status"][-1].tolist() == [
        CarStatus.FINISHED,
        CarStatus.RETIRED,
    ]
    assert (result.columns.values["x"] != MISSING).mean() > 0.99


def test_tables_without_positions_are_refused_in_one_line(realdata: Path) -> None:
    folder = realdata / "openf1-csv-malformed"
    if not folder.is_dir():
        pytest.skip(f"no real recording at {folder}")
    with pytest.raises(ImportSourceError) as strict:
        import_openf1(folder, ImportOptions(strict=True))
    message = str(strict.value)
    assert "session_9161_laps.csv, row 1, column 17: 37 values found: expected 16" in message
    with pytest.raises(ImportSourceError) as caught:
        import_openf1(folder, ImportOptions())
    assert "no table of positions: expected location.parquet" in str(caught.value)


@pytest.mark.long
def test_stints_without_a_first_lap_do_not_cost_the_race(race: Importing) -> None:
    result = race("openf1-2024-silverstone")
    assert result.report is not None
    found = {(f["table"], f["column"]): f for f in result.report.as_dict()["findings"]}
    assert found["stints", "lap_start"]["count"] == 1
    assert found["stints", "lap_start"]["done"] == "row left out"
    example = found["stints", "lap_start"]["examples"][0]
    assert (example["file"], example["row"]) == ("driver_number=10/stints.parquet", 1)
    order = [result.entities[i].number for i in np.argsort(result.columns.values["position"][-1])]
    assert order[:3] == ["44", "1", "4"]


def test_three_cars_whose_first_lap_carries_the_restart(race: Importing) -> None:
    result = validated(race("openf1-2024-suzuka-3cars"))
    assert [e.code for e in result.entities] == ["1", "2", "3"]
    # The race began at 05:03, and again after a red flag at 05:32, which is what lap 1 says.
    assert result.metadata["race_start_time"].startswith("2024-04-07T05:03:4")
    assert all(
        lap.end_frame >= lap.start_frame
        for lap in result.laps
        if lap.start_frame is not None and lap.end_frame is not None
    )
