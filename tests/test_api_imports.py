"""POST /api/sessions: who may import what, and what they are told."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_tasks_db.models import DBTaskResult

from sessions_app.jobs import FAILED, run
from sessions_app.models import ImportJob, Session
from sessions_app.sources import Source, UnknownSource, find_source

from .small_race import store_small_race

pytestmark = pytest.mark.django_db
TOKEN = {"Authorization": "Bearer secret"}


def queued() -> list[int]:
    """Jobs that wait for the import worker. Their running is tested in test_import_jobs."""
    return [task.args_kwargs["args"][0] for task in DBTaskResult.objects.order_by("enqueued_at")]


@pytest.fixture
def folder(tmp_path: Path, settings) -> Path:
    """A folder of sources that the operator has named "races"."""
    settings.API_TOKENS = ["secret"]
    settings.IMPORT_SOURCES = {"races": str(tmp_path / "races"), "one": str(tmp_path / "one")}
    (tmp_path / "races" / "austria").mkdir(parents=True)
    (tmp_path / "races" / "austria" / "geometry.json").write_text("{}")
    (tmp_path / "races" / "plays").mkdir()
    (tmp_path / "races" / "plays" / "mapping.yaml").write_text("")
    (tmp_path / "races" / "plays" / "data.tsv.gz").write_bytes(b"")
    (tmp_path / "races" / ".hidden").mkdir()
    (tmp_path / "races" / "loose.csv").write_text("")
    (tmp_path / "races" / "loose.mapping.json").write_text("{}")
    (tmp_path / "secret").mkdir()
    (tmp_path / "races" / "way-out").symlink_to(tmp_path / "secret")
    (tmp_path / "one").mkdir()
    return tmp_path


def post(client: Client, body: object, **headers: str):
    return client.post(
        "/api/sessions", body, content_type="application/json", headers=headers or None
    )


def test_import_begins_at_once(client: Client, folder: Path) -> None:
    response = post(client, {"source": "races/austria"}, **TOKEN)
    assert response.status_code == 202
    job = ImportJob.objects.get()
    assert response.json() == {
        "session_id": "races-austria",
        "state": "pending",
        "loading": True,
        "job_id": job.pk,
    }
    assert queued() == [job.pk]
    assert job.importer == "openf1"
    assert job.source == str(folder / "races" / "austria")
    assert job.options == {"geometry": str(folder / "races" / "austria" / "geometry.json")}
    detail = client.get("/api/sessions/races-austria", headers=TOKEN).json()
    assert detail["loading"] is True
    assert detail["job"]["state"] == "queued"


def test_the_slug_can_be_chosen(client: Client, folder: Path) -> None:
    response = post(client, {"source": "races/austria", "slug": "austria-2024"}, **TOKEN)
    assert response.json()["session_id"] == "austria-2024"
    assert post(client, {"source": "one", "slug": "no/slug"}, **TOKEN).status_code == 422


def test_the_format_and_strictness_can_be_chosen(client: Client, folder: Path) -> None:
    post(client, {"source": "races/austria", "format": "gpx", "strict": True}, **TOKEN)
    job = ImportJob.objects.get()
    assert job.importer == "gpx"
    assert job.options["strict"] is True
    assert post(client, {"source": "one", "format": "No/pe"}, **TOKEN).status_code == 422


def test_asking_twice_starts_once(client: Client, folder: Path) -> None:
    first = post(client, {"source": "one", "refresh": True}, **TOKEN).json()
    second = post(client, {"source": "one", "refresh": True}, **TOKEN).json()
    assert first == second
    assert len(queued()) == 1


class TestAccess:
    """Who may watch what is imported: staff, unless the request says otherwise."""

    def test_a_new_session_is_for_staff(self, client: Client, folder: Path) -> None:
        post(client, {"source": "one"}, **TOKEN)
        assert Session.objects.get().access == "private"
        assert client.get("/api/sessions/one").status_code == 401

    def test_the_request_may_say_otherwise(self, client: Client, folder: Path) -> None:
        post(client, {"source": "one", "access": "public"}, **TOKEN)
        assert client.get("/api/sessions/one").json()["access"] == "public"
        assert post(client, {"source": "one", "access": "all"}, **TOKEN).status_code == 422

    @pytest.mark.parametrize("access", ["public", "login", "private"])
    def test_a_session_that_is_there_keeps_its_own(
        self, client: Client, folder: Path, access: str
    ) -> None:
        store_small_race("one", access=access)
        assert post(client, {"source": "one", "refresh": True}, **TOKEN).status_code == 202
        assert Session.objects.get().access == access

    def test_a_new_import_may_change_it(self, client: Client, folder: Path) -> None:
        store_small_race("one", access="public")
        post(client, {"source": "one", "refresh": True, "access": "login"}, **TOKEN)
        assert Session.objects.get().access == "login"


class TestReason:
    """Why an import failed may show paths of the machine and values of the source."""

    def failed(self, client: Client) -> None:
        post(client, {"source": "one", "access": "public"}, **TOKEN)
        job = ImportJob.objects.get()
        assert not run(job, lambda _: (_ for _ in ()).throw(OSError("/srv/data/x.csv: 'secret'")))

    def test_readers_are_not_told(self, client: Client, folder: Path) -> None:
        self.failed(client)
        for path in ("/api/sessions", "/api/sessions/one"):
            answer = client.get(path)
            assert FAILED in answer.text
            assert "/srv" not in answer.text
            assert "secret" not in answer.text

    def test_staff_are_told(self, client: Client, folder: Path) -> None:
        self.failed(client)
        before = client.get("/api/sessions/one")
        answer = client.get("/api/sessions/one", headers=TOKEN)
        assert answer.json()["job"]["error"] == "/srv/data/x.csv: 'secret'"
        assert "private" in answer["Cache-Control"]
        assert answer["ETag"] != before["ETag"]


class TestExisting:
    def test_is_returned_without_any_right(self, client: Client) -> None:
        store_small_race("2025_1_R")
        response = post(client, {"year": 2025, "round_num": 1, "session_type": "R"})
        assert response.status_code == 200
        assert response.json() == {
            "session_id": "2025_1_R",
            "state": "ready",
            "loading": False,
            "job_id": None,
        }
        assert queued() == []

    def test_is_not_shown_to_who_may_not_see_it(self, client: Client) -> None:
        store_small_race("2025_1_R", access="private")
        response = post(client, {"year": 2025, "round_num": 1, "session_type": "R"})
        assert response.status_code == 401

    def test_refresh_needs_a_right(self, client: Client, folder: Path) -> None:
        store_small_race("one")
        assert post(client, {"source": "one", "refresh": True}).status_code == 401
        assert queued() == []
        response = post(client, {"source": "one", "refresh": True}, **TOKEN)
        assert response.status_code == 202
        # Whoever watches it goes on watching until the new recording is there.
        assert response.json()["state"] == "ready"
        assert len(queued()) == 1

    def test_failed_is_tried_again_by_who_may(self, client: Client, folder: Path) -> None:
        Session.objects.create(slug="one", title="One", state="failed", message="disk full")
        assert post(client, {"source": "one"}).json()["state"] == "failed"
        assert queued() == []
        assert post(client, {"source": "one"}, **TOKEN).json()["state"] == "pending"
        assert len(queued()) == 1


class TestRights:
    def test_anonymous_is_401(self, client: Client, folder: Path) -> None:
        response = post(client, {"source": "one"})
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"

    def test_users_are_403(self, client: Client, folder: Path) -> None:
        client.force_login(User.objects.create_user("someone"))
        assert post(client, {"source": "one"}).status_code == 403

    def test_wrong_token_is_401(self, client: Client, folder: Path) -> None:
        response = post(client, {"source": "one"}, Authorization="Bearer secre")
        assert (response.status_code, response.json()["code"]) == (401, "unknown_token")

    def test_staff_by_cookie_must_mean_it(self, folder: Path) -> None:
        """A page elsewhere must not make a logged-in operator's browser import things."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_user("boss", is_staff=True))
        response = post(client, {"source": "one"})
        assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
        assert queued() == []
        client.cookies["csrftoken"] = token = "t" * 32
        assert post(client, {"source": "one"}, **{"X-CSRFToken": token}).status_code == 202
        assert len(queued()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"source": ""},
        {"source": 5},
        {"source": "one", "more": 1},
        {"year": 2025},
        {"year": "x", "round_num": 1},
        {"year": 2025, "round_num": 0, "session_type": "R"},
        {"year": 2025, "round_num": 1, "session_type": "Z"},
    ],
)
def test_bodies_that_are_not_understood(client: Client, folder: Path, body: object) -> None:
    response = post(client, body, **TOKEN)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert queued() == []


