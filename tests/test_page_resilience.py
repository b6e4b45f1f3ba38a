"""What the network and the server do to a viewer, and what the viewer sees of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from playwright.sync_api import expect

from .conftest import RunningServer, start_serving
from .player_page import OpenPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)


def test_a_server_that_is_replaced_is_found_again_at_the_right_place(
    open_page: OpenPage, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server()
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/?t=40")
    player.ready()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 1025")
    server.stop()
    away = player.until("r.status === 'reconnecting'")
    assert away["frame"] >= 1025
    replacement = start_serving(server.data_dir, "--port", str(server.port))
    try:
        back = player.until("r.status === 'playing' && r.buffered > 2", 40_000)
        assert back["frame"] >= away["frame"]
        assert back["frame"] < 2500
        assert abs(back["serverFrame"] - back["frame"]) < 50
    finally:
        replacement.stop()


def test_a_slow_network_still_plays(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page("about:blank")
    session = player.page.context.new_cdp_session(player.page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 300,
            "downloadThroughput": 25_000,
            "uploadThroughput": 25_000,
        },
    )
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/?t=10", wait_until="commit")
    player.until("r.status === 'paused' && r.frame === 250", 60_000)
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 275", 60_000)
    stalled = player.page.evaluate(
        """() => new Promise((resolve) => {
          let stalled = 0;
          const start = window.__replay.frame;
          const look = () => {
            if (window.__replay.status !== "playing") stalled += 1;
            if (window.__replay.frame - start > 150) resolve(stalled);
            else requestAnimationFrame(look);
          };
          look();
        })"""
    )
    assert stalled == 0


def test_an_import_that_ends_opens_the_recording(
    open_page: OpenPage, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server()

    def be(state: str) -> None:
        """What an import's last transaction does to the session's row."""
        with sqlite3.connect(server.data_dir / "db.sqlite3") as database:
            database.execute(
                "UPDATE sessions_app_session SET state = ? WHERE slug = ?", (state, RACE_SLUG)
            )
        database.close()

    be("importing")
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/")
    player.until("r.status === 'importing'")
    be("ready")
    player.ready()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 100")
    assert player.state()["status"] == "playing"


def test_without_workers_the_page_does_the_work_itself(
    open_page: OpenPage, server: RunningServer
) -> None:
    player = open_page("about:blank")
    player.page.add_init_script("delete window.Worker")
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 25")


def test_a_session_that_has_gone_says_what_to_do(
    open_page: OpenPage, server: RunningServer
) -> None:
    player = open_page("about:blank")
    player.page.route("**/api/sessions/*/geometry", lambda route: route.fulfill(status=403))
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/")
    player.until("r.status === 'error'")
    expect(player.page.get_by_role("button", name="Try again")).to_be_visible()
    expect(player.page.get_by_role("link", name="All sessions").first).to_be_visible()
