"""An import over REST from the request to the finished session, with its real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessions_app.jobs import FAILED

ROOT = Path(__file__).parent.parent
MAPPING = """\
kind: play
time: {column: t, unit: s}
entity: who
fields:
  x: {column: x, unit: m, scale: 0.01}
  y: {column: y, unit: m, scale: 0.01}
rate: 10
"""

IMPORT = """
import json, os, sys, threading
import django
django.setup()
from django.test import Client
client = Client(headers={"Authorization": "Bearer secret"})
answer = client.post("/api/sessions", json.loads(sys.argv[1]), content_type="application/json")
job = answer.json().get("job_id")
for thread in threading.enumerate():
    if thread.name == f"import-{job}":
        thread.join(60)
detail = client.get("/api/sessions/" + answer.json()["session_id"]).json()
print(json.dumps([answer.status_code, answer.json(), detail]))
"""


@pytest.fixture
def service(tmp_path: Path) -> dict[str, str]:
    """The environment of a service with a database of its own, as an operator would set it."""
    folder = tmp_path / "plays"
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING)
    rows = [f"{i / 10},{who},{i},{i * 2}" for who in ("a", "b") for i in range(50)]
    (folder / "play.csv").write_text("\n".join(["t,who,x,y", *rows]))
    environ = {
        **os.environ,
        "REPLAY_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "replayproject.settings",
        "ALLOWED_HOSTS": "testserver",
        "API_TOKENS": "secret",
        "IMPORT_SOURCES": f"plays={folder}",
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environ, check=True, timeout=60)
    return environ


def import_over_rest(service: dict[str, str], body: dict[str, object]) -> list:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT, json.dumps(body)],
        cwd=ROOT,
        env=service,
        capture_output=True,
        check=True,
        timeout=90,
    )
    return json.loads(result.stdout)


def test_a_table_becomes_a_session(service: dict[str, str]) -> None:
    status, answer, detail = import_over_rest(service, {"source": "plays", "slug": "play"})
    assert (status, answer["state"], answer["loading"]) == (202, "pending", True)
    assert detail["job"]["error"] == ""
    assert (detail["state"], detail["job"]["state"]) == ("ready", "done")
    assert [e["code"] for e in detail["entities"]] == ["a", "b"]
    assert detail["frame_count"] == 50


def test_a_bad_table_fails_in_one_line_and_leaves_nothing(
    service: dict[str, str], tmp_path: Path
) -> None:
    table = tmp_path / "plays" / "play.csv"
    table.write_text(table.read_text().replace("0.3,b,3,6", "0.3,b,far,6"))
    _, _, detail = import_over_rest(service, {"source": "plays"})
    assert (detail["state"], detail["job"]["state"]) == ("failed", "failed")
    assert detail["message"] == FAILED
    for told in ("play.csv", "row 54", "x", "far"):
        assert told in detail["job"]["error"]
    assert list((tmp_path / "data" / "recordings").glob("*.mcap")) == []
    assert list((tmp_path / "data" / "recordings").glob(".*.partial")) == []