def test_not_json_is_400(client: Client, db: None) -> None:
    response = client.post("/api/sessions", "{", content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "races/nothing",
        "races/../secret",
        "races/../../etc",
        "races//etc/passwd",
        "races/way-out",
        "races/.hidden",
        "/etc/passwd",
        "races/a\x00b",
    ],
)
def test_no_way_out_of_the_named_folders(client: Client, folder: Path, name: str) -> None:
    response = post(client, {"source": name}, **TOKEN)
    assert (response.status_code, response.json()["code"]) == (422, "unknown_source")
    assert str(folder) not in response.json()["message"]
    assert not Session.objects.exists()


def test_fastf1_missing_says_what_to_do(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    body = {"year": 2025, "round_num": 2, "session_type": "R"}
    response = post(client, body, **TOKEN)
    assert (response.status_code, response.json()["code"]) == (501, "importer_missing")
    assert "pip install fastf1" in response.json()["message"]
    assert post(client, body).status_code == 401
    assert not Session.objects.exists()


def test_kinds_of_source(folder: Path) -> None:
    named = {"races": str(folder / "races"), "file": str(folder / "races" / "loose.csv")}
    races = folder / "races"
    mapping = {"mapping": str(races / "loose.mapping.json")}
    assert find_source("races/loose.csv", named) == Source(
        "races/loose.csv", races / "loose.csv", "table", mapping
    )
    assert find_source("file", named) == Source("file", races / "loose.csv", "table", mapping)
    plays = find_source("races/plays", named)
    assert (plays.importer, plays.path.name) == ("table", "data.tsv.gz")
    assert plays.options == {"mapping": str(races / "plays" / "mapping.yaml")}
    assert find_source("races/austria", named).importer == "openf1"
    (races / "boats").mkdir()
    (races / "boat.gpx").touch()
    for entry in ("boats", "boat.gpx"):
        # Recognised when it is imported, by a process that can read it.
        assert find_source(f"races/{entry}", named).importer == ""
    assert find_source("races/austria", named).slug == "races-austria"


def test_links_and_pipes_are_no_sources(folder: Path) -> None:
    races = folder / "races"
    named = {"races": str(races)}
    (races / "link.csv").symlink_to(races / "loose.csv")
    (races / "again").symlink_to(races / "austria")
    os.mkfifo(races / "pipe.csv")
    for entry in ("link.csv", "again", "again/geometry.json"):
        with pytest.raises(UnknownSource, match="has no entry"):
            find_source(f"races/{entry}", named)
    # A mapping or an outline that is a link counts as not there; a pipe is no table.
    (races / "linked").mkdir()
    (races / "linked" / "mapping.yaml").symlink_to(races / "plays" / "mapping.yaml")
    (races / "linked" / "geometry.json").symlink_to(races / "austria" / "geometry.json")
    assert find_source("races/linked", named).options == {}
    assert find_source("races/pipe.csv", named).importer == ""


def test_a_name_that_no_file_can_have_is_unknown(folder: Path) -> None:
    for name in ("races/" + "é" * 190, "races/a\ud800", "races/" + "a/" * 90):
        with pytest.raises(UnknownSource, match="has no entry"):
            find_source(name, {"races": str(folder / "races")})


def test_unknown_source_lists_the_known(folder: Path) -> None:
    with pytest.raises(UnknownSource, match="there is: a, b"):
        find_source("c", {"b": "/b", "a": "/a"})
