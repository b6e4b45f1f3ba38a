"""POST /api/uploads and what is imported from there; nothing is left of what was refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sessions_app import uploads
from sessions_app.jobs import CANCELLED
from sessions_app.models import ImportJob, Session

from .test_import_over_rest import MAPPING

pytestmark = pytest.mark.django_db
TOKEN = {"Authorization": "Bearer secret"}
TABLE = "\n".join(
    ["t,who,x,y", *(f"{i / 10},{who},{i},{i * 2}" for who in ("a", "b") for i in range(50))]
).encode()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> Path:
    """Where uploads go; tasks are run as soon as they are queued."""
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
    settings.API_TOKENS = ["secret"]
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return settings.UPLOADS_DIR


def zipped(files: dict[str, bytes], name: str = "play.zip") -> SimpleUploadedFile:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, content in files.items():
            archive.writestr(inner, content)
    return SimpleUploadedFile(name, packed.getvalue())


def play() -> SimpleUploadedFile:
    return zipped({"my play/play.csv": TABLE, "my play/mapping.yaml": MAPPING.encode()})


def body_of(files: dict[str, bytes]) -> dict[str, Any]:
    """A multipart body whose filenames have folders, as browsers send them."""
    parts = [
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n'
        % (name.encode(), content)
        for name, content in files.items()
    ]
    return {
        "data": b"".join(parts) + b"--XX--\r\n",
        "content_type": "multipart/form-data; boundary=XX",
    }


def send(client: Client, *files: SimpleUploadedFile) -> dict[str, Any]:
    answer = client.post("/api/uploads", {"file": files}, headers=TOKEN)
    assert answer.status_code == 201, answer.content
    return answer.json()


def start(client: Client, upload: str, **more: Any) -> Any:
    return client.post(
        "/api/sessions",
        {"upload": upload, **more},
        content_type="application/json",
        headers=TOKEN,
    )


def detail(client: Client, slug: str) -> dict[str, Any]:
    return client.get(f"/api/sessions/{slug}", headers=TOKEN).json()


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_an_archive_becomes_a_session(client: Client, folder: Path) -> None:
    upload = send(client, play())
    assert (upload["name"], upload["files"]) == ("play.zip", 1)
    answer = start(client, upload["upload"], title="Our play", access="login")
    assert (answer.status_code, answer.json()["session_id"]) == (202, "play")
    found = detail(client, "play")
    assert found["job"]["error"] == ""
    assert (found["state"], found["title"], found["access"]) == ("ready", "Our play", "login")
    assert (found["frame_count"], found["job"]["importer"]) == (50, "table")
    assert left(folder) == []


def test_files_in_folders_become_a_session(client: Client, folder: Path) -> None:
    files = {"my play/play.csv": TABLE, "my play/mapping.yaml": MAPPING.encode()}
    answer = client.post("/api/uploads", **body_of(files), headers=TOKEN)
    assert answer.json()["name"] == "my play"
    assert start(client, answer.json()["upload"]).json()["session_id"] == "my-play"
    assert detail(client, "my-play")["state"] == "ready"
    assert left(folder) == []


def test_a_second_upload_of_a_name_gets_a_slug_of_its_own(client: Client) -> None:
    assert start(client, send(client, play())["upload"]).json()["session_id"] == "play"
    second = send(client, play())["upload"]
    assert start(client, second, slug="play").status_code == 409
    assert start(client, second).json()["session_id"] == "play-2"
    third = start(client, send(client, play())["upload"], slug="play", refresh=True)
    assert third.json()["session_id"] == "play"
    assert Session.objects.count() == 2


class TestRefused:
    @pytest.mark.parametrize(
        "name", ["../x.csv", "a/../../x.csv", "/etc/x.csv", "a" * 300 + ".csv", "a/" * 9 + "x.csv"]
    )
    def test_names(self, client: Client, folder: Path, name: str) -> None:
        answer = client.post("/api/uploads", **body_of({"a.csv": b"a", name: b"x"}), headers=TOKEN)
        assert (answer.status_code, answer.json()["code"]) == (422, "upload_refused")
        assert "\n" not in answer.json()["message"]
        assert left(folder) == []

    def test_too_many_bytes(self, client: Client, folder: Path, settings) -> None:
        settings.UPLOAD_BYTES = 1_000_000
        answer = client.post(
            "/api/uploads", {"file": SimpleUploadedFile("a", bytes(1_000_001))}, headers=TOKEN
        )
        assert "UPLOAD_MB" in answer.json()["message"]
        assert left(folder) == []

    @pytest.mark.parametrize(
        ("data", "kind", "status"),
        [
            (b"x", "multipart/form-data; boundary=XX", 400),
            (b"--XX\r\nno header", "multipart/form-data; boundary=XX", 400),
            (b"--XX--\r\n", "multipart/form-data; boundary=XX", 422),
            (b"{}", "application/json", 422),
            (b"x", "multipart/form-data", 422),
        ],
    )
    def test_bodies(
        self, client: Client, folder: Path, data: bytes, kind: str, status: int
    ) -> None:
        answer = client.post("/api/uploads", data, content_type=kind, headers=TOKEN)
        assert answer.status_code == status, answer.content
        assert left(folder) == []

    def test_whoever_may_not(self, client: Client, folder: Path) -> None:
        assert client.post("/api/uploads", {"file": play()}).status_code == 401
        client.force_login(User.objects.create_user("someone"))
        assert client.post("/api/uploads", {"file": play()}).status_code == 403
        assert left(folder) == []

    def test_staff_by_cookie_must_mean_it(self, folder: Path) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_user("boss", is_staff=True))
        answer = client.post("/api/uploads", {"file": play()})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
        client.cookies["csrftoken"] = token = "t" * 32
        answer = client.post("/api/uploads", {"file": play()}, headers={"X-CSRFToken": token})
        assert answer.status_code == 201

    @pytest.mark.parametrize("upload", ["0" * 32, "../" + "0" * 29])
    def test_an_upload_that_is_not_there(self, client: Client, upload: str) -> None:
        assert start(client, upload).status_code == 422
        assert not Session.objects.exists()


class TestHostile:
    """What is only seen when it is unpacked fails the import in one line."""

    @pytest.mark.parametrize(
        ("files", "reason"),
        [
            ({"../x.csv": b""}, "lead out of its folder"),
            ({f"{i}.csv": b"" for i in range(5_001)}, "more than 5,000 files"),
            ({"a.csv": bytes(3_000_000)}, "IMPORT_UNPACKED_MB"),
            ({"a.txt": b"nothing known"}, "expected"),
        ],
    )
    def test_archives(
        self, client: Client, folder: Path, settings, files: dict[str, bytes], reason: str
    ) -> None:
        from sessions_app.importers.bounds import Bounds

        settings.IMPORT_BOUNDS = Bounds(unpacked_bytes=2_000_000)
        start(client, send(client, zipped(files))["upload"])
        found = detail(client, "play")
        assert (found["state"], found["job"]["state"]) == ("failed", "failed")
        assert reason in found["job"]["error"]
        assert "\n" not in found["job"]["error"]
        assert str(folder) not in found["job"]["error"]
        assert [name for name in left(folder) if name.startswith(".")] == []
        if reason != "expected":
            assert left(folder) == []


class TestLeftovers:
    def test_of_a_process_that_was_killed(self, folder: Path) -> None:
        gone, held = uploads._HeldFolder("receiving"), uploads._HeldFolder("unpacked")
        (gone.path / "half.csv").write_text("half")
        os.close(gone._descriptor)
        uploads.remove_leftovers()
        assert left(folder) == [held.path.name]
        held.remove()
        assert left(folder) == []

    def test_uploads_that_nobody_imports_expire(self, client: Client, folder: Path) -> None:
        id_ = send(client, play())["upload"]
        now = (folder / id_).stat().st_mtime
        uploads.remove_leftovers(now + 23 * 3600)
        assert left(folder) == [id_]
        uploads.remove_leftovers(now + 25 * 3600)
        assert left(folder) == []

    def test_but_not_while_an_import_waits_for_them(
        self, client: Client, folder: Path, settings
    ) -> None:
        settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
        id_ = send(client, play())["upload"]
        start(client, id_)
        uploads.remove_leftovers((folder / id_).stat().st_mtime + 25 * 3600)
        assert left(folder) == [id_]


class TestAgain:
    """A cancelled import can be tried again for as long as its upload is there."""

    def cancelled(self, client: Client, settings) -> str:
        settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
        id_: str = send(client, play())["upload"]
        start(client, id_)
        answer = client.post("/api/sessions/play/cancel", headers=TOKEN)
        assert (answer.status_code, answer.json()["state"]) == (200, "failed")
        assert detail(client, "play")["message"] == CANCELLED
        assert client.post("/api/sessions/play/cancel", headers=TOKEN).status_code == 409
        settings.TASKS = {
            "default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}
        }
        return id_

    def test_retry(self, client: Client, folder: Path, settings) -> None:
        self.cancelled(client, settings)
        assert client.post("/api/sessions/play/retry", headers=TOKEN).status_code == 202
        assert detail(client, "play")["state"] == "ready"
        assert client.post("/api/sessions/play/retry", headers=TOKEN).status_code == 409

    def test_not_once_it_has_expired(self, client: Client, settings) -> None:
        uploads.remove_upload(f"upload:{self.cancelled(client, settings)}")
        answer = client.post("/api/sessions/play/retry", headers=TOKEN)
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_retry")
        assert "upload it again" in answer.json()["message"]

    def test_a_deleted_session_takes_its_upload_with_it(
        self, client: Client, folder: Path, settings
    ) -> None:
        self.cancelled(client, settings)
        assert client.delete("/api/sessions/play", headers=TOKEN).status_code == 204
        assert left(folder) == []
        assert not ImportJob.objects.exists()


class TestFetched:
    def ask(self, client: Client) -> Any:
        body = {"format": "openf1", "year": 2024, "circuit": "Monaco", "session": "qualifying"}
        return client.post("/api/sessions", body, content_type="application/json", headers=TOKEN)

    def test_a_session_of_a_server(self, client: Client, settings) -> None:
        settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
        settings.DOWNLOADS = object()
        answer = self.ask(client)
        assert (answer.status_code, answer.json()["session_id"]) == (202, "Monaco-2024-qualifying")
        job = ImportJob.objects.get()
        assert (job.importer, job.source) == ("openf1", "")
        assert job.options == {"year": 2024, "circuit": "Monaco", "session": "qualifying"}

    def test_where_nothing_is_fetched(self, client: Client, settings) -> None:
        settings.DOWNLOADS = None
        assert self.ask(client).status_code == 501
        assert not Session.objects.exists()


def test_who_has_uploaded_too_much_is_told_when_to_come_back(
    client: Client, folder: Path, settings: Any
) -> None:
    settings.UPLOAD_BYTES_PER_HOUR = 3600
    files = body_of({"play.csv": b"x" * 3600})
    assert client.post("/api/uploads", **files, headers=TOKEN).status_code == 201
    refused = client.post("/api/uploads", **files, headers=TOKEN)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused["Retry-After"]) > 3600
    assert len(list(folder.glob("*"))) == 1
