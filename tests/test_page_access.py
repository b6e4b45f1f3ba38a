"""Everyone can use the pages: axe-core finds nothing serious, light or dark, wide or narrow."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .axe import serious
from .conftest import RunningServer
from .player_page import OpenPage
from .samples import PLAY_SLUG, RACE_SLUG

pytest_plugins = ("tests.player_page",)

WIDE = {"width": 1400, "height": 860}
PHONE = {"width": 360, "height": 740}


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_player(
    open_page: OpenPage, server: RunningServer, scheme: str, viewport: dict[str, int]
) -> None:
    player = open_page(
        f"{server.url}/sessions/{RACE_SLUG}/?t=75&drivers=C01,C02",
        color_scheme=scheme,
        viewport=viewport,
        reduced_motion="reduce",
    )
    player.ready()
    for tab in ("Race control", "Telemetry", "Compare laps", "Strategy"):
        player.page.get_by_role("tab", name=tab).click()
        if tab == "Compare laps":
            player.until_page("document.querySelectorAll('#comparison .uplot').length >= 4")
        assert serious(player.page) == [], tab


@pytest.mark.parametrize("dialog", ["Share", "Settings", "Watch together", "Keyboard help"])
def test_dialogs(open_page: OpenPage, server: RunningServer, dialog: str) -> None:
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    player.page.get_by_role("button", name=dialog).click()
    expect(player.page.get_by_role("dialog")).to_be_visible()
    assert serious(player.page) == []
    player.page.keyboard.press("Escape")
    expect(player.page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/", f"/sessions/{PLAY_SLUG}/"])
def test_the_library_and_a_play(
    open_page: OpenPage, server: RunningServer, scheme: str, path: str
) -> None:
    player = open_page(server.url + path, color_scheme=scheme)
    if path != "/":
        player.ready()
    assert serious(player.page) == []


def test_nothing_is_wider_than_a_phone(open_page: OpenPage, server: RunningServer) -> None:
    for path in ("/", f"/sessions/{RACE_SLUG}/"):
        player = open_page(server.url + path, viewport={"width": 360, "height": 640})
        if path != "/":
            player.ready()
        assert player.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_everything_is_reached_with_the_keyboard(
    open_page: OpenPage, server: RunningServer
) -> None:
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    reached = set()
    for _ in range(90):
        player.page.keyboard.press("Tab")
        reached.add(
            player.page.evaluate(
                "document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"
            )
        )
    wanted = {
        "Skip to the leaderboard", "Share", "Settings", "Zoom in", "Race control",
        "Position in the recording", "Play", "One frame forward", "Speed", "Fullscreen",
    }  # fmt: skip
    assert wanted <= reached
    assert any(name.startswith("C19") for name in reached)
