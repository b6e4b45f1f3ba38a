"""Everything that is wrong in real OpenF1 tables, one trap at a time, on a race known exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sessions_app.importers.openf1 import import_openf1
from sessions_app.importers.openf1.clocks import recovered_times
from sessions_app.importers.openf1.timing import CarLaps, pit_visits, settled_starts
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.importers.validation import validated
from sessions_app.racing import CarStatus, TrackStatus
from sessions_app.recording import MISSING

from .openf1_folder import (
    LAP_SECONDS,
    LAPS,
    START,
    RaceFolder,
    crossing,
    lap_seconds,
    place,
    progress_at,
    stamp,
    write_rows,
)

LEAD = 60.0


def imported(race: RaceFolder, folder: Path, kind: str = "csv") -> ImportResult:
    return import_openf1(race.write(folder / "race", kind), ImportOptions(lead=LEAD))


def at(time: float) -> int:
    """Frame of a time, seconds after the start signal."""
    return round((LEAD + time) * 25)


def value(result: ImportResult, name: str, time: float, car: int = 0) -> float:
    return float(result.columns.quantities(name)[at(time), car])


def status(result: ImportResult, time: float, car: int = 0) -> CarStatus:
    return CarStatus(int(result.columns.values["status"][at(time), car]))


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_whole_race_arrives_as_it_was_driven(tmp_path: Path, kind: str) -> None:
    result = imported(RaceFolder(), tmp_path, kind)
    assert result.metadata["race_start_frame"] == at(0.0)
    assert result.metadata["total_laps"] == LAPS
    assert result.start_time is not None
    assert result.start_time.timestamp() == pytest.approx(START - LEAD)
    for car in range(3):
        for time in (10.0, 55.5, 100.0):
            x, y = place(progress_at(car, time))
            assert value(result, "x", time, car) == pytest.approx(x, abs=8)
            assert value(result, "y", time, car) == pytest.approx(y, abs=8)
            assert value(result, "progress", time, car) == pytest.approx(
                progress_at(car, time), abs=2e-3
            )
    assert [value(result, "position", 30.0, car) for car in range(3)] == [1, 2, 3]
    assert [value(result, "position", -30.0, car) for car in range(3)] == [1, 2, 3]
    assert value(result, "lap", 30.0) == 1
    assert value(result, "lap", 60.0) == 2
    assert value(result, "lap", -1.0) == 0


def test_gaps_are_times_at_the_same_place(tmp_path: Path) -> None:
    result = imported(RaceFolder(), tmp_path)
    for lap in (1, 2, 3):
        time = crossing(2, lap) + 0.2
        behind = crossing(2, lap) - crossing(0, lap)
        assert value(result, "gap_to_leader", time, 2) == pytest.approx(behind, abs=0.15)
        ahead = crossing(2, lap) - crossing(1, lap)
        assert value(result, "interval", time, 2) == pytest.approx(ahead, abs=0.15)
    assert value(result, "gap_to_leader", 50.0, 0) == 0


def test_lap_and_sector_times_appear_when_they_are_driven(tmp_path: Path) -> None:
    result = imported(RaceFolder(), tmp_path)
    first, second = crossing(0, 1), crossing(0, 2)
    assert np.isnan(value(result, "last_lap_time", first - 0.1))
    assert value(result, "last_lap_time", first + 0.1) == pytest.approx(first, abs=1e-3)
    assert value(result, "best_lap_time", second + 0.1) == pytest.approx(LAP_SECONDS, abs=1e-3)
    assert np.isnan(value(result, "sector1", first * 0.25 - 0.1))
    assert value(result, "sector1", first * 0.25 + 0.1) == pytest.approx(first * 0.25, abs=1e-3)
    assert len(result.laps) == 3 * LAPS


def test_whole_seconds_without_a_fraction_are_read(tmp_path: Path) -> None:
    race = RaceFolder()
    row = race.between(race.location[1], 20.0, 21.0)[2]
    row["date"] = stamp(START + 21.0)
    assert "." not in row["date"]
    imported(race, tmp_path)


def test_a_null_date_is_the_whole_second_between_its_neighbours() -> None:
    nan = np.nan
    times = np.array([nan, 1.9, nan, 2.1, nan, 2.3, 2.9, nan, nan, 3.4, 3.7, nan, 5.9, nan])
    recovered = recovered_times(times)
    assert recovered[2] == 2.0
    # None between, more than one between, neighbours unknown, first and last: not to be told.
    assert np.isnan(recovered[[0, 4, 7, 8, 11, 13]]).all()


def test_rows_with_null_dates_do_no_harm(tmp_path: Path) -> None:
    race = RaceFolder()
    for row in race.between(race.location[1], 20.0, 21.0)[1:2]:
        row["date"] = None
    for row in race.between(race.car_data[1], 30.0, 33.0):
        row["date"] = None
    result = imported(race, tmp_path, "parquet")
    x, _ = place(progress_at(0, 20.4))
    assert value(result, "x", 20.4) == pytest.approx(x, abs=15)
    assert np.isnan(value(result, "speed", 31.5))


def test_rows_out_of_order_or_twice_are_sorted(tmp_path: Path) -> None:
    race = RaceFolder()
    rows = race.location[1]
    rows[600], rows[601] = rows[601], rows[600]
    rows.insert(700, dict(rows[700]))
    result = imported(race, tmp_path)
    assert (result.columns.values["x"][:, 0] != MISSING).all()


def test_a_gap_over_two_seconds_is_not_bridged(tmp_path: Path) -> None:
    race = RaceFolder()
    race.drop(race.location[1], 50.0, 52.5)
    race.drop(race.location[44], 50.0, 51.5)
    result = imported(race, tmp_path)
    assert status(result, 51.0, 0) is CarStatus.UNSEEN
    assert np.isnan(value(result, "x", 51.0, 0))
    assert np.isnan(value(result, "y", 51.0, 0))
    assert status(result, 49.5, 0) is CarStatus.TRACK
    assert status(result, 53.0, 0) is CarStatus.TRACK
    assert status(result, 51.0, 1) is CarStatus.TRACK
    # The order of the race still knows it.
    assert value(result, "position", 51.0, 0) == 1
    assert value(result, "progress", 51.0, 0) == pytest.approx(progress_at(0, 51.0), abs=5e-3)


def test_a_feed_that_freezes_while_the_car_drives_is_a_gap(tmp_path: Path) -> None:
    race = RaceFolder()
    frozen = race.between(race.location[44], 50.0, 53.0)
    for row in frozen:
        row["x"], row["y"] = frozen[0]["x"], frozen[0]["y"]
    result = imported(race, tmp_path)
    assert status(result, 51.5, 1) is CarStatus.UNSEEN
    assert np.isnan(value(result, "x", 51.5, 1))
    assert status(result, 54.0, 1) is CarStatus.TRACK


def test_a_freeze_without_car_data_is_a_gap_too(tmp_path: Path) -> None:
    race = RaceFolder()
    race.car_data.clear()
    frozen = race.between(race.location[44], 50.0, 53.0)
    for row in frozen:
        row["x"], row["y"] = frozen[0]["x"], frozen[0]["y"]
    result = imported(race, tmp_path)
    assert status(result, 51.5, 1) is CarStatus.UNSEEN
    assert status(result, -20.0, 1) is CarStatus.GRID


def test_a_car_that_stands_is_seen(tmp_path: Path) -> None:
    race = RaceFolder()
    result = imported(race, tmp_path)
    assert status(result, -20.0) is CarStatus.GRID
    assert value(result, "x", -20.0) == place(progress_at(0, -20.0))[0]


def test_the_origin_is_no_position(tmp_path: Path) -> None:
    race = RaceFolder()
    for row in race.between(race.location[1], -200.0, -30.0):
        row["x"] = row["y"] = row["z"] = 0
    result = imported(race, tmp_path)
    assert status(result, -40.0) is CarStatus.UNSEEN
    assert np.isnan(value(result, "x", -40.0))
    assert status(result, -10.0) is CarStatus.GRID
    assert result.geometry is not None
    assert result.geometry.bounds[0] > 1000


def test_a_car_that_never_starts_is_retired_and_last(tmp_path: Path) -> None:
    race = RaceFolder()
    for row in race.location[1]:
        row["x"] = row["y"] = row["z"] = 0
    race.laps = [r for r in race.laps if r["driver_number"] != 1]
    race.stints = [r for r in race.stints if r["driver_number"] != 1]
    result = imported(race, tmp_path)
    assert status(result, 30.0, 0) is CarStatus.RETIRED
    assert value(result, "position", 30.0, 0) == 3
    assert value(result, "lap", 30.0, 0) == 0
    assert np.isnan(value(result, "gap_to_leader", 30.0, 0))
    assert np.isnan(value(result, "tyre", 30.0, 0))


def test_a_retired_car_stays_where_it_stopped_behind_all_others(tmp_path: Path) -> None:
    race = RaceFolder()
    race.retire(1, 70.0)
    result = imported(race, tmp_path)
    assert status(result, 69.0, 0) is CarStatus.TRACK
    assert status(result, 75.0, 0) is CarStatus.RETIRED
    assert value(result, "x", 120.0, 0) == place(progress_at(0, 70.0))[0]
    assert value(result, "position", 60.0, 0) == 1
    assert value(result, "position", 75.0, 0) == 3
    assert [e.entity for e in result.events if e.kind == "retirement"] == ["1"]


def test_sentinels_and_stray_values_are_no_values(tmp_path: Path) -> None:
    race = RaceFolder()
    for row in race.between(race.car_data[1], 50.0, 50.5):
        row.update(throttle=104, brake=104, n_gear=33, drs=77)
    for row in race.between(race.car_data[1], 80.0, 84.0):
        row.update(throttle=104, brake=104)
    result = imported(race, tmp_path)
    assert value(result, "throttle", 50.3) == 80
    assert value(result, "brake", 50.3) == 0
    assert value(result, "gear", 50.3) == 5
    assert value(result, "drs", 50.3) == 8
    assert np.isnan(value(result, "throttle", 82.0))
    assert np.isnan(value(result, "brake", 82.0))
    assert value(result, "speed", 82.0) == 160


@pytest.mark.parametrize("code", [0, 1, 2, 3, 8, 9, 10, 12, 13, 14])
def test_drs_codes_are_kept(tmp_path: Path, code: int) -> None:
    race = RaceFolder(numbers=(1,))
    for row in race.car_data[1]:
        row["drs"] = code
    assert value(imported(race, tmp_path), "drs", 30.0) == code


def test_speed_does_not_come_from_the_jitter_of_positions(tmp_path: Path) -> None:
    race = RaceFolder()
    for i, row in enumerate(race.between(race.location[1], 10.0, 150.0)):
        row["x"] += 60 if i % 2 else -60
    result = imported(race, tmp_path)
    speed = result.columns.quantities("speed")[at(20.0) : at(140.0), 0]
    assert (speed == 160).all()
    assert value(result, "position", 60.0, 0) == 1


def test_lap_starts_are_settled_by_the_durations() -> None:
    duration = np.array([72.0, 70.0, 70.5, 69.5, np.nan])
    true = 1000.0 + np.concatenate(([0.0], np.cumsum(duration[:4])))
    start = true + np.array([0.0, 0.2, -0.2, 0.05, 0.0])
    settled = settled_starts(start, duration)
    assert settled[0] == 1000.0
    assert np.diff(settled[1:]) == pytest.approx(duration[1:4])
    assert settled[1:] == pytest.approx(true[1:], abs=0.06)


def test_null_lap_starts_and_durations_are_bridged(tmp_path: Path) -> None:
    race = RaceFolder()
    race.lap(44, 3)["date_start"] = None
    race.lap(77, 2)["lap_duration"] = None
    for k in (1, 2, 3):
        race.lap(77, 2)[f"duration_sector_{k}"] = None
    result = imported(race, tmp_path)
    assert value(result, "lap", crossing(1, 2) + 0.3, 1) == 3
    assert value(result, "lap", crossing(2, 2) + 0.3, 2) == 3
    assert np.isnan(value(result, "last_lap_time", crossing(2, 2) + 0.3, 2))
    assert value(result, "last_lap_time", crossing(2, 3) + 0.3, 2) == pytest.approx(
        lap_seconds(2), abs=2e-3
    )


def test_a_lap_after_the_flag_is_no_lap_of_the_race(tmp_path: Path) -> None:
    race = RaceFolder()
    race.laps.append(
        {
            **race.lap(1, LAPS),
            "lap_number": LAPS + 1,
            "date_start": stamp(START + crossing(0, LAPS)),
            "lap_duration": None,
            "duration_sector_1": None,
            "duration_sector_2": None,
            "duration_sector_3": None,
        }
    )
    result = imported(race, tmp_path)
    assert result.metadata["total_laps"] == LAPS
    assert result.columns.values["lap"].max() == LAPS
    assert max(lap.number for lap in result.laps) == LAPS


@pytest.mark.parametrize("numbers", [(1, 44, 77), (1,)])
def test_the_end_of_the_session_is_no_lap(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    race = RaceFolder(numbers)
    for number in numbers:
        race.laps.append(
            {
                **race.lap(number, LAPS),
                "lap_number": LAPS + 1,
                "date_start": stamp(START + 60.0 + crossing(2, LAPS)),
                "lap_duration": None,
                "duration_sector_1": None,
                "duration_sector_2": None,
                "duration_sector_3": None,
            }
        )
    result = imported(race, tmp_path)
    finishes = {e.entity: e.frame for e in result.events if e.kind == "finish"}
    for index, number in enumerate(numbers):
        assert finishes[str(number)] == pytest.approx(at(crossing(index, LAPS)), abs=1)
    order = result.columns.values["position"][at(crossing(0, LAPS) + 1)]
    assert order.tolist() == [i + 1 for i in range(len(numbers))]


def test_cars_that_finish_within_one_frame_end_in_the_order_of_their_times(tmp_path: Path) -> None:
    race = RaceFolder((77, 1))
    for number, seconds in ((77, 0.005), (1, 0.015)):
        last = race.lap(number, LAPS)
        begin = crossing(race.numbers.index(number), LAPS - 1)
        # The later number crosses 10 ms before the earlier one.
        last["lap_duration"] = round(crossing(1, LAPS) + seconds - begin, 3)
    result = imported(race, tmp_path)
    codes = [e.code for e in result.entities]
    assert codes == ["1", "77"]
    assert result.columns.values["position"][-1].tolist() == [2, 1]


def test_a_start_that_the_following_laps_contradict_is_not_believed(tmp_path: Path) -> None:
    race = RaceFolder()
    for number in race.numbers:
        # The start signal after a red flag, written over that of lap 1.
        race.lap(number, 1)["date_start"] = stamp(START + 60.0)
    result = imported(race, tmp_path)
    assert result.metadata["race_start_frame"] == at(0.0)
    laps = [lap for lap in result.laps if lap.start_frame is not None and lap.end_frame is not None]
    assert len(laps) == 3 * LAPS
    assert all(lap.end_frame > lap.start_frame for lap in laps)  # type: ignore[operator]


def test_a_lapped_car_finishes_with_fewer_laps(tmp_path: Path) -> None:
    race = RaceFolder()
    # Car 77 drives so slowly that it loses a lap.
    for row in race.location[77]:
        time = datetime.fromisoformat(row["date"]).timestamp() - START
        row["x"], row["y"] = place(max(time, 0.0) / 54.0 - 0.03)
    race.laps = [r for r in race.laps if r["driver_number"] != 77]
    for lap in range(1, 4):
        begin = 0.0 if lap == 1 else (lap - 1 + 0.03) * 54.0
        end = (lap + 0.03) * 54.0
        race.laps.append(
            {
                **race.lap(1, lap),
                "driver_number": 77,
                "lap_number": lap,
                "date_start": stamp(START + begin),
                "lap_duration": round(end - begin, 3),
            }
        )
    result = imported(race, tmp_path)
    end = 3.03 * 54.0 + 1
    assert status(result, end, 2) is CarStatus.FINISHED
    assert value(result, "lap", end, 2) == 3
    assert value(result, "position", end + 10, 2) == 3
    assert value(result, "gap_to_leader", end, 2) > LAP_SECONDS


def test_stints_that_overlap_change_at_the_stop(tmp_path: Path) -> None:
    race = RaceFolder()
    race.stints[0].update(lap_end=2)
    race.stints.append({**race.stints[0], "stint_number": 2, "lap_start": 2, "lap_end": LAPS})
    race.stints[-1].update(compound="HARD", tyre_age_at_start=0)
    race.lap(1, 3)["is_pit_out_lap"] = True
    line = crossing(0, 2)
    for row in race.between(race.car_data[1], line - 10, line + 10):
        row["speed"] = 60
    result = imported(race, tmp_path)
    assert value(result, "tyre", line - 12) == 1
    assert value(result, "tyre", line + 1) == 2
    assert value(result, "tyre_age", line - 12) == 3
    assert value(result, "tyre_age", line + 1) == 0
    assert value(result, "tyre_age", crossing(0, 3) + 1) == 1
    assert status(result, line) is CarStatus.PIT
    assert status(result, line - 12) is CarStatus.TRACK
    assert value(result, "pit_stops", line - 12) == 0
    assert value(result, "pit_stops", line + 12) == 1


def test_the_hour_before_the_start_is_cut(tmp_path: Path) -> None:
    race = RaceFolder()
    folder = race.write(tmp_path / "race")
    short = import_openf1(folder, ImportOptions(lead=10.0))
    assert short.metadata["race_start_frame"] == 250
    assert short.metadata["lead_seconds"] == 10.0
    assert short.metadata["trimmed_seconds"] == pytest.approx(110.0, abs=0.1)
    whole = import_openf1(folder, ImportOptions(lead=1e6, tail=1e6))
    assert whole.metadata["race_start_frame"] == 120 * 25


def test_a_race_start_that_no_lap_1_tells(tmp_path: Path) -> None:
    race = RaceFolder()
    for number in race.numbers:
        race.lap(number, 1)["date_start"] = None
    result = imported(race, tmp_path)
    assert result.metadata["race_start_frame"] == at(0.0)
    assert value(result, "lap", crossing(0, 1) + 0.3) == 2


def test_a_wait_in_the_pit_lane_is_one_visit() -> None:
    nan = np.nan
    laps = CarLaps(
        start=np.array([0.0, 100.0, 200.0, 2300.0]),
        duration=np.full(4, nan),
        sectors=np.full((4, 3), nan),
        pit_out=np.array([False, False, True, False]),
    )
    times = np.arange(0.0, 2400.0, 0.25)
    waiting = (times > 195.0) & (times < 2150.0)
    visits = pit_visits(laps, (), times, np.where(waiting, 5.0, 200.0))
    assert [v.out_lap for v in visits] == [3]
    assert (visits[0].entry, visits[0].exit) == (195.25, 2150.0)


def test_an_out_lap_that_was_never_slow_is_no_visit() -> None:
    laps = CarLaps(
        start=np.array([0.0, 100.0]),
        duration=np.array([100.0, 100.0]),
        sectors=np.full((2, 3), np.nan),
        pit_out=np.array([False, True]),
    )
    times = np.arange(0.0, 200.0, 0.25)
    assert pit_visits(laps, (), times, np.full(len(times), 200.0)) == []


def test_a_feed_that_freezes_when_the_car_drives_off(tmp_path: Path) -> None:
    race = RaceFolder()
    frozen = race.between(race.location[44], -100.0, 6.0)
    for row in frozen:
        row["x"], row["y"] = frozen[0]["x"], frozen[0]["y"]
    result = imported(race, tmp_path)
    assert status(result, -5.0, 1) is CarStatus.GRID
    assert status(result, 4.0, 1) is CarStatus.UNSEEN
    assert status(result, 7.0, 1) is CarStatus.TRACK


def test_race_control_makes_status_and_events(tmp_path: Path) -> None:
    race = RaceFolder()
    messages = [
        (10.0, "Flag", "YELLOW", "Sector", 3, "YELLOW IN TRACK SECTOR 3"),
        (20.0, "Flag", "CLEAR", "Sector", 3, "CLEAR IN TRACK SECTOR 3"),
        (30.0, "SafetyCar", None, None, None, "SAFETY CAR DEPLOYED"),
        (50.0, "SafetyCar", None, None, None, "SAFETY CAR IN THIS LAP"),
        (60.0, "Flag", "CLEAR", "Track", None, "TRACK CLEAR"),
        (70.0, "<", None, None, None, "VIRTUAL SAFETY CAR DEPLOYED"),
        (80.0, "Flag", "GREEN", "Track", None, "GREEN LIGHT"),
        (90.0, "Flag", "RED", "Track", None, "RED FLAG"),
        (100.0, "Flag", "GREEN", "Track", None, "GREEN LIGHT"),
        (165.0, "Flag", "CHEQUERED", "Track", None, "CHEQUERED FLAG"),
    ]
    race.others["race_control"] = [
        {
            "date": stamp(START + t),
            "driver_number": None,
            "lap_number": 1,
            "category": category,
            "flag": flag,
            "scope": scope,
            "sector": sector,
            "message": text,
        }
        for t, category, flag, scope, sector, text in messages
    ]
    result = imported(race, tmp_path)
    shown = [
        TrackStatus(int(result.columns.values["track_status"][at(t), 0]))
        for t in (5, 15, 25, 35, 55, 65, 75, 85, 95, 105, 170)
    ]
    assert [s.name for s in shown] == [
        "CLEAR",
        "YELLOW",
        "CLEAR",
        "SAFETY_CAR",
        "SAFETY_CAR",
        "CLEAR",
        "VIRTUAL_SAFETY_CAR",
        "CLEAR",
        "RED",
        "CLEAR",
        "CHEQUERED",
    ]
    kinds = [e.kind for e in result.events if e.message.endswith("DEPLOYED")]
    assert kinds == ["safety_car", "safety_car"]


def test_weather_is_held(tmp_path: Path) -> None:
    race = RaceFolder()
    race.others["weather"] = [
        {"date": stamp(START - 100), "air_temperature": 20.5, "rainfall": 0},
        {"date": stamp(START + 40), "air_temperature": 21.5, "rainfall": 1},
    ]
    result = imported(race, tmp_path)
    air = result.columns.quantities("air_temperature")[:, 0]
    assert (air[at(39.0)], air[at(41.0)]) == (20.5, 21.5)
    assert np.isnan(result.columns.quantities("humidity")).all()
    assert [(e.frame, e.value) for e in result.events if e.kind == "weather"] == [(at(40.0), "1")]


def test_drivers_give_codes_and_colours(tmp_path: Path) -> None:
    race = RaceFolder()
    race.others["drivers"] = [
        {
            "driver_number": 44,
            "name_acronym": "HAM",
            "full_name": "Lewis",
            "team_name": "Mercedes",
            "team_colour": "27F4D2",
        },
        {
            "driver_number": 77,
            "name_acronym": "BOT",
            "full_name": "Valtteri",
            "team_name": "Sauber",
            "team_colour": "teal",
        },
    ]
    entities = imported(race, tmp_path).entities
    assert [e.code for e in entities] == ["1", "HAM", "BOT"]
    assert [e.colour for e in entities] == ["", "#27f4d2", ""]


def test_without_lap_tables_laps_come_from_crossings(tmp_path: Path) -> None:
    race = RaceFolder()
    race.laps.clear()
    result = imported(race, tmp_path)
    assert result.metadata["race_start_frame"] == pytest.approx(at(0.0), abs=10)
    offset = result.metadata["race_start_frame"] - at(0.0)
    assert offset <= 10
    assert result.columns.values["lap"].max() >= LAPS


# -- what is left out -----------------------------------------------------------------------------


def findings(result: ImportResult) -> dict[tuple[str, str, str], int]:
    assert result.report is not None
    report = result.report.as_dict()
    return {(f["table"], f["column"], f["done"]): f["count"] for f in report["findings"]}


def test_a_row_of_stints_without_its_first_lap_costs_only_itself(tmp_path: Path) -> None:
    race = RaceFolder()
    race.stints.append({**race.stints[1], "stint_number": 2, "lap_start": None, "lap_end": 3})
    result = imported(race, tmp_path, "parquet")
    assert len(result.stints) == 3
    assert findings(result) == {("stints", "lap_start", "row left out"): 1}
    assert result.report is not None
    example = result.report.as_dict()["findings"][0]["examples"][0]
    assert example == {"file": "stints.parquet", "row": 4, "found": "no value"}


def test_a_row_of_joined_tables_is_named_by_its_own_file(tmp_path: Path) -> None:
    race = RaceFolder()
    folder = race.write(tmp_path / "race")
    (folder / "stints.csv").unlink()
    for number in race.numbers:
        own = [r for r in race.stints if r["driver_number"] == number]
        if number == 44:
            own = [{**own[0], "stint_number": 9, "lap_start": None}, *own]
            own[0], own[1] = own[1], own[0]
        write_rows(folder / f"driver_number={number}" / "stints.csv", own)
    result = import_openf1(folder, ImportOptions(lead=LEAD))
    assert result.report is not None
    example = result.report.as_dict()["findings"][0]["examples"][0]
    assert (example["file"], example["row"]) == ("driver_number=44/stints.csv", 2)
    message = refusal(folder)
    assert "driver_number=44/stints.csv, row 2, column lap_start: no value found" in message


def test_values_that_cannot_be_are_left_out_and_the_race_is_shown(tmp_path: Path) -> None:
    race = RaceFolder()
    race.lap(44, 2).update(duration_sector_1=-1e300, duration_sector_2="fast")
    race.lap(77, 3)["lap_number"] = 2.5
    race.location[1][300]["x"] = 1e12
    race.stints[0]["tyre_age_at_start"] = -4
    result = imported(race, tmp_path)
    assert findings(result) == {
        ("laps", "duration_sector_1", "value left out"): 1,
        ("laps", "duration_sector_2", "value left out"): 1,
        ("laps", "lap_number", "value left out"): 1,
        ("laps", "lap_number", "row left out"): 1,
        ("location", "x", "value left out"): 1,
        ("location", "x", "row left out"): 1,
        ("stints", "tyre_age_at_start", "value left out"): 1,
    }
    assert result.metadata["total_laps"] == LAPS


def spoil_rows(folder: Path) -> None:
    path = folder / "laps.csv"
    path.write_text(path.read_text().replace("False", "False,[1,2]"))


def empty_laps(folder: Path) -> None:
    (folder / "laps.csv").write_text((folder / "laps.csv").read_text().split("\n")[0] + "\n")


def null_laps(folder: Path) -> None:
    lines = (folder / "laps.csv").read_text().splitlines()
    (folder / "laps.csv").write_text("\n".join([lines[0], *[",,,,,,,"] * 5]) + "\n")


SPOILS: dict[str, Callable[[Path], object]] = {
    "no table of laps": lambda folder: (folder / "laps.csv").unlink(),
    "an empty table": empty_laps,
    "a table of nulls": null_laps,
    "an empty file": lambda folder: (folder / "laps.csv").write_bytes(b""),
    "no row that fits the header": spoil_rows,
    "bytes that are no text": lambda folder: (folder / "laps.csv").write_bytes(b"\xff\xfe" * 99),
    "only positions": lambda folder: [
        path.unlink()  # type: ignore[func-returns-value]
        for path in folder.rglob("*.csv")
        if path.name != "location.csv"
    ],
    "one car without positions": lambda folder: (
        folder / "driver_number=44" / "location.csv"
    ).write_text("date,x,y\n"),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_with_less_the_race_is_shown_with_what_there_is(tmp_path: Path, spoil: str) -> None:
    folder = RaceFolder().write(tmp_path / "race")
    SPOILS[spoil](folder)
    result = validated(import_openf1(folder, ImportOptions(lead=LEAD)))
    assert result.report is not None
    report = result.report.as_dict()
    assert report["missing_tables"] or report["findings"] or report["estimated"]
    offset = result.metadata["race_start_frame"] - at(0.0)
    assert abs(offset) <= 10
    assert value(result, "x", 40.0) == pytest.approx(place(progress_at(0, 40.0))[0], abs=200)


def test_cars_that_never_drove_a_lap_are_shown_on_a_map(tmp_path: Path) -> None:
    race = RaceFolder()
    race.laps.clear()
    race.stints.clear()
    for number in race.numbers:
        race.location[number] = race.between(race.location[number], -100.0, 20.0)
    result = validated(imported(race, tmp_path))
    assert result.geometry is not None
    assert result.geometry.kind == "map"
    assert result.report is not None
    assert any(e.startswith("no circuit") for e in result.report.as_dict()["estimated"])


def test_laps_of_another_day_are_not_believed(tmp_path: Path) -> None:
    race = RaceFolder()
    for row in race.laps:
        moved = datetime.fromisoformat(row["date_start"]).timestamp() + 86_400.0
        row["date_start"] = stamp(moved)
    result = imported(race, tmp_path)
    assert ("laps", "date_start", "column left out") in findings(result)
    assert value(result, "lap", 60.0) == 2


# -- bad input, strictly --------------------------------------------------------------------------


def refusal(folder: Path, options: ImportOptions | None = None) -> str:
    with pytest.raises(ImportSourceError) as caught:
        import_openf1(folder, options or ImportOptions(strict=True))
    message = str(caught.value)
    assert "\n" not in message
    return message


def spoilt(tmp_path: Path, name: str, old: str, new: str) -> str:
    folder = RaceFolder().write(tmp_path / "race")
    path = folder / name
    path.write_text(path.read_text().replace(old, new, 1))
    return refusal(folder)


def test_no_folder(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nothing")


def test_a_folder_without_positions(tmp_path: Path) -> None:
    assert "expected location.parquet" in refusal(tmp_path)


def test_a_number_that_is_none(tmp_path: Path) -> None:
    message = spoilt(tmp_path, "driver_number=44/location.csv", ",7,44", ",7,44\n?,1,2,3,44")
    assert "driver_number=44/location.csv, row 2, column date: '?' found" in message
    assert "expected an ISO 8601 time" in message


def test_a_word_for_a_number(tmp_path: Path) -> None:
    message = spoilt(tmp_path, "laps.csv", "40.4,", "quick,")
    assert "laps.csv, row 1, column lap_duration: 'quick' found: expected a number" in message


def test_a_row_of_another_width(tmp_path: Path) -> None:
    message = spoilt(tmp_path, "stints.csv", "MEDIUM,2", "MEDIUM,2,[1,2]")
    assert "stints.csv, row 1, column 7: 8 values found: expected 6" in message


def test_a_missing_column(tmp_path: Path) -> None:
    message = spoilt(tmp_path, "driver_number=1/location.csv", "date,x,", "date,ex,")
    assert "location.csv, column x: no such column: expected" in message


def test_an_impossible_lap_number(tmp_path: Path) -> None:
    race = RaceFolder()
    race.lap(44, 2)["lap_number"] = 0
    message = refusal(race.write(tmp_path / "race"))
    assert "laps.csv, row 6, column lap_number: 0 found: expected a lap number" in message


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_file_cut_short(tmp_path: Path, kind: str) -> None:
    folder = RaceFolder().write(tmp_path / "race", kind)
    path = folder / f"laps.{kind}"
    path.write_bytes(path.read_bytes()[:-20])
    assert f"laps.{kind}: " in refusal(folder)


def test_text_in_another_encoding(tmp_path: Path) -> None:
    folder = RaceFolder().write(tmp_path / "race")
    path = folder / "stints.csv"
    path.write_bytes(path.read_bytes().replace(b"MEDIUM,2", b"M\xc9DIUM,2,7", 1))
    message = refusal(folder)
    assert message.endswith("stints.csv, row 1: byte 0xc9 found: expected UTF-8 text")


def test_an_empty_json_file(tmp_path: Path) -> None:
    folder = RaceFolder().write(tmp_path / "race", "json")
    (folder / "laps.json").write_text("")
    assert "the file is empty: expected a JSON list of records" in refusal(folder)


def test_a_geometry_that_does_not_fit(tmp_path: Path) -> None:
    folder = RaceFolder().write(tmp_path / "race")
    outline = tmp_path / "other.json"
    outline.write_text(
        str({"x": [i * 900 for i in range(40)], "y": [0] * 20 + [9] * 20}).replace("'", '"')
    )
    message = refusal(folder, ImportOptions(geometry=outline))
    assert "other.json: no outline fits" in message


def test_a_broken_geometry(tmp_path: Path) -> None:
    folder = RaceFolder().write(tmp_path / "race")
    outline = tmp_path / "broken.json"
    outline.write_text('{"x": [1, 2], "y": [1, 2]}')
    message = refusal(folder, ImportOptions(geometry=outline))
    assert "column x: expected two lists x and y of equal length" in message
