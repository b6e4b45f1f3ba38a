"""The page of ghosts, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .axe import serious
from .conftest import RunningServer
from .player_page import OpenPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)
pytestmark = pytest.mark.browser

LAPS = f"{RACE_SLUG}:C00:2,{RACE_SLUG}:C03:3"


def test_ghosts_start_together_and_can_be_added_moved_and_shared(
    server: RunningServer, open_page: OpenPage
) -> None:
    player = open_page(
        f"{server.url}/compare/?laps={LAPS}&t=5", viewport={"width": 390, "height": 844}
    )
    page = player.page
    player.until("r.ready")
    state = page.evaluate("__replay")
    # Both drive a circle at one speed: after five seconds they are at one place.
    (first, second) = state["places"]
    assert first == pytest.approx(second, abs=5)
    assert state["duration"] == pytest.approx(20, abs=0.1)
    assert page.locator("#graphs .uplot").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.locator("#cars").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("__replay.time") == pytest.approx(5.2)
    page.keyboard.press("Space")
    player.until("r.time > 5.3")
    page.keyboard.press("Space")
    assert page.evaluate("__replay.playing") is False

    page.locator("#add-driver").select_option("C05")
    page.locator("#add-lap").select_option("2")
    page.get_by_role("button", name="Add lap").click()
    player.until("r.ready && r.laps.length === 3")
    page.get_by_role("button", name="By time").click()
    expect(page.locator("#graphs")).to_contain_text("metres behind 1 C00 lap 2")
    # The address holds everything.
    page.reload()
    player.until("r.ready && r.laps.length === 3")
    assert page.evaluate("__replay.by") == "time"
    assert serious(page) == []

    for name in ("3 Driver 5", "2 Driver 3"):
        page.get_by_role("button", name=f"Remove {name}").click()
    expect(page.locator("#message")).to_have_text("Add two laps or more of one circuit.")
    assert player.problems == []
