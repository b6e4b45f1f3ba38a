"""The player plays in Firefox, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import RunningServer
from .firefox import firefox_page
from .samples import RACE_SLUG

RATE = 25

# The most different frames that a second showed; a busy machine gets a minute for one good second.
_DIFFERENT_FRAMES = """
new Promise((resolve) => {
  const begun = performance.now();
  const shown = [];
  let most = 0;
  const look = (now) => {
    shown.push([now, Math.floor(window.__replay.frame)]);
    while (shown[0][0] < now - 1000) shown.shift();
    if (now - begun > 1000) most = Math.max(most, new Set(shown.map(([, frame]) => frame)).size);
    if (most >= RATE || now - begun > 60000) resolve(most);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""


@pytest.mark.browser
def test_it_plays_every_frame_and_the_console_is_empty(
    firefox: str, server: RunningServer, tmp_path: Path
) -> None:
    with firefox_page(firefox, tmp_path) as page:
        page.open(f"{server.url}/sessions/{RACE_SLUG}/")
        page.until("r.complete && r.status === 'paused'")
        page.evaluate("document.querySelector('#start').click()")
        page.until("r.status === 'playing' && r.frame > 0")
        most = page.evaluate(_DIFFERENT_FRAMES.replace("RATE", str(RATE)))
        assert RATE - 1 <= most <= RATE + 2, "different frames in a second"
        assert page.problems == []
