"""GET /api/compare: laps of any sessions, and who may see them."""

from __future__ import annotations

import dataclasses

import pytest
from django.test import Client

from sessions_app.storing import store_result

from .small_race import CODES, small_race, store_small_race

URL = "/api/compare"


@pytest.fixture
def races(db: None) -> None:
    store_small_race()
    store_small_race("other", title="Another race", year=2024)
    store_small_race("hidden", access="private")


def test_laps_of_two_sessions(client: Client, races: None) -> None:
    answer = client.get(URL, {"laps": "small:AAA:2,other:CCC:2", "step": "10"})
    assert answer.status_code == 200
    body = answer.json()
    assert [(lap["session"], lap["entity"], lap["lap"]) for lap in body["laps"]] == [
        ("small", "AAA", 2), ("other", "CCC", 2),
    ]  # fmt: skip
    assert (body["laps"][1]["title"], body["laps"][1]["duration"]) == ("Another race", 20.4)
    assert body["axis"][1] == 10
    last = len(body["axis"]) - 1
    assert body["delta"][1][last] == pytest.approx(0.4, abs=0.02)
    assert {"speed", "x", "y", "gear", "time"} <= set(body["samples"])
    assert all(len(own) == last + 1 for each in body["samples"].values() for own in each)


def test_by_time(client: Client, races: None) -> None:
    body = client.get(URL, {"laps": "small:AAA:2,small:CCC:2", "by": "time"}).json()
    assert body["step"] == 0.1
    assert body["axis"][100] == 10
    assert body["delta"][1][100] == pytest.approx(10 / 20 * 1000 - 10 / 20.4 * 1000, abs=0.5)


def test_it_is_revalidated_until_a_session_changes(client: Client, races: None) -> None:
    query = {"laps": "small:AAA:2,other:AAA:2"}
    first = client.get(URL, query)
    assert "public" in first["Cache-Control"]
    same = client.get(URL, query, headers={"If-None-Match": first["ETag"]})
    assert same.status_code == 304
    longer = dataclasses.replace(small_race(), title="Imported again")
    store_result(longer, slug="other", replace=True)
    again = client.get(URL, query, headers={"If-None-Match": first["ETag"]})
    assert again.json()["laps"][1]["title"] == "Imported again"


def test_every_session_must_be_one_that_the_visitor_may_watch(
    client: Client, races: None, settings: object
) -> None:
    settings.API_TOKENS = ["boot"]  # type: ignore[attr-defined]
    query = {"laps": "small:AAA:2,hidden:AAA:2"}
    assert client.get(URL, query).status_code == 401
    allowed = client.get(URL, query, headers={"Authorization": "Bearer boot"})
    assert allowed.status_code == 200
    assert "private" in allowed["Cache-Control"]


@pytest.mark.parametrize(
    ("laps", "status", "reason"),
    [
        ("small:AAA:2", 422, "1 found; expected 2 to 8"),
        (",".join(f"small:{c}:{n}" for c in CODES for n in (1, 2, 3)), 422, "9 found"),
        ("small:AAA:2,small:AAA:2", 422, "one is there twice"),
        ("small:AAA,small:BBB:2", 422, "expected SLUG:ENTITY:LAP"),
        ("small:AAA:2,small:AAA:77", 404, "has no lap 77 of 'AAA'"),
        ("small:AAA:2,nowhere:AAA:1", 404, "There is no session 'nowhere'"),
        ("small:AAA:2,play:AAA:1", 422, "Session 'play' has no circuit"),
    ],
)
def test_what_cannot_be_compared_is_said(
    client: Client, races: None, laps: str, status: int, reason: str
) -> None:
    store_result(
        dataclasses.replace(small_race(), geometry=None, kind="play"), slug="play", access="public"
    )
    answer = client.get(URL, {"laps": laps})
    assert answer.status_code == status
    assert reason in answer.json()["message"]
