"""A live session in Chromium: its edge, what lies behind it, and its end."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import RunningServer
from .live_app import LIVE_SLUG
from .player_page import OpenPage, PlayerPage

pytest_plugins = ("tests.player_page",)

LIVE = ("-m", "tests.live_app")
WITHIN = "r.frame > r.frameCount - 4 * 25"
"""Three seconds behind the edge are live; what the page knows of it may be another second old."""


@pytest.fixture
def live(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A live session with its first ten seconds, into which frames come all the time."""
    server = start_server(program=LIVE)
    ask(server, "run")
    return server


def ask(server: RunningServer, what: str) -> int:
    """Have something happen to the session. Returns: its frames then."""
    with urllib.request.urlopen(f"{server.url}/live/{what}") as answer:
        return int(answer.read())


def watch(open_page: OpenPage, server: RunningServer) -> PlayerPage:
    player = open_page(f"{server.url}/sessions/{LIVE_SLUG}/")
    player.ready()
    return player


def go_live(player: PlayerPage) -> None:
    player.page.get_by_role("button", name="Go live").click()
    player.until(f"r.status === 'live' && {WITHIN}")


def test_go_live_follows_the_edge(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    button = player.page.get_by_role("button", name="Go live")
    expect(button).to_have_attribute("aria-pressed", "false")
    go_live(player)
    player.until_page("document.querySelector('.live-button').ariaPressed === 'true'")
    begun = player.state()
    later = player.until(f"r.frame > {begun['frame'] + 150} && r.status === 'live' && {WITHIN}")
    assert later["frameCount"] > begun["frameCount"]
    assert player.problems == []


def test_at_the_edge_the_picture_never_stands(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    go_live(player)
    # What is asked for while it settles is not of interest: from here on every frame counts.
    player.until("r.buffered > 0.5")
    stood = player.page.evaluate(
        """() => new Promise((resolve) => {
          const begun = window.__replay.frame;
          let stood = 0, before = begun;
          const look = () => {
            const { frame, buffered } = window.__replay;
            if (frame === before && buffered === 0) stood += 1;
            before = frame;
            if (frame > begun + 200) resolve(stood);
            else requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        })"""
    )
    assert stood == 0


def test_behind_the_edge_it_plays_and_the_timeline_grows(
    open_page: OpenPage, live: RunningServer
) -> None:
    player = watch(open_page, live)
    go_live(player)
    player.page.keyboard.press("1")
    begun = player.until("r.status === 'playing' && r.frame < 150")
    # Past what was the end when it went back.
    player.until(f"r.status === 'playing' && r.frameCount > {begun['frameCount'] + 50}")
    player.until_page("Number(document.querySelector('#scrubber').max) === r.frameCount - 1")
    player.page.get_by_label("Speed").select_option("8")
    # Whoever catches up goes on at the pace of the edge.
    caught = player.until(f"r.status === 'live' && r.speed === 1 && {WITHIN}")
    assert caught["frame"] > begun["frameCount"]


def test_a_paused_timeline_grows_too(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    begun = player.state()["frameCount"]
    total = player.text(".clock-text small")
    player.until(f"r.frameCount > {begun + 50} && r.status === 'paused' && r.frame === 0")
    player.until_page(f"document.querySelector('.clock-text small').innerText !== '{total}'")


def test_go_live_again(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    go_live(player)
    player.page.keyboard.press("k")
    player.until(f"r.status === 'paused' && !({WITHIN})")
    player.page.keyboard.press("k")
    player.until("r.status === 'playing'")
    go_live(player)


def test_a_lost_connection_comes_back_live(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    go_live(player)
    generation = player.state()["generation"]
    ask(live, "lose")
    player.until(f"r.status === 'live' && r.generation > {generation} && {WITHIN}")


def test_it_ends(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    go_live(player)
    frames = ask(live, "end")
    ended = player.until("r.status === 'ended'")
    assert (ended["frame"], ended["frameCount"]) == (frames - 1, frames)
    expect(player.page.get_by_role("button", name="Go live")).to_be_hidden()
    player.page.keyboard.press("0")
    player.until("r.status === 'playing' && r.frame > 10 && r.frame < 200")
    assert player.problems == []


def test_it_is_stored_and_goes_on(open_page: OpenPage, live: RunningServer) -> None:
    player = watch(open_page, live)
    player.page.keyboard.press("k")
    asked = time.monotonic()
    before = player.until("r.status === 'playing' && r.frame > 25")
    frames = ask(live, "store")
    after = player.until(f"r.status === 'playing' && r.frameCount === {frames} && r.frame > 100")
    # It has played on meanwhile, however long that took, a little faster where it caught up.
    played = (time.monotonic() - asked) * 25 * 1.1
    assert before["frame"] < after["frame"] < before["frame"] + played + 25
    expect(player.page.get_by_role("button", name="Go live")).to_be_hidden()
    expect(player.page.get_by_role("tab")).to_have_count(4)
    expect(player.page.get_by_role("table", name="Leaderboard")).to_have_count(1)
    player.page.get_by_role("button", name="C02").click()
    player.until("r.selected.join() === 'C02'")


def test_before_the_first_frame_it_waits(
    open_page: OpenPage, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(program=LIVE, LIVE_FRAMES="0")
    player = open_page(f"{server.url}/sessions/{LIVE_SLUG}/")
    player.until_page(
        "document.querySelector('#curtain-message').textContent.includes('first frame')"
    )
    ask(server, "run")
    player.until("r.frameCount > 25 && r.status === 'paused'")
    go_live(player)
