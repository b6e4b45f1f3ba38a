"""The library page: what a visitor may see, found by search and filters."""

from __future__ import annotations

from playwright.sync_api import expect

from .conftest import RunningServer
from .player_page import OpenPage
from .samples import LOADING_SLUG, PLAY_SLUG, RACE_SLUG, STAFF_SLUG

pytest_plugins = ("tests.player_page",)


def test_it_works(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(server.url + "/")
    card = player.page.locator(f"[data-slug={RACE_SLUG}]")
    expect(card.get_by_role("heading")).to_have_text("Small race")
    expect(card).to_contain_text("2 min")
    expect(card.locator("svg path")).to_have_count(2)
    card.get_by_role("link").click()
    player.ready()
    assert player.problems == []


def test_search_and_filters(open_page: OpenPage, server: RunningServer) -> None:
    page = open_page(server.url + "/").page
    page.get_by_role("searchbox").fill("small r")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=small+r")
    expect(page.locator(".card")).to_have_count(1)
    page.goto(server.url + "/?kind=play")
    expect(page.locator(f"[data-slug={PLAY_SLUG}]")).to_have_count(1)
    expect(page.locator(f"[data-slug={RACE_SLUG}]")).to_have_count(0)
    page.goto(server.url + "/?year=abc")
    assert "No session matches" in page.inner_text("main")


def test_an_import_under_way_shows_how_far(open_page: OpenPage, server: RunningServer) -> None:
    page = open_page(server.url + "/").page
    bar = page.locator(f"[data-slug={LOADING_SLUG}] progress")
    expect(bar).to_have_attribute("value", "40")


def test_what_is_for_staff_is_not_shown(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(server.url + "/")
    expect(player.page.locator(f"[data-slug={STAFF_SLUG}]")).to_have_count(0)
    response = player.page.goto(f"{server.url}/sessions/{STAFF_SLUG}/")
    assert response is not None
    assert "/login/" in response.url or response.status == 403


def test_there_is_no_such_session(open_page: OpenPage, server: RunningServer) -> None:
    response = open_page(server.url + "/").page.goto(f"{server.url}/sessions/none/")
    assert response is not None
    assert response.status == 404


def test_scripts_come_from_here_and_nothing_is_evaluated(
    open_page: OpenPage, server: RunningServer
) -> None:
    for path in ("/", f"/sessions/{RACE_SLUG}/"):
        response = open_page(server.url + "/").page.goto(server.url + path)
        assert response is not None
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "<script>" not in response.text()
        assert " style=" not in response.text()
