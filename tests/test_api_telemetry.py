"""Standings at a frame, and one lap over distance."""

from __future__ import annotations

import numpy as np
import pytest
from django.test import Client

from sessions_app.lap_telemetry import NoDistance, lap_telemetry
from sessions_app.models import Session
from sessions_app.recording import Columns, Field, FieldKind, Schema

from .small_race import LAP_METRES, lap_seconds, store_small_race


@pytest.fixture
def race(db: None) -> Session:
    return store_small_race()


def test_standings_at_a_frame(client: Client, race: Session) -> None:
    answer = client.get("/api/sessions/small/standings", {"frame": 1000}).json()
    assert (answer["frame"], answer["time"]) == (1000, 40.0)
    rows = answer["standings"]
    assert [(r["position"], r["entity"]) for r in rows] == [(1, "AAA"), (2, "BBB"), (3, "CCC")]
    # After 40 s car i has driven 2 / (1 + i / 100) laps.
    assert [r["progress"] for r in rows] == [2.0, pytest.approx(1.9802), pytest.approx(1.9608)]
    assert [r["gap_to_leader"] for r in rows] == [0.0, 0.4, 0.8]
    assert [r["lap"] for r in rows] == [3, 2, 2]
    assert [r["tyre"] for r in rows] == ["soft", "medium", "hard"]
    assert rows[0]["status"] == "track"
    assert rows[0]["last_lap_time"] is None


def test_standings_default_to_the_end(client: Client, race: Session) -> None:
    assert client.get("/api/sessions/small/standings").json()["frame"] == race.frame_count - 1


def test_standings_beyond_the_end_are_404(client: Client, race: Session) -> None:
    response = client.get("/api/sessions/small/standings", {"frame": race.frame_count})
    assert response.status_code == 404
    assert "0 to 1499" in response.json()["message"]


@pytest.mark.parametrize(("car", "code"), [(0, "AAA"), (1, "BBB")])
def test_lap_over_distance(client: Client, race: Session, car: int, code: str) -> None:
    lap = client.get(f"/api/sessions/small/laps/{code}/2/telemetry", {"step": 10}).json()
    assert lap["measured_by"] == "progress"
    assert lap["distance"][:3] == [0, 10, 20]
    assert lap["distance"][-1] == pytest.approx(LAP_METRES, abs=10)
    assert {len(v) for v in lap["channels"].values()} == {len(lap["distance"])}
    metres_a_second = LAP_METRES / lap_seconds(car)
    for metres, seconds in zip(lap["distance"], lap["time"], strict=True):
        # The recording's progress has a step of 0.1 m, its frames one of 2 m.
        assert seconds == pytest.approx(metres / metres_a_second, abs=0.04)
    speed = lap["channels"]["speed"]
    assert set(speed) == {round(metres_a_second * 3.6)}
    assert lap["channels"]["throttle"][50] == pytest.approx(50, abs=1)
    # Gears are held: never between two.
    assert set(lap["channels"]["gear"]) <= set(range(1, 10))
    assert lap["units"]["speed"] == "km/h"
    assert lap["duration"] == lap_seconds(car)
    assert lap["sectors"][2] == pytest.approx(lap_seconds(car) / 3)


def test_a_source_whose_lap_clock_is_late_loses_nothing(client: Client, race: Session) -> None:
    """The lap is what lies between two crossings of the line, wherever the source puts its ends."""
    exact = client.get("/api/sessions/small/laps/BBB/2/telemetry").json()
    late = race.laps.get(entity__code="BBB", number=2)
    assert late.start_frame is not None
    assert late.end_frame is not None
    late.start_frame += 12
    late.end_frame += 12
    late.save()
    race.save()
    shifted = client.get("/api/sessions/small/laps/BBB/2/telemetry").json()
    assert shifted["distance"] == exact["distance"]
    assert shifted["distance"][0] == 0
    assert shifted["time"] == exact["time"]
    assert shifted["channels"] == exact["channels"]


