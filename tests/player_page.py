"""A page in a real Chromium, and its player's state as the page itself tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .marks import needs_mark

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MILLISECONDS = 60_000
expect.set_options(timeout=30_000)  # of this process, for every test in a browser

_UNTIL = """
([condition, timeout]) => new Promise((resolve, reject) => {
  const begun = performance.now();
  const holds = CONDITION;
  const check = () => {
    const r = window.__replay;
    if (r && holds(r)) resolve(r);
    else if (performance.now() - begun > timeout)
      reject(new Error(`not within ${timeout} ms: ${condition}; ${JSON.stringify(r)}`));
    else setTimeout(check, 20);
  };
  check();
})
"""


class PlayerPage:
    """One open page. `problems`: whatever its console, scripts or requests complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on(
            "console",
            lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def state(self) -> dict[str, Any]:
        """`window.__replay`."""
        state: dict[str, Any] = self.page.evaluate("window.__replay")
        return state

    def until(self, condition: str, timeout: int = WAIT_MILLISECONDS) -> dict[str, Any]:
        """The state at the first moment at which `condition`, JavaScript about `r`, holds."""
        script = _UNTIL.replace("CONDITION", f"(r) => ({condition})")
        state: dict[str, Any] = self.page.evaluate(script, [condition, timeout])
        return state

    def until_page(self, condition: str, timeout: int = WAIT_MILLISECONDS) -> None:
        """Wait until `condition`, JavaScript about the document, holds."""
        self.until(f"({condition})", timeout)

    def ready(self) -> dict[str, Any]:
        """The state once the recording is on the page with its panels, and its picture is there."""
        return self.until("r.complete && r.status === 'paused'")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def cells(self, row: int) -> list[str]:
        """The texts of a row of the leaderboard, from 0."""
        script = "(i) => [...document.querySelectorAll('.leaderboard tbody tr')][i].innerText"
        return str(self.page.evaluate(script, row)).split("\t")


OpenPage = Callable[..., PlayerPage]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for a module: its event loop must be gone before asyncio tests run."""
    needs_mark("browser")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """open_page(url, **options of the browser context) → PlayerPage; all are closed again."""
    contexts = []

    def open_(url: str, **options: Any) -> PlayerPage:
        options.setdefault("viewport", {"width": 1400, "height": 860})
        context = browser.new_context(**options)
        contexts.append(context)
        player = PlayerPage(context.new_page())
        player.page.goto(url)
        return player

    yield open_
    for context in contexts:
        context.close()
