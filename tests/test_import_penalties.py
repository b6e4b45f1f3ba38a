"""Penalties and disqualifications in the final classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessions_app.importers.openf1 import import_openf1
from sessions_app.importers.openf1.control import Message
from sessions_app.importers.openf1.penalties import rulings
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.report import Report
from sessions_app.importers.result import ImportResult

from .openf1_folder import LAPS, START, RaceFolder, crossing, stamp


def message(text: str, time: float = 1.0) -> Message:
    return Message(time, text, "race_control", "", None, None, None)


def imported(race: RaceFolder, folder: Path, *texts: str) -> dict[str, dict[str, Any]]:
    race.others["race_control"] = [
        {"date": stamp(START + 50.0 + i), "message": text} for i, text in enumerate(texts)
    ]
    result: ImportResult = import_openf1(race.write(folder / "race"), ImportOptions())
    order = result.metadata["classification"]["order"]
    # The order on the road is untouched.
    assert result.columns.values["position"][-1].tolist() == [1, 2, 3]
    assert [row["position"] for row in order] == [1, 2, 3]
    return {row["entity"]: row for row in order}


def test_without_penalties_it_is_the_order_on_the_road(tmp_path: Path) -> None:
    order = imported(RaceFolder(), tmp_path, "GREEN LIGHT")
    assert [(e, r["road_position"], r["laps"]) for e, r in order.items()] == [
        ("1", 1, LAPS),
        ("44", 2, LAPS),
        ("77", 3, LAPS),
    ]


def test_a_time_penalty_is_added(tmp_path: Path) -> None:
    gap = crossing(1, LAPS) - crossing(0, LAPS)
    assert 3 < gap < 5
    order = imported(
        RaceFolder(),
        tmp_path,
        "FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 1 (VER) - SPEEDING IN THE PIT LANE",
    )
    assert list(order) == ["44", "1", "77"]
    assert (order["1"]["position"], order["1"]["road_position"]) == (2, 1)
    assert order["1"]["penalty_seconds"] == 5
    assert order["1"]["penalties"][0]["reason"] == "SPEEDING IN THE PIT LANE"
    assert order["1"]["penalties"][0]["served"] == ""


def test_who_is_disqualified_is_last(tmp_path: Path) -> None:
    order = imported(RaceFolder(), tmp_path, "FIA STEWARDS: CAR 1 (VER) DISQUALIFIED - FUEL")
    assert list(order) == ["44", "77", "1"]
    assert order["1"]["status"] == "disqualified"


def test_who_retired_comes_after_who_finished(tmp_path: Path) -> None:
    race = RaceFolder()
    race.retire(77, 70.0)
    order = imported(race, tmp_path, "5 SECOND TIME PENALTY FOR CAR 44 (HAM)")
    assert [(e, r["status"]) for e, r in order.items()] == [
        ("1", "finished"),
        ("44", "finished"),
        ("77", "retired"),
    ]


def test_a_penalty_is_served_at_the_next_stop(tmp_path: Path) -> None:
    race = RaceFolder()
    race.lap(1, 3)["is_pit_out_lap"] = True
    line = crossing(0, 2)
    for row in race.between(race.car_data[1], line - 10, line + 10):
        row["speed"] = 60
    order = imported(race, tmp_path, "10 SECOND TIME PENALTY FOR CAR 1 (VER)")
    assert order["1"]["penalty_seconds"] == 0
    assert order["1"]["penalties"][0]["served"] == "pit stop"


def test_official_results_overrule_it(tmp_path: Path) -> None:
    race = RaceFolder()
    race.others["session_result"] = [
        {"driver_number": n, "position": p, "dsq": dsq}
        for n, p, dsq in ((77, 1, False), (44, 2, False), (1, None, True))
    ]
    result = import_openf1(race.write(tmp_path / "race"), ImportOptions())
    final = result.metadata["classification"]
    assert final["source"] == "session_result"
    assert [(r["entity"], r["status"], r["road_position"]) for r in final["order"]] == [
        ("77", "finished", 3),
        ("44", "finished", 2),
        ("1", "disqualified", 1),
    ]


@pytest.mark.parametrize(
    ("texts", "added", "out"),
    [
        (["5 SECOND TIME PENALTY FOR CAR 4 (NOR) - TRACK LIMITS"], 5, False),
        (["5 SECOND TIME PENALTY FOR CAR 4 (NOR)", "10 SECOND TIME PENALTY FOR CAR 4"], 15, False),
        (
            [
                "FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 4 (NOR) - TRACK LIMITS",
                "FIA STEWARDS: PENALTY SERVED - 5 SECOND TIME PENALTY FOR CAR 4 (NOR)",
            ],
            0,
            False,
        ),
        (["TURN 3 INCIDENT INVOLVING CAR 4 (NOR) UNDER INVESTIGATION"], 0, False),
        (["DRIVE THROUGH PENALTY FOR CAR 4 (NOR)"], 0, False),
        (["CAR 4 (NOR) WILL BE DISQUALIFIED"], 0, True),
        (["CAR 44 (HAM) DISQUALIFIED"], 0, False),
        (
            [
                "5 SECOND TIME PENALTY FOR CAR 4 (NOR)",
                "5 SECOND TIME PENALTY FOR CAR 4 (NOR) RESCINDED",
            ],
            0,
            False,
        ),
    ],
)
def test_what_race_control_says(texts: list[str], added: int, out: bool) -> None:
    found = rulings([message(text) for text in texts], {}, Report()).get(4)
    assert (found.added if found else 0) == added
    assert (found is not None and found.disqualified) == out
