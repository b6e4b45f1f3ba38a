"""Two people watch together: each in a browser of their own, on one playhead."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import RunningServer
from .player_page import OpenPage, PlayerPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)


@pytest.fixture
def race(open_page: OpenPage, server: RunningServer) -> PlayerPage:
    """The sample race at 1:02."""
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/?t=62")
    player.ready()
    player.until("r.frame === 1550 && r.status === 'paused'")
    return player


def make_room(player: PlayerPage) -> str:
    """The link to a new room; its dialog stays open."""
    player.page.get_by_role("button", name="Watch together").click()
    player.page.get_by_role("button", name="Create a room").click()
    player.until("r.room !== null")
    return player.page.get_by_label("Room link").input_value()


def set_name(player: PlayerPage, name: str) -> None:
    player.page.get_by_label("Your name").fill(name)
    player.page.get_by_role("button", name="Save").click()


def until_people(player: PlayerPage, *lines: str) -> None:
    expected = "|".join(lines)
    player.until_page(
        "[...document.querySelectorAll('.people li')].map((e) => e.textContent).join('|')"
        f" === '{expected}'"
    )


def test_two_pages_in_a_room_share_one_playhead(
    open_page: OpenPage, server: RunningServer, race: PlayerPage
) -> None:
    race.page.get_by_role("button", name="Watch together").click()
    race.page.get_by_role("button", name="Create a room").click()
    room = race.until("r.room !== null")["room"]
    link = race.page.get_by_label("Room link").input_value()
    assert link.endswith(f"?room={room}")
    race.page.keyboard.press("Escape")
    guest = open_page(link)
    guest.until("r.frame === 1550 && r.room !== null")
    race.until_page("document.querySelector('#room-count').innerText === '2'")
    guest.page.keyboard.press("2")
    race.until("r.frame === 600")
    race.page.keyboard.press("k")
    guest.until("r.status === 'playing'")
    guest.page.keyboard.press("k")
    race.until("r.status === 'paused'")


def test_everybody_sees_who_is_in_the_room_and_in_control(
    open_page: OpenPage, race: PlayerPage
) -> None:
    link = make_room(race)
    until_people(race, "viewer 1 (you)")
    set_name(race, "Ann")
    until_people(race, "Ann (you)")
    guest = open_page(link)
    guest.until("r.room !== null && r.status === 'paused'")
    race.until_page("document.querySelector('#announcer').textContent === 'viewer 2 joined.'")
    until_people(race, "Ann (you)", "viewer 2")

    guest.page.keyboard.press("2")
    race.until("r.frame === 600")
    until_people(race, "Ann (you)", "viewer 2 (in control)")
    race.until_page(
        "document.querySelector('#announcer').textContent === 'viewer 2 jumped to another time.'"
    )
    until_people(guest, "Ann", "viewer 2 (you, in control)")
    together = race.page.get_by_role("dialog", name="Watch together")
    expect(together).to_contain_text("Last action: viewer 2 jumped to another time.")

    race.page.keyboard.press("Escape")
    race.page.keyboard.press("k")
    guest.until("r.status === 'playing'")
    until_people(guest, "Ann (in control)", "viewer 2 (you)")
    guest.page.close()
    until_people(race, "Ann (you, in control)")


def test_a_name_is_remembered(race: PlayerPage) -> None:
    make_room(race)
    set_name(race, "Ann")
    until_people(race, "Ann (you)")
    race.page.reload()
    race.ready()
    make_room(race)
    until_people(race, "Ann (you)")
