"""The list of sessions and what hangs below one: GET under /api/sessions."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app.importers.report import Done, Report
from sessions_app.models import Event, Session

from .small_race import CODES, FRAMES, store_small_race

pytestmark = pytest.mark.django_db


@pytest.fixture
def race() -> Session:
    return store_small_race()


def test_list_shows_a_stored_session(client: Client, race: Session) -> None:
    page = client.get("/api/sessions").json()
    assert (page["count"], page["page"], page["pages"]) == (1, 1, 1)
    item = page["items"][0]
    assert item["slug"] == "small"
    assert item["state"] == "ready"
    assert item["loading"] is False
    assert item["frame_count"] == FRAMES
    assert item["duration"] == pytest.approx(60.0)
    assert item["entity_count"] == len(CODES)
    assert item["start_time"] == "2025-03-16T04:00:00Z"


@pytest.mark.parametrize(
    ("query", "slugs"),
    [
        ("kind=race", ["race-a", "race-b"]),
        ("kind=play", ["play"]),
        ("year=2024", ["play"]),
        ("state=importing", ["race-b"]),
        ("text=alpha", ["race-a"]),
        ("text=PLAY", ["play"]),
        ("text=", ["play", "race-a", "race-b"]),
        ("kind=race&year=2024", []),
        ("kind=race&page_size=1&page=2", ["race-b"]),
        ("page=99", []),
    ],
)
def test_list_filters(client: Client, query: str, slugs: list[str]) -> None:
    Session.objects.create(slug="race-a", title="Alpha GP", kind="race", year=2025)
    Session.objects.create(
        slug="race-b", title="Beta GP", kind="race", year=2025, state="importing"
    )
    Session.objects.create(slug="play", title="Some play", kind="play", year=2024)
    found = client.get(f"/api/sessions?{query}").json()
    assert [s["slug"] for s in found["items"]] == slugs


def test_list_finds_an_entity_by_code_or_name(client: Client, race: Session) -> None:
    Session.objects.create(slug="other", title="Other")
    for text in ("bbb", "driver B"):
        found = client.get("/api/sessions", {"text": text}).json()
        assert [s["slug"] for s in found["items"]] == ["small"]
        assert found["items"][0]["entity_count"] == len(CODES)


def test_list_takes_two_queries_however_long(
    client: Client, race: Session, django_assert_num_queries
) -> None:
    for i in range(30):
        Session.objects.create(slug=f"s{i}", title=f"S {i}")
    with django_assert_num_queries(2):
        assert len(client.get("/api/sessions").json()["items"]) == 31


def test_session_has_schema_entities_and_links(client: Client, race: Session) -> None:
    detail = client.get("/api/sessions/small").json()
    assert [e["code"] for e in detail["entities"]] == list(CODES)
    assert detail["entities"][1] == {
        "index": 1,
        "code": "BBB",
        "name": "Driver BBB",
        "number": "2",
        "team": "Team",
        "colour": "#102030",
        "kind": "car",
        "attributes": {"i": 1},
    }
    assert detail["schema"]["entities"] == list(CODES)
    assert detail["schema"]["frame_rate"] == 25.0
    fields = {f["name"]: f for f in detail["schema"]["fields"]}
    assert fields["x"] == {
        "name": "x",
        "unit": "dm",
        "scale": 1.0,
        "kind": "cubic",
        "scope": "entity",
        "labels": [],
    }
    assert fields["tyre"]["labels"][0] == "soft"
    assert detail["metadata"] == {"total_laps": 3, "circuit": "Circle"}
    assert detail["links"]["segments"] == f"/api/sessions/small/{race.version}/segments"
    assert detail["job"] is None


def test_session_being_imported_has_progress_and_no_schema(client: Client) -> None:
    Session.objects.create(
        slug="coming", title="Coming", state="importing", progress=40, message="reading laps"
    )
    detail = client.get("/api/sessions/coming").json()
    assert detail["loading"] is True
    assert detail["progress"] == 40
    assert detail["message"] == "reading laps"
    assert detail["schema"] is None
    assert detail["links"]["recording"] is None


def test_session_takes_four_queries(
    client: Client, race: Session, django_assert_num_queries
) -> None:
    with django_assert_num_queries(4):  # session, entities, latest job, metadata
        client.get("/api/sessions/small")


def test_missing_recording_is_503_with_what_to_do(client: Client, race: Session) -> None:
    race.recording_path.unlink()
    response = client.get("/api/sessions/small/standings")
    assert response.status_code == 503
    assert response.json()["code"] == "recording_unavailable"
    assert "verify_recording small" in response.json()["message"]


def test_a_recording_that_was_damaged_and_put_right_is_read_anew(
    client: Client, race: Session
) -> None:
    good = race.recording_path.read_bytes()
    address = "/api/sessions/small/standings?frame="
    assert client.get(f"{address}3").status_code == 200
    race.recording_path.write_bytes(good[:1000])
    assert client.get(f"{address}4").status_code == 503
    race.recording_path.write_bytes(good)
    assert client.get(f"{address}4").json()["frame"] == 4


def test_geometry(client: Client, race: Session, django_assert_num_queries) -> None:
    with django_assert_num_queries(2):
        geometry = client.get("/api/sessions/small/geometry").json()
    assert geometry["unit"] == "dm"
    assert geometry["length"] == 1000.0
    assert geometry["rotation"] == 30.0
    assert len(geometry["centre_line"]) == 60
    assert geometry["inner_edge"] == []
    assert geometry["corners"] == [
        {"label": "1", "x": 1.0, "y": 2.0, "angle": 90, "fraction": 0.25}
    ]
    assert geometry["drs_zones"] == [[0.1, 0.2]]
    assert geometry["bounds"]["x_max"] == pytest.approx(-geometry["bounds"]["x_min"])


def test_session_without_geometry_is_404_in_its_own_words(client: Client) -> None:
    Session.objects.create(slug="bare", title="Bare")
    response = client.get("/api/sessions/bare/geometry")
    assert response.status_code == 404
    assert response.json() == {
        "code": "no_geometry",
        "message": "Session 'bare' has no geometry.",
    }


@pytest.mark.parametrize(
    ("query", "frames"),
    [
        ({}, [0, 250, 500, 1499]),
        ({"kind": "flag"}, [250]),
        ({"kind": "flag,pit"}, [250, 500]),
        ({"entity": "AAA"}, [500]),
        ({"from": 250, "to": 500}, [250]),
    ],
)
def test_events(client: Client, race: Session, query: dict, frames: list[int]) -> None:
    events = client.get("/api/sessions/small/events", query).json()["events"]
    assert [e["frame"] for e in events] == frames
    assert [e["time"] for e in events] == [frame / 25 for frame in frames]


def test_laps_and_stints(client: Client, race: Session, django_assert_num_queries) -> None:
    with django_assert_num_queries(3):
        everything = client.get("/api/sessions/small/laps").json()
    assert len(everything["laps"]) == 10
    assert [s["compound"] for s in everything["stints"]] == ["soft", "hard"]
    one = client.get("/api/sessions/small/laps", {"entity": "BBB"}).json()
    assert [lap["number"] for lap in one["laps"]] == [1, 2, 3]
    assert one["laps"][0]["sector3"] == pytest.approx(20.2 / 3)
    assert one["stints"] == []


def test_unknown_session_is_404(client: Client) -> None:
    response = client.get("/api/sessions/nowhere")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert "nowhere" in response.json()["message"]
    assert response["Cache-Control"] == "no-store"


class TestReport:
    """What an import left out, over REST and in the admin."""

    @pytest.fixture(autouse=True)
    def reported(self, race: Session) -> None:
        report = Report()
        report.read("laps", None, 12, [1.0, 44.0])
        report.leave_out(Done.VALUE, "a number", table="laps", column="x", row=3, found="'<b>'")
        race.report = report.as_dict()
        race.metadata["classification"] = {
            "source": "race_control",
            "order": [
                {
                    "entity": CODES[0],
                    "position": 1,
                    "road_position": 2,
                    "status": "finished",
                    "laps": 3,
                    "penalty_seconds": 0,
                    "penalties": [],
                }
            ],
        }
        race.save()

    def test_examples_are_for_staff(self, client: Client) -> None:
        told = client.get("/api/sessions/small/report").json()
        assert (told["rows_read"], told["values_left_out"]) == (12, 1)
        assert told["tables"][0]["entities"] == 2
        assert told["findings"][0]["count"] == 1
        assert told["findings"][0]["examples"] == []
        client.force_login(User.objects.create_user("boss", is_staff=True))
        told = client.get("/api/sessions/small/report").json()
        assert told["findings"][0]["examples"] == [{"file": "", "row": 3, "found": "'<b>'"}]

    def test_a_session_without_an_import_has_none(self, client: Client) -> None:
        Session.objects.create(slug="empty", title="Empty")
        answer = client.get("/api/sessions/empty/report")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_report")
        assert client.get("/api/sessions/empty/classification").json() == {
            "source": "",
            "order": [],
        }

    def test_the_classification_names_the_place_on_the_road(self, client: Client) -> None:
        told = client.get("/api/sessions/small/classification").json()
        assert told["source"] == "race_control"
        assert (told["order"][0]["position"], told["order"][0]["road_position"]) == (1, 2)

    def test_the_admin_shows_it(self, client: Client) -> None:
        client.force_login(User.objects.create_superuser("admin"))
        pk = Session.objects.get(slug="small").pk
        page = client.get(f"/admin/sessions_app/session/{pk}/change/").content.decode()
        assert "laps x: 1 × value left out, expected a number" in page
        assert "&lt;b&gt;" in page
        assert "<b>" not in page


class TestAccess:
    """Sessions that are not public."""

    @pytest.fixture(autouse=True)
    def sessions(self) -> None:
        for access in ("public", "login", "private"):
            Session.objects.create(slug=access, title=access, access=access)

    @pytest.mark.parametrize(
        ("who", "seen", "statuses"),
        [
            ("anonymous", ["public"], [200, 401, 401]),
            ("user", ["login", "public"], [200, 200, 403]),
            ("staff", ["login", "private", "public"], [200, 200, 200]),
            ("token", ["login", "private", "public"], [200, 200, 200]),
        ],
    )
    def test_who_sees_what(
        self, client: Client, settings, who: str, seen: list[str], statuses: list[int]
    ) -> None:
        settings.API_TOKENS = ["first", "second"]
        headers = {"Authorization": "Bearer second"} if who == "token" else {}
        if who in ("user", "staff"):
            client.force_login(User.objects.create_user(who, is_staff=who == "staff"))
        items = client.get("/api/sessions", headers=headers).json()["items"]
        assert [s["slug"] for s in items] == seen
        answers = [
            client.get(f"/api/sessions/{slug}", headers=headers)
            for slug in ("public", "login", "private")
        ]
        assert [a.status_code for a in answers] == statuses
        for answer in answers:
            if answer.status_code == 200:
                continue
            assert set(answer.json()) == {"code", "message"}

    def test_wrong_token_is_told(self, client: Client, settings) -> None:
        settings.API_TOKENS = ["right"]
        response = client.get("/api/sessions", headers={"Authorization": "Bearer wrong"})
        assert response.status_code == 401
        assert response.json()["code"] == "unknown_token"

    def test_no_token_configured_lets_no_empty_token_in(self, client: Client, settings) -> None:
        for tokens in ([], [""]):
            settings.API_TOKENS = tokens
            response = client.get("/api/sessions/private", headers={"Authorization": "Bearer "})
            assert response.status_code == 401

    def test_not_public_is_not_for_shared_caches(self, client: Client) -> None:
        client.force_login(User.objects.create_user("someone"))
        response = client.get("/api/sessions/login")
        assert response["Cache-Control"] == "private, no-cache"
        assert "Cookie" in response["Vary"]
        assert client.get("/api/sessions/public")["Cache-Control"] == "public, no-cache"


def test_events_of_another_session_are_not_shown(client: Client, race: Session) -> None:
    other = Session.objects.create(slug="other", title="Other")
    Event.objects.create(session=other, frame=1, kind="flag")
    assert len(client.get("/api/sessions/small/events").json()["events"]) == 4
