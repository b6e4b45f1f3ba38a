"""A recording is added, watched, renamed and deleted on the library page, without a reload."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .axe import serious
from .conftest import SERVE_WITH_IMPORTS, RunningServer
from .player_page import OpenPage
from .samples import ADMIN, PASSWORD
from .test_import_over_rest import MAPPING
from .test_uploads import TABLE

pytest_plugins = ("tests.player_page",)


def archive(**files: bytes) -> dict[str, object]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as writing:
        for name, content in files.items():
            writing.writestr(name.replace("__", "."), content)
    return {"name": "play.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}


def add(page: Page, **files: bytes) -> None:
    """With the keyboard, as far as the browser's own dialog allows."""
    page.get_by_role("button", name="Add a recording").press("Enter")
    page.locator("#add-files").set_input_files(archive(**files))  # type: ignore[arg-type]
    expect(page.get_by_role("dialog")).to_contain_text("play.zip: 1 file")
    page.get_by_role("dialog").get_by_label("Title").press("Enter")


def test_from_the_file_to_the_player(
    open_page: OpenPage, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(program=SERVE_WITH_IMPORTS)
    player = open_page(f"{server.url}/login/", viewport={"width": 390, "height": 800})
    page = player.page
    page.fill("[name=username]", ADMIN)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(server.url + "/")
    page.evaluate("window.sameDocument = true")

    page.get_by_role("button", name="Add a recording").click()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Escape")

    add(page, play__csv=TABLE, mapping__yaml=MAPPING.encode())
    card = page.locator("[data-slug=play]")
    expect(card).to_have_attribute("data-state", "ready")

    add(page, notes__txt=b"nothing that is known")
    failed = page.locator("[data-slug=play-2]")
    expect(failed).to_have_attribute("data-state", "failed")
    expect(failed).to_contain_text("Import failed: ")
    assert page.evaluate("window.sameDocument"), "the page was loaded again"

    failed.get_by_role("button", name="Manage play.zip").press("Enter")
    expect(page.get_by_role("button", name="Import again")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Delete…").press("Enter")
    page.get_by_role("button", name="Delete it for good").press("Enter")
    expect(failed).to_have_count(0)

    card.get_by_role("button").click()
    title = page.get_by_role("dialog").get_by_label("Title")
    title.fill("Our play")
    title.press("Enter")
    expect(card.get_by_role("heading")).to_have_text("Our play")
    card.get_by_role("link").click()
    player.ready()
    # A refused import is told by its message alone.
    assert player.problems == []
