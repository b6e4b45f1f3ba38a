"""The library page: what a visitor may see, found by search and filters."""

from __future__ import annotations

from .conftest import RunningServer
from .player_page import OpenPage
from .samples import LOADING_SLUG, RACE_SLUG, STAFF_SLUG

pytest_plugins = ("tests.player_page",)


def test_it_works(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(server.url + "/")
    card = player.page.locator(f"[data-slug={RACE_SLUG}]")
    assert card.get_by_role("heading").inner_text() == "Small race"
    assert "2 min" in card.inner_text()
    assert card.locator("svg path").count() == 2
    card.get_by_role("link").click()
    player.ready()
    assert player.problems == []


def test_search_and_filters(open_page: OpenPage, server: RunningServer) -> None:
    page = open_page(server.url + "/").page
    page.get_by_role("searchbox").fill("small r")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=small+r")
    assert page.locator(".card").count() == 1
    page.goto(server.url + "/?kind=play")
    assert page.locator(".card h2").all_inner_texts() == ["Small play"]
    page.goto(server.url + "/?year=abc")
    assert "No session matches" in page.inner_text("main")


def test_an_import_under_way_shows_how_far(open_page: OpenPage, server: RunningServer) -> None:
    page = open_page(server.url + "/").page
    bar = page.locator(f"[data-slug={LOADING_SLUG}] progress")
    assert bar.get_attribute("value") == "40"


def test_what_is_for_staff_is_not_shown(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(server.url + "/")
    assert player.page.locator(f"[data-slug={STAFF_SLUG}]").count() == 0
    response = player.page.goto(f"{server.url}/sessions/{STAFF_SLUG}/")
    assert response is not None
    assert "/admin/login" in response.url or response.status == 403


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
