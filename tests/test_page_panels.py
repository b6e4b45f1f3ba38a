"""The panels around the picture agree with the recording."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from .conftest import RunningServer
from .player_page import OpenPage, PlayerPage
from .samples import LOADING_SLUG, PLAY_SLUG, RACE_SLUG

pytest_plugins = ("tests.player_page",)


@pytest.fixture
def race(open_page: OpenPage, server: RunningServer) -> PlayerPage:
    """The sample race at 1:00, in its fourth lap."""
    player = open_page(f"{server.url}/sessions/{RACE_SLUG}/?t=62")
    player.ready()
    player.until("r.frame === 1550 && r.status === 'paused'")
    return player


def test_the_leaderboard_is_a_table_in_order(race: PlayerPage) -> None:
    table = race.page.get_by_role("table", name="Leaderboard")
    assert table.get_by_role("columnheader").all_inner_texts() == [
        "Pos", "Driver", "Interval", "Last", "Best", "Tyre", "Pit",
    ]  # fmt: skip
    race.until_page(
        "document.querySelector('.leaderboard tbody tr td.pos').innerText.startsWith('1')"
    )
    codes = table.get_by_role("rowheader").all_inner_texts()
    assert codes == [f"C{i:02d}" for i in range(20)]
    second = race.cells(1)
    assert second[2] == "+0.200"
    assert second[3] == second[4] == "20.000"
    race.page.get_by_role("button", name="Gap", exact=True).click()
    race.until_page(
        "document.querySelectorAll('.leaderboard tbody tr')[5].innerText.includes('+1.000')"
    )


def test_the_tyres_so_far_open_by_keyboard(race: PlayerPage) -> None:
    race.until_page("document.querySelector('.tyre-button').textContent.includes('history')")
    race.until_page("document.querySelector('.leaderboard td.pos').innerText.startsWith('1')")
    opener = race.page.get_by_role("button", name="history").first
    opener.focus()
    race.page.keyboard.press("Enter")
    history = race.page.get_by_role("dialog", name="Tyres of C00")
    expect(history.get_by_role("listitem")).to_have_text(
        ["S\nSoft, since lap 1"], use_inner_text=True
    )
    expect(opener).to_have_attribute("aria-expanded", "true")
    race.page.keyboard.press("Escape")
    expect(history).to_be_hidden()
    race.until_page("document.activeElement.classList.contains('tyre-button')")
    race.until_page("document.activeElement.getAttribute('aria-expanded') === 'false'")


def test_a_tyre_history_opened_before_its_data_is_filled_when_they_come(
    open_page: OpenPage, server: RunningServer
) -> None:
    player = open_page("about:blank")
    held: list[Route] = []
    player.page.route("**/api/sessions/*/laps*", lambda route: held.append(route))
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/?t=62")
    player.until_page("document.querySelector('.tyre-button')?.textContent.includes('history')")
    player.page.get_by_role("button", name="history").first.click()
    history = player.page.get_by_role("dialog", name="Tyres of")
    expect(history).to_contain_text("No tyre data yet.")
    assert held, "laps and stints are under way"
    held[0].continue_()
    expect(history.get_by_role("listitem")).to_have_count(1)


def test_blue_flags_are_shown_on_demand(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page("about:blank")

    def with_a_blue_flag(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        blue = {**body["events"][0], "frame": 1000, "kind": "flag", "value": "blue"}
        body["events"] = sorted(
            [*body["events"], {**blue, "message": "WAVED BLUE FLAG FOR C19"}],
            key=lambda event: int(event["frame"]),
        )
        route.fulfill(response=answer, json=body)

    player.page.route("**/api/sessions/*/events*", with_a_blue_flag)
    player.page.goto(f"{server.url}/sessions/{RACE_SLUG}/?t=62")
    player.ready()
    player.until_page("document.querySelectorAll('.feed li').length === 2")
    toggle = player.page.get_by_role("button", name="Blue flags")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    toggle.click()
    player.until_page("document.querySelectorAll('.feed li').length === 3")
    expect(player.page.get_by_role("tabpanel", name="Race control")).to_contain_text("BLUE FLAG")


def test_choosing_highlights_everywhere(race: PlayerPage) -> None:
    button = race.page.get_by_role("button", name="C02")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert race.state()["selected"] == ["C02"]
    race.page.get_by_role("tab", name="Telemetry").click()
    race.until_page("document.querySelectorAll('.gauge').length === 1")
    race.page.get_by_role("button", name="C05").click()
    race.until_page("document.querySelectorAll('.gauge').length === 2")
    race.page.keyboard.press("Escape")
    assert race.state()["selected"] == []


def test_a_click_on_a_car_chooses_it(race: PlayerPage) -> None:
    # The leader's place in the picture, from the sample's circle, by the page's own camera.
    box = race.page.locator("#cars").bounding_box()
    assert box is not None
    for dx in range(int(box["width"]) - 8, int(box["width"] * 0.6), -8):
        race.page.mouse.click(box["x"] + dx, box["y"] + box["height"] / 2)
        if race.state()["selected"]:
            return
    # At 62 s the leader is at a tenth of the lap: above the middle, on the right.
    for dy in range(0, int(box["height"]), 8):
        for dx in range(int(box["width"] / 2), int(box["width"]), 16):
            race.page.mouse.click(box["x"] + dx, box["y"] + dy)
            if race.state()["selected"]:
                return
    raise AssertionError("no click on the picture has chosen a car")


def test_the_top_bar(race: PlayerPage) -> None:
    race.until_page("document.querySelector('#lap-counter').innerText === '4 / 6'")
    assert race.text("#session-clock") == "1:02"
    assert race.text("#flag") == "Clear"
    assert race.text("#weather").split("\n")[:4] == ["Air", "22 °C", "Track", "34 °C"]


def test_what_the_import_left_out_can_be_read(race: PlayerPage) -> None:
    order = [
        {"entity": "C01", "position": 1, "road_position": 1, "status": "finished"},
        {"entity": "C00", "position": 2, "road_position": 2, "status": "disqualified"},
    ]
    finding = {
        "table": "stints",
        "column": "lap_start",
        "expected": "a number",
        "done": "row left out",
        "count": 4,
        "examples": [{"file": "stints.csv", "row": 3, "found": "no value"}],
    }
    report = {
        "rows_read": 1200,
        "rows_left_out": 4,
        "values_left_out": 0,
        "files_left_out": 0,
        "records_left_out": 0,
        "unseen_share": 0.0123,
        "estimated": [],
        "missing_tables": ["weather"],
        "tables": [{"table": "stints", "files": 1, "rows": 40, "entities": 20}],
        "findings": [finding],
    }
    final = {"source": "race_control", "order": [{**row, "penalty_seconds": 5} for row in order]}
    race.page.route("**/classification", lambda route: route.fulfill(json=final))
    race.page.route("**/report", lambda route: route.fulfill(json=report))
    race.page.get_by_role("button", name="About this recording").click()
    about = race.page.get_by_role("dialog", name="About this recording")
    expect(about).to_contain_text("1,200 rows read. Left out: 4 rows")
    expect(about).to_contain_text("Not seen: 1.23 %.")
    expect(about).to_contain_text("stints lap_start: 4 × row left out, expected a number")
    expect(about).to_contain_text("stints.csv, row 3: no value")
    expect(about.get_by_role("row").nth(2)).to_contain_text("disqualified, +5 s penalty")
    race.page.keyboard.press("Escape")
    expect(about).to_be_hidden()


def test_race_control_follows_the_playhead_both_ways(race: PlayerPage) -> None:
    feed = race.page.get_by_role("tabpanel", name="Race control")
    race.until_page("document.querySelectorAll('.feed li').length === 2")
    expect(feed).to_contain_text("YELLOW IN SECTOR 2")
    race.page.keyboard.press("9")
    race.until_page("document.querySelectorAll('.feed li').length === 3")
    race.page.keyboard.press("1")
    race.until_page("document.querySelectorAll('.feed li').length === 1")
    expect(feed).to_contain_text("GREEN LIGHT")
    race.page.keyboard.press("9")
    race.until_page("document.querySelectorAll('.feed li').length === 3")
    race.page.get_by_role("group", name="Show").get_by_role("button", name="Pits").click()
    race.until_page("document.querySelectorAll('.feed li').length === 1")
    feed.get_by_role("listitem").get_by_role("button").click()
    race.until("r.frame === 1800")


def test_race_control_is_announced_while_playing(race: PlayerPage) -> None:
    race.page.keyboard.press("4")
    race.until("r.frame === 1200")
    race.page.keyboard.press("j")
    race.until("r.frame === 950")
    race.page.get_by_label("Speed").select_option("2")
    race.page.keyboard.press("k")
    race.until_page("document.querySelector('#announcer').textContent.includes('YELLOW')")
    expect(race.page.locator("#announcer")).to_have_attribute("aria-live", "polite")


def test_two_laps_are_compared(race: PlayerPage) -> None:
    race.page.get_by_role("tab", name="Compare laps").click()
    race.until_page("document.querySelectorAll('#comparison .uplot').length >= 4")
    expect(race.page.get_by_label("Driver A", exact=True)).to_have_value("C00")
    race.page.get_by_label("Driver B", exact=True).select_option("C09")
    race.until_page("document.querySelector('#comparison .legend').innerText.includes('C09')")
    times = race.page.get_by_role("table", name="Times").get_by_role("row").all_inner_texts()
    assert times[4].split("\t")[:3] == ["Lap", "20.000", "20.000"]
    corners = race.page.get_by_role("table", name="Lowest speed in the corners").get_by_role("row")
    assert corners.all_inner_texts()[1].split("\t")[:3] == ["Turn 1", "250", "250"]


def test_a_click_on_a_comparison_goes_to_that_place_of_the_first_lap(race: PlayerPage) -> None:
    race.page.get_by_role("tab", name="Compare laps").click()
    race.page.get_by_label("Lap of driver A").select_option("2")
    race.until_page(
        "document.querySelector('#comparison .legend')?.innerText.includes('C00 lap 2')"
    )
    race.page.locator("#comparison .u-over").first.click()
    race.until("Math.abs(r.frame - 750) < 50")


def test_strategy(race: PlayerPage) -> None:
    race.page.get_by_role("tab", name="Strategy").click()
    race.until_page("document.querySelectorAll('#panel-strategy .uplot').length === 2")
    tyres = race.page.get_by_role("table", name="Tyres").get_by_role("row")
    expect(tyres).to_have_count(21)
    expect(tyres.nth(1)).to_contain_text("Soft, laps 1 to 5")


def test_tabs_work_with_the_arrow_keys_and_are_remembered(race: PlayerPage) -> None:
    race.page.get_by_role("tab", name="Race control").focus()
    race.page.keyboard.press("ArrowRight")
    telemetry = race.page.get_by_role("tab", name="Telemetry")
    expect(telemetry).to_have_attribute("aria-selected", "true")
    race.page.reload()
    race.ready()
    expect(telemetry).to_have_attribute("aria-selected", "true")


def test_units_and_theme_are_remembered(race: PlayerPage) -> None:
    race.page.get_by_role("button", name="Settings").click()
    race.page.get_by_label("Units").select_option("imperial")
    race.page.get_by_role("button", name="Switch light/dark").click()
    race.page.keyboard.press("Escape")
    race.until_page("document.querySelector('#weather').innerText.includes('71 °F')")
    theme = race.page.evaluate("document.documentElement.dataset.theme")
    race.page.reload()
    race.ready()
    assert race.page.evaluate("document.documentElement.dataset.theme") == theme
    race.until_page("document.querySelector('#weather').innerText.includes('71 °F')")


def test_zoom_and_follow(race: PlayerPage) -> None:
    follow = race.page.get_by_role("button", name="Follow selection")
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    assert race.state()["selected"] == ["C00"]
    race.page.get_by_role("button", name="Show everything").click()
    expect(follow).to_have_attribute("aria-pressed", "false")


def test_a_play_has_no_panel_of_a_race(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(f"{server.url}/sessions/{PLAY_SLUG}/")
    player.ready()
    expect(player.page.get_by_role("tab")).to_have_text(["Events", "Telemetry"])
    expect(player.page.get_by_role("columnheader")).to_have_text(["Code", "Speed"])
    expect(player.page.locator("#lap-fact")).to_be_hidden()
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 5")
    assert player.problems == []


def test_an_import_shows_its_progress(open_page: OpenPage, server: RunningServer) -> None:
    player = open_page(f"{server.url}/sessions/{LOADING_SLUG}/")
    player.until("r.status === 'importing'")
    expect(player.page.locator("#curtain-text")).to_contain_text("40 %")
    expect(player.page.get_by_role("progressbar")).to_be_visible()
