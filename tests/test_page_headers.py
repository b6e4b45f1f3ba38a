"""The pages' headers: strict by default, framed by whom the settings name, right for deployment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client

from sessions_app.models import Session

from .conftest import ROOT, RunningServer
from .player_page import OpenPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)

EMBEDDER = "https://news.example.org"


def production() -> dict[str, str]:
    """The settings that docs/security.md shows for the open internet."""
    text = (ROOT / "docs" / "security.md").read_text()
    [block] = re.findall(r"```sh\n(DEBUG=0\n.*?)```", text, re.S)
    return dict(line.split("=", 1) for line in block.splitlines())


def check_deploy(tmp_path: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # tests/data_folder.py sets it for this process.
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**inherited, "REPLAY_DATA_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def policy(response: Any) -> dict[str, str]:
    """The directives of an answer's Content-Security-Policy."""
    parts = response.headers["Content-Security-Policy"].split(";")
    return {name: value for name, _, value in (part.strip().partition(" ") for part in parts)}


@pytest.mark.long
def test_the_documented_production_settings_leave_nothing_to_say(tmp_path: Path) -> None:
    done = check_deploy(tmp_path, production())
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


@pytest.mark.long
def test_what_is_missing_of_them_is_told(tmp_path: Path) -> None:
    done = check_deploy(tmp_path, {k: v for k, v in production().items() if "SECURE" not in k})
    assert done.returncode != 0
    for told in ("W004", "W008", "W012", "W016"):
        assert f"(security.{told})" in done.stderr


@pytest.mark.long
def test_embedding_without_secure_cookies_stops_the_start(tmp_path: Path) -> None:
    done = check_deploy(tmp_path, {"EMBED_ORIGINS": EMBEDDER})
    assert done.returncode != 0
    assert "EMBED_ORIGINS: expected SECURE_COOKIES=1" in done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    ["/", "/admin/login/", "/api/docs", "/api/sessions", "/no-such-page", "/livez"],
)
def test_every_answer_is_strict(client: Client, path: str) -> None:
    answer = client.get(path, headers={"Host": "localhost"})
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert policy(answer)["frame-ancestors"] == "'none'"
    assert policy(answer)["default-src"] == "'self'"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.django_db
def test_trusted_types_are_asked_of_our_scripts(admin_client: Client, client: Client) -> None:
    admin_client.defaults.update(client.defaults)  # the worker that answers
    host = {"Host": "localhost"}
    asked = {
        path: policy(admin_client.get(path, headers=host)).get("require-trusted-types-for")
        for path in ("/", "/admin/streaming/liveconnection/workers/", "/admin/", "/api/docs")
    }
    assert list(asked.values()) == ["'script'", "'script'", None, None], asked


@pytest.mark.django_db
def test_only_library_and_player_may_be_framed(client: Client, settings: Any) -> None:
    settings.EMBED_ORIGINS = [EMBEDDER]
    Session.objects.create(slug="race", title="Race", access="public")
    for path, framed in (("/", True), ("/sessions/race/", True), ("/admin/login/", False)):
        answer = client.get(path, headers={"Host": "localhost"})
        assert policy(answer)["frame-ancestors"] == (EMBEDDER if framed else "'none'"), path
        assert ("X-Frame-Options" in answer) is not framed
        resource = "cross-origin" if framed else "same-origin"
        assert answer["Cross-Origin-Resource-Policy"] == resource


def test_behind_tls_cookies_are_bound_to_the_host(
    start_server: Callable[..., RunningServer],
) -> None:
    """What a browser is told by a server that runs with the documented settings."""
    server = start_server(**production())
    headers = {"Host": "replay.example.org"}
    assert httpx.get(server.url, headers=headers).status_code == 301
    headers["X-Forwarded-Proto"] = "https"
    headers["X-Forwarded-For"] = "192.0.2.1"
    answer = httpx.get(f"{server.url}/admin/login/", headers=headers)
    [cookie] = answer.headers.get_list("Set-Cookie")
    assert cookie.startswith("__Host-csrftoken=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert f"; {flag}" in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == (
        "max-age=31536000; includeSubDomains; preload"
    )
    script = httpx.get(f"{server.url}/static/streaming/engine/worker.js", headers=headers)
    assert policy(script)["default-src"] == "'self'"
    assert script.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in script.headers


@pytest.mark.browser
def test_the_pages_break_none_of_it(open_page: OpenPage, server: RunningServer) -> None:
    library = open_page(server.url)
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    assert len(player.page.workers) == 1, "the worker did not start: its address was not trusted"
    player.page.keyboard.press("Space")
    player.until("r.status === 'playing' && r.frame > 0")
    for tab in ("Race control", "Telemetry", "Compare laps", "Strategy"):
        player.page.get_by_role("tab", name=tab).click()
    player.until_page("document.querySelectorAll('.uplot').length > 0")
    assert library.problems == player.problems == []
    # And it holds: text does not become HTML.
    refused = "(() => { try { document.body.innerHTML = '<p>' } catch (e) { return e.name } })()"
    assert player.page.evaluate(refused) == "TypeError"
