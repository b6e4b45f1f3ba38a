"""An exported folder in a browser: the player without a server of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT
from .player_page import OpenPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)


class Files(SimpleHTTPRequestHandler):
    """A file host that notes what it cannot serve."""

    missing: list[str] = []  # noqa: RUF012  shared by the requests of this host

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        if int(code) >= 400:
            self.missing.append(self.path)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A plain file server over tmp_path; its address."""
    Files.missing.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_plays_from_a_plain_file_host_under_any_path(
    sample_data: Path, tmp_path: Path, host: str, open_page: OpenPage
) -> None:
    # In a process of its own: Playwright's event loop runs in this thread.
    subprocess.run(
        [sys.executable, "manage.py", "export_static", RACE_SLUG, tmp_path / "some" / "where"],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(sample_data)},
        check=True,
        capture_output=True,
    )
    player = open_page(f"{host}/some/where/")
    player.page.locator(".card a").click()
    player.ready()
    player.page.locator("#start").click()
    played = player.until("r.status === 'playing' && r.frame > 10 && r.buffered > 5")
    player.page.keyboard.press("End")
    assert player.until("r.status === 'ended'")["frame"] > played["frame"]
    player.page.get_by_role("tab", name="Compare laps").click()
    player.until_page("document.querySelectorAll('#comparison .uplot').length >= 4")
    player.page.get_by_role("button", name="Watch together").click()
    player.page.get_by_role("button", name="Create a room").click()
    assert "needs a server" in player.page.inner_text("dialog[open]")
    assert player.problems == []
    assert Files.missing == []
