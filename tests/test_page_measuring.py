"""What measures the player finds its figures on the page. How good they are is not asked here."""

from __future__ import annotations

import math

import pytest
from playwright.sync_api import Route

from benchmarks.player import MOST_DRAWN, WATCH, allocation, measure

from .conftest import RunningServer
from .player_page import OpenPage, PlayerPage
from .samples import RACE_SLUG

pytest_plugins = ("tests.player_page",)


def test_it_works(open_page: OpenPage, server: RunningServer) -> None:
    page = open_page("about:blank").page
    address = f"{server.url}/sessions/{RACE_SLUG}/"
    figures = {figure.what: figure for figure in measure(page, address, 6.0, settle=1.0)}
    assert set(figures) == {
        "longest task while it opens",
        "main thread per displayed frame, 20 cars",
        "decoding per frame, in the worker",
        "heap growth after collection",
        "longest task while it plays and seeks",
        "display frames missed",
        "allocated to draw a frame, 20 cars",
    }
    assert all(math.isfinite(figure.value) for figure in figures.values())
    assert figures["main thread per displayed frame, 20 cars"].value > 0
    # A segment takes less than the tenth of a millisecond that the page's clock can tell.
    assert figures["decoding per frame, in the worker"].n > 0
    assert figures["display frames missed"].n > 0


@pytest.fixture
def playing(open_page: OpenPage, server: RunningServer) -> PlayerPage:
    """The sample race, which has been played until its functions are as quick as they get."""
    player = open_page("about:blank")
    player.page.add_init_script(WATCH)
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 200")
    return player


def drawn(player: PlayerPage) -> float:
    """kB that drawing a frame allocates."""
    session = player.page.context.new_cdp_session(player.page)
    allocated, frames = allocation(player.page, session, 4.0)
    assert frames > 0
    return allocated / frames / 1000


def test_drawing_hardly_allocates(playing: PlayerPage) -> None:
    assert 0 < drawn(playing) <= MOST_DRAWN


def test_an_object_for_each_car_would_be_seen(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page("about:blank")

    def wasteful(route: Route) -> None:
        answer = route.fetch()
        sampling = "this.sample(recording, frame);"
        waste = "this.waste = [...this.order].map((i) => ({ i, x: this.xs[i], y: this.ys[i] }));"
        assert sampling in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(sampling, sampling + waste))

    player.page.route("**/ui/track*.js", wasteful)
    player.page.add_init_script(WATCH)
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/")
    player.ready()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 200")
    assert drawn(player) > MOST_DRAWN
