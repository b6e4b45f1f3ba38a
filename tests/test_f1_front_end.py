"""What the front end of the F1 replay app asks for and reads, as its own code does."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from django.test import Client

from sessions_app.f1_front_end import Named, named_by, plain_row, team_id
from sessions_app.models import Session
from sessions_app.racing import CarStatus
from streaming.connections.dialects.plain_metadata import read_plain_metadata
from streaming.playback.command_parser import parse_command
from streaming.playback.commands import CommandError, Seek
from streaming.store.rows import encode_rows

from .samples import small_race
from .small_race import store_small_race

LAP = {"year": 2024, "round_num": 8, "session_type": "R"}


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/{path}", body, content_type="application/json")


class TestSessionId:
    """Every answer to a request by year, round and type has it, also a refusal."""

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("body", "status", "session_id"),
        [
            (LAP, 401, "2024_8_R"),
            ({**LAP, "refresh": True}, 401, "2024_8_R"),
            ({**LAP, "session_type": "Z"}, 422, "2024_8_Z"),
            ({"year": 2024, "round_num": 8}, 401, "2024_8_R"),
        ],
    )
    def test_of_a_refusal(
        self, client: Client, body: dict[str, Any], status: int, session_id: str
    ) -> None:
        answer = post(client, "sessions", **body)
        assert (answer.status_code, answer.json()["session_id"]) == (status, session_id)

    @pytest.mark.django_db
    def test_not_of_other_requests(self, client: Client) -> None:
        for body in ({"source": "one"}, {"year": 2024}, {**LAP, "year": [1]}):
            assert "session_id" not in post(client, "sessions", **body).json()


@pytest.mark.django_db
class TestLaps:
    def test_telemetry(self, client: Client) -> None:
        store_small_race("2024_8_R")
        answer = post(
            client, "telemetry/laps", **LAP, driver_codes=["AAA", "BBB", "AAA"],
            lap_numbers=[1, 1, 99],
        ).json()  # fmt: skip
        assert [(lap["driver_code"], lap["lap_number"]) for lap in answer["laps"]] == [
            ("AAA", 1),
            ("BBB", 1),
        ]
        points = answer["laps"][0]["telemetry"]
        assert set(points[0]) == {
            "distance", "speed", "throttle", "brake", "rpm", "gear", "x", "y",
        }  # fmt: skip
        assert [p["distance"] for p in points] == sorted(p["distance"] for p in points)
        whole = client.get("/api/sessions/2024_8_R/laps/AAA/1/telemetry").json()
        assert [p["x"] for p in points] == whole["channels"]["x"]
        assert answer["laps"][0]["lap_time"] == whole["duration"]

    def test_sectors(self, client: Client) -> None:
        store_small_race("2024_8_R")
        answer = post(
            client, "telemetry/sectors", **LAP, driver_codes=["BBB", "XXX"], lap_numbers=[1, 1]
        ).json()
        rows = client.get("/api/sessions/2024_8_R/laps?entity=BBB").json()["laps"]
        first = next(row for row in rows if row["number"] == 1)
        assert answer["sectors"] == [
            {
                "driver_code": "BBB",
                "lap_number": 1,
                **{f"sector_{i}": first[f"sector{i}"] for i in (1, 2, 3)},
                "lap_time": first["duration"],
            }
        ]

    def test_lists_that_do_not_fit(self, client: Client) -> None:
        answer = post(client, "telemetry/laps", **LAP, driver_codes=["AAA"], lap_numbers=[1, 2])
        assert answer.status_code == 422
        assert "expected as many of both" in answer.json()["message"]


@pytest.mark.django_db
def test_its_cache_is_cleared_without_a_right_and_without_an_effect(client: Client) -> None:
    answer = client.delete("/api/sessions/cache")
    assert (answer.status_code, answer.json()) == (200, {"cleared": 0})
    store_small_race("cache")
    assert client.delete("/api/sessions/cache").status_code == 401


@pytest.mark.django_db
def test_year_round_and_type_are_understood_from_the_slug() -> None:
    store_small_race("2024_8_SQ")
    Session.objects.update(year=None, round=None)
    about = read_plain_metadata("2024_8_SQ", "")
    assert (about["year"], about["round"], about["session_type"]) == (2024, 8, "SQ")


@pytest.mark.parametrize(
    ("slug", "named"),
    [
        ("2024_8_R", Named(2024, 8, "R")),
        ("2025_14_FP3", Named(2025, 14, "FP3")),
        ("2024_8_X", None),
        ("austria-2024", None),
        ("2024_8_R-2", None),
    ],
)
def test_slugs(slug: str, named: Named | None) -> None:
    assert named_by(slug) == named


@pytest.mark.django_db
def test_a_qualifying_has_each_drivers_laps_of_its_parts() -> None:
    store_small_race("q")
    assert "quali_results" not in read_plain_metadata("q", "")
    best = {"lap": 5, "time": 64.1, "sectors": [20.0, 22.1, None], "start_frame": 1, "end_frame": 9}
    results = [
        {"entity": "BBB", "position": 1, "laps": {"Q1": best, "Q2": best}, "eliminated_in": None},
        {"entity": "AAA", "position": 2, "laps": {}, "eliminated_in": "Q1"},
    ]
    parts = [{"number": i, "name": f"Q{i}"} for i in (1, 2)]
    Session.objects.update(metadata={"session_parts": parts, "results": results})
    about = read_plain_metadata("q", "")
    first, last = about["quali_results"]
    assert (first["code"], first["position"], first["Q1"], first["Q2"]) == ("BBB", 1, 64.1, 64.1)
    assert first["color"] == about["driver_colors"]["BBB"]
    assert (last["code"], last["Q1"], last["Q2"]) == ("AAA", None, None)
    assert about["quali_segments"]["AAA"] == {}
    assert about["quali_segments"]["BBB"]["Q2"] == {
        "lap_number": 5,
        "lap_time": 64.1,
        "sector_1": 20.0,
        "sector_2": 22.1,
        "sector_3": None,
        "start_frame": 1,
        "end_frame": 9,
    }


def test_teams_have_fastf1s_ids() -> None:
    names = ("Red Bull Racing", "Aston Martin", "Haas F1 Team", "Kick Sauber", "RB", "Team 7", "")
    assert [team_id(name) for name in names] == [
        "red_bull", "aston_martin", "haas", "sauber", "rb", "team_7", "",
    ]  # fmt: skip


def test_retired_cars_are_named_as_there() -> None:
    columns = small_race(0.2, cars=3).columns
    columns.values["status"][:, 1] = CarStatus.RETIRED
    for row in encode_rows(columns, 0, recorded=columns.schema):
        before, plain = (msgpack.unpackb(data)["drivers"] for data in (row, plain_row(row)))
        assert [car["status"] for car in plain.values()] == ["track", "Retired", "track"]
        before["C01"]["status"] = "Retired"
        assert plain == before


@pytest.mark.parametrize("text", ['{"frame": -5}', '{"time": -0.5}'])
def test_a_seek_to_before_the_start_means_the_start(text: str) -> None:
    text = text.replace("{", '{"action": "seek", ')
    command = parse_command(text, clamp_seek=True)
    assert isinstance(command, Seek)
    assert (command.frame or 0, command.time or 0) == (0, 0)
    with pytest.raises(CommandError):
        parse_command(text)
