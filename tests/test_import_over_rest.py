"""An import over REST from the request to the finished session, run at once and in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from sessions_app.importers import registry
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportSourceError
from sessions_app.jobs import FAILED

MAPPING = """\
kind: play
time: {column: t, unit: s}
entity: who
fields:
  x: {column: x, unit: m, scale: 0.01}
  y: {column: y, unit: m, scale: 0.01}
rate: 10
"""
TOKEN = {"Authorization": "Bearer secret"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def table(tmp_path: Path, settings) -> Path:
    """A table that the operator has named "plays"; tasks are run as soon as they are queued."""
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
    settings.API_TOKENS = ["secret"]
    settings.IMPORT_SOURCES = {"plays": str(tmp_path / "plays")}
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    folder = tmp_path / "plays"
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING)
    rows = [f"{i / 10},{who},{i},{i * 2}" for who in ("a", "b") for i in range(50)]
    table = folder / "play.csv"
    table.write_text("\n".join(["t,who,x,y", *rows]))
    return table


def test_a_table_becomes_a_session(client: Client, table: Path) -> None:
    body = {"source": "plays", "slug": "play"}
    answer = client.post("/api/sessions", body, content_type="application/json", headers=TOKEN)
    assert (answer.status_code, answer.json()["session_id"]) == (202, "play")
    detail = client.get("/api/sessions/play", headers=TOKEN).json()
    assert detail["job"]["error"] == ""
    assert (detail["state"], detail["job"]["state"]) == ("ready", "done")
    assert [e["code"] for e in detail["entities"]] == ["a", "b"]
    assert detail["frame_count"] == 50


def test_a_bad_value_is_left_out_and_reported(client: Client, table: Path) -> None:
    table.write_text(table.read_text().replace("0.3,b,3,6", "0.3,b,far,6"))
    body = {"source": "plays"}
    client.post("/api/sessions", body, content_type="application/json", headers=TOKEN)
    assert client.get("/api/sessions/plays", headers=TOKEN).json()["state"] == "ready"
    report = client.get("/api/sessions/plays/report", headers=TOKEN).json()
    assert report["values_left_out"] == 1


def test_strictly_a_bad_table_fails_in_one_line_and_leaves_nothing(
    client: Client, table: Path, settings
) -> None:
    table.write_text(table.read_text().replace("0.3,b,3,6", "0.3,b,far,6"))
    body = {"source": "plays", "strict": True}
    client.post("/api/sessions", body, content_type="application/json", headers=TOKEN)
    detail = client.get("/api/sessions/plays", headers=TOKEN).json()
    assert (detail["state"], detail["job"]["state"]) == ("failed", "failed")
    assert detail["message"] == FAILED
    for told in ("play.csv", "row 54", "x", "far"):
        assert told in detail["job"]["error"]
    assert list(settings.RECORDINGS_DIR.iterdir()) == []


def test_a_session_of_the_calendar_is_fetched_by_the_worker(
    client: Client, table: Path, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path | None, ImportOptions]] = []

    def run_importer(
        name: str, source: Path | None, options: ImportOptions, _progress: object
    ) -> None:
        asked.append((name, source, options))
        raise ImportSourceError("no network")

    monkeypatch.setattr(registry, "run_importer", run_importer)
    monkeypatch.setattr("sessions_app.sources.importlib.util.find_spec", lambda name: name)
    body = {"year": 2024, "round_num": 8, "session_type": "Q"}
    answer = client.post("/api/sessions", body, content_type="application/json", headers=TOKEN)
    assert (answer.status_code, answer.json()["session_id"]) == (202, "2024_8_Q")
    [(name, source, options)] = asked
    assert (name, source) == ("fastf1", None)
    assert (options.year, options.round, options.session) == (2024, 8, "Q")
    assert options.downloads == settings.DOWNLOADS
    detail = client.get("/api/sessions/2024_8_Q", headers=TOKEN).json()
    assert detail["job"]["error"] == "no network"
