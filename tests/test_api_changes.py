"""A session is changed and deleted over REST, and its import stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from sessions_app.importers.result import ImportResult
from sessions_app.jobs import CANCELLED, Progress, cancel, enqueue, run
from sessions_app.locks import SessionLock
from sessions_app.models import ImportJob, Session

from .small_race import small_race, store_small_race
from .test_import_jobs import seconds

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, settings) -> Path:
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return settings.RECORDINGS_DIR


@pytest.fixture
def owner(client: Client) -> User:
    """Who owns the race, and asks."""
    user = User.objects.create_user("owner")
    store_small_race("race", access="private")
    Session.objects.update(owner=user)
    client.force_login(user)
    return user


def patch(client: Client, **body: Any) -> Any:
    return client.patch("/api/sessions/race", body, content_type="application/json")


class TestChange:
    def test_title_and_access(self, client: Client, owner: User) -> None:
        answer = patch(client, title="  Our  race ", access="unlisted")
        assert answer.json() == {
            "slug": "race",
            "title": "Our race",
            "access": "unlisted",
            "owner": "owner",
            "groups": [],
        }
        assert client.get("/api/sessions/race").json()["title"] == "Our race"

    def test_what_is_left_out_stays(self, client: Client, owner: User) -> None:
        before = patch(client).json()
        assert patch(client, access="login").json() == {**before, "access": "login"}

    def test_owner_and_groups_are_for_staff(self, client: Client, owner: User) -> None:
        Group.objects.create(name="club")
        assert patch(client, owner="").status_code == 403
        assert patch(client, groups=["club"]).status_code == 403
        User.objects.create_user("boss", is_staff=True)
        client.force_login(User.objects.get(username="boss"))
        answer = patch(client, owner="boss", groups=["club"]).json()
        assert (answer["owner"], answer["groups"]) == ("boss", ["club"])

    @pytest.mark.parametrize(
        "body",
        [{"title": " "}, {"access": "all"}, {"owner": "x"}, {"groups": ["x"]}, {"slug": "a"}],
    )
    def test_what_is_not_right_changes_nothing(
        self, client: Client, owner: User, body: dict[str, Any]
    ) -> None:
        User.objects.update(is_staff=True)
        before = patch(client).json()
        assert patch(client, **{"access": "public", **body}).status_code == 422
        assert patch(client).json() == before


class TestDelete:
    def test_recording_and_rows_go(self, client: Client, owner: User, recordings: Path) -> None:
        assert len(list(recordings.iterdir())) == 1
        assert client.delete("/api/sessions/race").status_code == 204
        assert client.get("/api/sessions/race").status_code == 404
        assert list(recordings.iterdir()) == []

    def test_while_an_import_holds_it(self, client: Client, owner: User, recordings: Path) -> None:
        with SessionLock("race"):
            assert client.delete("/api/sessions/race").status_code == 204
        assert list(recordings.iterdir()) == []

    def test_only_by_who_may(self, client: Client, owner: User, recordings: Path) -> None:
        client.force_login(User.objects.create_user("other"))
        assert client.delete("/api/sessions/race").status_code == 403
        assert len(list(recordings.iterdir())) == 1


class TestCancel:
    def job(self) -> ImportJob:
        return enqueue("race", title="T", importer="table", source="/nowhere", options={})[0]

    def test_a_running_import_stops_with_its_next_report(self, recordings: Path) -> None:
        job = self.job()

        def read(progress: Progress) -> ImportResult:
            progress(0.1, "reading")
            assert cancel(job.session)
            progress(0.2, "reading")
            raise AssertionError("read on")

        assert not run(job, read, clock=seconds())
        job.refresh_from_db()
        assert (job.state, job.error) == ("failed", CANCELLED)
        assert (job.session.state, job.session.message) == ("failed", CANCELLED)
        assert list(recordings.iterdir()) == []

    def test_at_the_last_moment_nothing_is_stored(self, recordings: Path) -> None:
        old = store_small_race("race")
        job = self.job()

        def read(_progress: Progress) -> ImportResult:
            cancel(job.session)
            return small_race()

        # The clock stands still: no report is written that would stop it earlier.
        assert not run(job, read, clock=lambda: 7.0)
        session = Session.objects.get(slug="race")
        assert (session.state, session.version) == ("ready", old.version)
        assert session.message == CANCELLED
        assert [p.name for p in recordings.iterdir()] == [session.recording]

    def test_one_that_is_tried_again_meanwhile_is_left_alone(self) -> None:
        job = self.job()

        def read(progress: Progress) -> ImportResult:
            cancel(job.session)
            self.job()
            progress(0.2, "reading")
            raise AssertionError("read on")

        assert not run(job, read, clock=seconds())
        assert Session.objects.get(slug="race").state == "pending"
