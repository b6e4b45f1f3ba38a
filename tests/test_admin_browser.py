"""The live list in a real Chromium: it moves by itself and takes nothing from the operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import msgpack
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .axe import serious
from .conftest import RunningServer
from .player_page import browser  # noqa: F401  a fixture
from .samples import ADMIN, PASSWORD, RACE_SLUG

LIST = "/admin/streaming/liveconnection/"
ROWS = "#result_list tbody tr[data-id]:not([data-id=''])"


def watch(server: RunningServer, open_until: ExitStack) -> tuple[ClientConnection, str]:
    """A playing viewer, read in a thread, and the id of its connection."""
    url = server.websocket(f"/ws/sessions/{RACE_SLUG}/")
    socket = open_until.enter_context(connect(url, subprotocols=[Subprotocol("replay.v1")]))
    socket.send(json.dumps({"action": "hello", "encoding": "segments"}))
    told = json.loads(socket.recv())
    while told["type"] != "welcome":
        told = json.loads(socket.recv())
    socket.send(json.dumps({"action": "play"}))

    def read() -> None:
        try:
            for message in socket:
                if isinstance(message, bytes):
                    # Or it would be closed as a silent one, should the test take a minute.
                    seq = msgpack.unpackb(message)[2]
                    socket.send(json.dumps({"action": "ack", "seq": seq}))
        except ConnectionClosed:
            return

    threading.Thread(target=read, daemon=True).start()
    return socket, told["connection"]


@pytest.fixture
def viewers(server: RunningServer) -> Iterator[list[tuple[ClientConnection, str]]]:
    with ExitStack() as open_until:
        yield [watch(server, open_until) for _ in range(4)]


def log_in(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.url}/admin/login/?next={LIST}")
    page.fill("#id_username", ADMIN)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("#result_list")


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:  # noqa: F811
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    log_in(page, server)
    yield page
    context.close()
    # A strict content security policy reports what it refuses to the console.
    assert [p for p in problems if "Failed to load resource" not in p] == []


def row(connection: str) -> str:
    return f'{ROWS.split("[")[0]}[data-id="{connection}"]'


def test_figures_move_without_taking_selection_sort_or_focus(
    page: Page, viewers: list[tuple[ClientConnection, str]], server: RunningServer
) -> None:
    page.goto(f"{server.url}{LIST}?o=connection")
    for _, connection in viewers:
        page.wait_for_selector(row(connection))
    chosen = viewers[1][1]
    page.check(f"{row(chosen)} input")
    page.fill("#searchbar", "half a na")
    page.select_option("select[name=action]", "pause")
    page.focus(f"{row(chosen)} th a")
    marked = page.query_selector(row(chosen))
    assert marked is not None
    before = page.inner_text(f"{row(chosen)} td:nth-of-type(8)")
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).innerText !== before",
        arg=[f"{row(chosen)} td:nth-of-type(8)", before],
    )
    with ExitStack() as briefly:
        _, name = watch(server, briefly)
        page.wait_for_selector(row(name))
    assert page.is_checked(f"{row(chosen)} input")
    assert marked.evaluate("row => row.isConnected"), "the row was replaced, not updated"
    assert page.evaluate("document.activeElement.closest('tr')?.dataset.id") == chosen
    assert "1 of" in page.inner_text("[data-live-selected]")
    assert page.input_value("#searchbar") == "half a na"
    assert page.input_value("select[name=action]") == "pause"
    shown = page.eval_on_selector_all(ROWS, "rows => rows.map((row) => row.dataset.id)")
    assert shown == sorted(shown)
    page.wait_for_selector(row(name), state="detached")
    assert page.is_checked(f"{row(chosen)} input")


def test_a_page_that_cannot_be_updated_says_so_and_recovers(
    page: Page, viewers: list[tuple[ClientConnection, str]]
) -> None:
    state = page.locator("#live-state")
    expect(state).to_contain_text("Live:")
    page.route("**/*fragment=1*", lambda route: route.abort())
    expect(state).to_contain_text("Not live:")
    page.unroute("**/*fragment=1*")
    expect(state).to_contain_text("Live: updated")


def test_a_viewer_is_disconnected_with_the_keyboard_alone(
    page: Page, viewers: list[tuple[ClientConnection, str]]
) -> None:
    socket, connection = viewers[0]
    page.wait_for_selector(row(connection))
    page.focus(f"{row(connection)} input")
    page.keyboard.press("Space")
    page.focus("select[name=action]")
    page.keyboard.type("Disc")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#id_reason")
    page.focus("#id_reason")
    page.keyboard.type("maintenance")
    page.keyboard.press("Enter")
    page.wait_for_selector(".messagelist .success")
    page.wait_for_selector(row(connection), state="detached")
    page.click("text=Closed")
    page.wait_for_selector(f"text={connection}")
    assert socket.close_code == 1000


def test_landmarks_and_names_are_there_for_screen_readers(
    page: Page, viewers: list[tuple[ClientConnection, str]]
) -> None:
    page.wait_for_selector(ROWS)
    for role, name in (
        ("main", None),
        ("search", None),
        ("navigation", "Filter"),
        ("navigation", "Breadcrumbs"),
        ("status", None),
        ("table", "Live connections"),
    ):
        found = page.get_by_role(role, name=name) if name else page.get_by_role(role)  # type: ignore[arg-type]
        assert found.count() >= 1, (role, name)
    unnamed = page.eval_on_selector_all(
        "#result_list input",
        "boxes => boxes.filter((box) => !box.getAttribute('aria-label')).length",
    )
    assert unnamed == 0


def test_detail_and_workers_pages_update_themselves(
    page: Page, viewers: list[tuple[ClientConnection, str]]
) -> None:
    connection = viewers[2][1]
    page.wait_for_selector(row(connection))
    page.click(f"{row(connection)} th a")
    expect(page.locator("#live-state")).to_contain_text("Live: updated")
    playhead = "dl.live-facts div:nth-child(6) dd"
    before = page.inner_text(playhead)
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).innerText !== before",
        arg=[playhead, before],
    )
    assert page.locator("svg[role=img]").count() >= 6
    page.click("text=Workers")
    expect(page.locator("#live-state")).to_contain_text("Live: updated")
    expect(page.locator("table[aria-label=Workers] tbody tr")).to_have_count(1)


def test_every_column_is_seen_without_scrolling_sideways(
    page: Page, viewers: list[tuple[ClientConnection, str]], server: RunningServer
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    for query in ("", "?figures=totals", "?o=-dropped", "?o=interval_max"):
        page.goto(f"{server.url}{LIST}{query}")
        page.wait_for_selector(row(viewers[3][1]))
        hidden = page.eval_on_selector(".results", "box => box.scrollWidth - box.clientWidth")
        assert hidden <= 0, query
        spark = page.locator(f"{row(viewers[3][1])} td.spark svg").bounding_box()
        assert spark is not None
        assert spark["width"] >= 40
        assert spark["x"] + spark["width"] <= 1440


def test_filters_open_choose_and_close_with_the_keyboard(
    page: Page, viewers: list[tuple[ClientConnection, str]]
) -> None:
    page.wait_for_selector(row(viewers[0][1]))
    page.focus("#searchbar")
    for _ in range(3):
        # Search, by session, by worker.
        page.keyboard.press("Tab")
    worker = page.locator("#filter-worker")
    page.keyboard.press("Enter")
    expect(worker).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(worker).not_to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.parentElement.id") == "filter-worker"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    verdict = page.locator("#filter-verdict")
    expect(verdict).to_have_attribute("open", "")
    # "All", then the verdicts that there are.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?verdict=*")
    expect(verdict.locator("summary strong")).not_to_have_text("all")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_live_page(
    browser: Browser,  # noqa: F811
    viewers: list[tuple[ClientConnection, str]],
    server: RunningServer,
    scheme: Literal["light", "dark"],
) -> None:
    # axe itself writes inline styles.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    log_in(page, server)
    connection = viewers[0][1]
    page.wait_for_selector(row(connection))
    assert serious(page) == []
    page.click("#filter-verdict summary")
    assert serious(page) == []
    for path in (f"{connection}/change/", "workers/", "closed/"):
        page.goto(f"{server.url}{LIST}{path}")
        expect(page.locator("#live-state")).to_contain_text("Live: updated")
        assert serious(page) == [], path
    page.goto(f"{server.url}{LIST}{connection}/change/")
    page.click("button[value=disconnect]")
    page.wait_for_selector("#id_reason")
    assert serious(page) == []
    context.close()
