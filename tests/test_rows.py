"""Rows: one map a frame, in the plain dialect's words for races and the schema's for the rest."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from sessions_app.recording import MISSING, Columns, Field, Schema, Scope
from streaming.store.rows import encode_rows, is_racing
from streaming.store.subset import subset_key, subset_schema
from tests.samples import small_play, small_race

PLAIN_DRIVER = {
    "x", "y", "speed", "gear", "lap", "position", "tyre", "throttle", "brake", "drs", "dist",
    "rel_dist", "race_progress", "gap_to_previous", "gap_to_leader", "lap_time", "sector1",
    "sector2", "sector3", "status",
}  # fmt: skip
PLAIN_WEATHER = {
    "track_temp", "air_temp", "humidity", "wind_speed", "wind_direction", "rain_state",
}  # fmt: skip


def decoded(columns: Columns, first: int = 0, stride: int = 1, **options: Any) -> list[dict]:
    options.setdefault("recorded", columns.schema)
    return [msgpack.unpackb(row) for row in encode_rows(columns, first, stride, **options)]


def test_a_race_gives_the_plain_map() -> None:
    race = small_race()
    row = decoded(race.columns.slice(1000, 1001), 1000, lap_length=3141.6)[0]
    assert set(row) == {"frame_index", "t", "lap", "drivers", "weather"}
    assert row["frame_index"] == 1000
    assert row["t"] == 40.0
    assert row["lap"] == 3
    assert list(row["drivers"]) == [f"C{i:02d}" for i in range(20)]
    assert set(row["weather"]) == PLAIN_WEATHER
    assert row["weather"]["rain_state"] == "DRY"
    assert row["weather"]["air_temp"] == 21.5
    for driver in row["drivers"].values():
        assert set(driver) == PLAIN_DRIVER


def test_distance_follows_from_progress_and_the_lap_s_length() -> None:
    race = small_race()
    driver = decoded(race.columns.slice(750, 751), 750, lap_length=1000.0)[0]["drivers"]["C00"]
    # 30 s into laps of 20 s.
    assert driver["race_progress"] == 1.5
    assert driver["dist"] == 1500.0
    assert driver["rel_dist"] == 0.5
    assert driver["status"] == "track"


def test_times_that_do_not_exist_yet_are_nil_and_gaps_are_numbers() -> None:
    race = small_race()
    gaps = race.columns.values["gap_to_leader"].copy()
    gaps[:] = MISSING
    columns = Columns(race.columns.schema, {**race.columns.values, "gap_to_leader": gaps})
    driver = decoded(columns.slice(0, 1))[0]["drivers"]["C03"]
    assert driver["lap_time"] is None
    assert driver["sector1"] is None
    assert driver["gap_to_leader"] == 0.0


def test_a_car_without_a_position_is_left_out() -> None:
    race = small_race()
    x = race.columns.values["x"].copy()
    x[5, 7] = MISSING
    columns = Columns(race.columns.schema, {**race.columns.values, "x": x})
    rows = decoded(columns.slice(4, 6), 4)
    assert "C07" in rows[0]["drivers"]
    assert "C07" not in rows[1]["drivers"]


def test_other_recordings_speak_their_schema_s_words() -> None:
    play = small_play()
    assert not is_racing(play.columns.schema)
    rows = decoded(play.columns.slice(99, 101), 99)
    assert [r["frame_index"] for r in rows] == [99, 100]
    assert rows[0]["t"] == 9.9
    assert set(rows[0]["entities"]["QB"]) == {"x", "y", "speed", "direction"}
    assert rows[0]["entities"]["QB"]["x"] == pytest.approx(39.8)
    assert "ball" in rows[0]["entities"]
    assert "ball" not in rows[1]["entities"]


def test_session_fields_stand_beside_the_entities() -> None:
    schema = Schema((Field("x"), Field("wind", "m/s", 0.1, scope=Scope.SESSION)), ("A", "B"), 10.0)
    columns = Columns.from_quantities(
        schema, {"x": np.array([[1.0, 2.0]]), "wind": np.array([3.7])}
    )
    assert decoded(columns)[0] == {
        "frame_index": 0,
        "t": 0.0,
        "wind": 3.7,
        "entities": {"A": {"x": 1}, "B": {"x": 2}},
    }


def test_decimals_are_the_shortest_that_say_it() -> None:
    schema = Schema((Field("x"), Field("gap", "s", 0.001)), ("A",), 30.0)
    columns = Columns(
        schema, {"x": np.array([[0]], np.int32), "gap": np.array([[12345]], np.int32)}
    )
    row = decoded(columns, first=1)[0]
    assert row["entities"]["A"]["gap"] == 12.345
    assert row["t"] == 0.033333


def test_a_subset_of_a_race_is_still_rows_of_a_race() -> None:
    race = small_race()
    schema = race.columns.schema
    key = subset_key(schema, ["x", "y", "rpm", "air_temperature"], ["C04", "C02"])
    columns = race.columns.slice(10, 11).subset(subset_schema(schema, key))
    row = decoded(columns, 10, recorded=schema)[0]
    assert set(row["drivers"]) == {"C02", "C04"}
    assert set(row["drivers"]["C02"]) == {"x", "y", "rpm"}
    assert row["drivers"]["C02"]["rpm"] == 100
    assert row["weather"] == {"air_temp": 21.5}
    assert "lap" not in row


def test_rows_of_a_stride_carry_their_own_frame_numbers() -> None:
    columns = small_race().columns.slice(100, 200, 4)
    rows = decoded(columns, 100, 4)
    assert [r["frame_index"] for r in rows] == list(range(100, 200, 4))