def test_two_laps_share_their_distances(client: Client, race: Session) -> None:
    first, second = (
        client.get(f"/api/sessions/small/laps/{code}/2/telemetry").json() for code in ("AAA", "BBB")
    )
    common = min(len(first["distance"]), len(second["distance"]))
    assert first["distance"][:common] == second["distance"][:common]
    delta = second["time"][common - 1] - first["time"][common - 1]
    assert delta == pytest.approx(lap_seconds(1) - lap_seconds(0), abs=0.05)


def test_chosen_fields_only(client: Client, race: Session) -> None:
    lap = client.get("/api/sessions/small/laps/AAA/1/telemetry?fields=speed,%20gear").json()
    assert list(lap["channels"]) == ["speed", "gear"]


def test_unknown_field_is_422_that_names_the_known(client: Client, race: Session) -> None:
    response = client.get("/api/sessions/small/laps/AAA/1/telemetry?fields=spede")
    assert response.status_code == 422
    assert "'spede'" in response.json()["message"]
    assert "speed" in response.json()["message"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("AAA/77", "not_found"), ("ZZZ/1", "not_found"), ("CCC/9", "no_telemetry")],
)
def test_no_such_lap(client: Client, race: Session, path: str, code: str) -> None:
    response = client.get(f"/api/sessions/small/laps/{path}/telemetry")
    assert response.status_code == 404
    assert response.json()["code"] == code


def test_missing_samples_are_null(client: Client, race: Session) -> None:
    lap = client.get("/api/sessions/small/laps/CCC/3/telemetry?fields=x,speed").json()
    assert lap["channels"]["x"][-1] is None
    assert lap["channels"]["x"][0] is not None
    assert None not in lap["channels"]["speed"]


class TestWithoutProgress:
    """Recordings that are no races, in pure numpy."""

    @staticmethod
    def columns(**values: list[float]) -> Columns:
        units = {"speed": "m/s", "x": "yd", "y": "yd", "heading": "°"}
        kinds = {"heading": FieldKind.ANGLE}
        schema = Schema(
            tuple(Field(n, units[n], 0.01, kinds.get(n, FieldKind.LINEAR)) for n in values),
            ("A",),
            10.0,
            10,
        )
        return Columns.from_quantities(schema, {n: np.array(v) for n, v in values.items()})

    def test_distance_from_speed(self) -> None:
        lap = lap_telemetry(
            self.columns(speed=[10.0] * 21), length=None, step=5, channels=["speed"]
        )
        assert lap.measured_by == "speed"
        assert lap.distance.tolist() == [0, 5, 10, 15, 20]
        assert lap.time == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])

    def test_distance_from_the_path_in_metres(self) -> None:
        lap = lap_telemetry(
            self.columns(x=[0.0, 3, 6, 9], y=[0.0, 4, 8, 12]), length=None, step=1, channels=[]
        )
        assert lap.measured_by == "path"
        assert lap.length == pytest.approx(15 * 0.9144)

    def test_angles_go_the_short_way_round(self) -> None:
        lap = lap_telemetry(
            self.columns(speed=[10.0] * 3, heading=[350.0, 350, 10]),
            length=None,
            step=0.5,
            channels=["heading"],
        )
        # Half way from 350° to 10° is 0°, not 180°.
        assert (lap.channels["heading"][-2] + 180) % 360 == pytest.approx(180, abs=0.1)

    def test_standing_still_is_not_a_lap(self) -> None:
        with pytest.raises(NoDistance, match="moved less than 5 m"):
            lap_telemetry(self.columns(speed=[0.0] * 9), length=None, step=5, channels=[])

    def test_nothing_to_measure_by(self) -> None:
        nan = float("nan")
        with pytest.raises(NoDistance, match="neither progress nor speed"):
            lap_telemetry(self.columns(x=[nan] * 3, y=[nan] * 3), length=None, step=5, channels=[])
