"""The player in Chromium: its work and allocation per displayed frame, decoding, long tasks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from .figures import Figure, percentile
from .processes import race_data, serving

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
WATCH = """
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) longTasks.push(entry.duration);
  }).observe({type: "longtask"});
  window.ownScripts = [];
  new PerformanceObserver((list) => {
    for (const frame of list.getEntries()) {
      for (const script of frame.scripts) {
        if (!script.sourceURL.includes("/static/streaming/")) continue;
        ownScripts.push([script.duration, script.sourceFunctionName || script.invoker]);
      }
    }
  }).observe({type: "long-animation-frame"});
  window.displayed = {frames: 0, missed: 0, last: 0};
  requestAnimationFrame(function look(now) {
    requestAnimationFrame(look);
    const step = now - displayed.last;
    displayed.last = now;
    displayed.frames += 1;
    if (displayed.frames > 1) displayed.missed += Math.max(0, Math.round(step / (1000 / 60)) - 1);
  });
"""
SEEK_EVERY = 10.0
SAMPLE_EVERY = 256
"""Bytes between two samples of what is allocated: a few per displayed frame."""
SAMPLED_SECONDS = 5.0
MOST_DRAWN = 3.5
"""kB that drawing one frame of 20 cars may allocate. What is left is the fractions that are handed
to the canvas, some 16 bytes each, which only the browser itself could avoid."""


def run(quick: bool) -> Iterator[Figure]:
    """A glance."""
    yield from _measured(15.0 if quick else 45.0)


def soak() -> Iterator[Figure]:
    """Ten minutes, which is what memory has to be judged by."""
    yield from _measured(600.0)


def _measured(seconds: float) -> Iterator[Figure]:
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        print("player    skipped: no Chromium on PATH (Debian package: chromium)")
        return
    with serving(race_data(20)) as service, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        yield from measure(page, f"{service.url}/sessions/bench/?t=60", seconds, settle=5.0)
        browser.close()


def measure(page: Page, address: str, seconds: float, *, settle: float) -> Iterator[Figure]:
    """Open a session, play it for so long, and say what that cost. settle: seconds of play that do
    not count."""
    page.add_init_script(WATCH)
    page.goto(address)
    _until(page, "r.frameCount > 0 && r.status === 'paused'")
    page.wait_for_timeout(1000)
    yield _longest("longest task while it opens", page)
    page.keyboard.press("k")
    _until(page, "r.status === 'playing'")
    page.wait_for_timeout(1000 * settle)
    session = page.context.new_cdp_session(page)
    yield from _watched(page, session, seconds)
    allocated, frames = allocation(page, session, SAMPLED_SECONDS)
    yield Figure(
        "player", "allocated to draw a frame, 20 cars", allocated / frames / 1000, "kB", frames,
        SAMPLED_SECONDS, goal=f"≤ {MOST_DRAWN:g}", met=allocated / frames / 1000 <= MOST_DRAWN,
    )  # fmt: skip


def _watched(page: Page, session: CDPSession, seconds: float) -> Iterator[Figure]:
    """Play for so long, with a seek every ten seconds from the first on."""
    heap = _heap(session)
    # Collecting on demand is a long task of ours, not of the page's.
    page.evaluate(
        "longTasks.length = ownScripts.length = 0; displayed.frames = displayed.missed = 0"
    )
    work, fps = [], []
    first = _state(page)
    begun = time.monotonic()
    seeks = 0
    while time.monotonic() - begun < seconds:
        page.wait_for_timeout(1100)
        state = _state(page)
        work.append(state["work"])
        fps.append(state["fps"])
        if time.monotonic() - begun >= SEEK_EVERY * seeks:
            seeks += 1
            page.keyboard.press(str(1 + seeks % 8))
    took = time.monotonic() - begun
    last = _state(page)
    shown: dict[str, int] = page.evaluate("displayed")
    grown = (_heap(session) - heap) / 1e6
    frames = 25 * max(1, last["segments"] - first["segments"])
    decoding = (last["decoding"] - first["decoding"]) / frames
    mean = sum(work) / len(work)
    missed = 100 * shown["missed"] / (shown["frames"] + shown["missed"])

    def figure(what: str, value: float, unit: str, n: int, goal: float, spread: str = "") -> Figure:
        return Figure(
            "player", what, value, unit, n, took, spread=spread, goal=f"≤ {goal:g}",
            met=value <= goal,
        )  # fmt: skip

    yield figure(
        "main thread per displayed frame, 20 cars", mean, "ms", shown["frames"], 2.0,
        f"worst second {max(work):.2f}",
    )  # fmt: skip
    yield figure("decoding per frame, in the worker", decoding, "ms", frames, 0.05)
    yield figure("heap growth after collection", grown, "MB", seeks, 10, f"{seeks} seeks")
    yield _longest("longest task while it plays and seeks", page)
    yield figure(
        "display frames missed", missed, "%", shown["frames"], 1,
        f"p50 {percentile(fps, 50):.1f} frames a second",
    )  # fmt: skip


def allocation(page: Page, session: CDPSession, seconds: float) -> tuple[float, int]:
    """Bytes that drawing allocated in so many seconds of play, and the frames displayed in them.

    The texts of the panels, which change a few times a second, are not part of it.
    """
    before = page.evaluate("displayed.frames")
    session.send(
        "HeapProfiler.startSampling",
        {
            "samplingInterval": SAMPLE_EVERY,
            "includeObjectsCollectedByMajorGC": True,
            "includeObjectsCollectedByMinorGC": True,
        },
    )
    page.wait_for_timeout(1000 * seconds)
    profile = session.send("HeapProfiler.stopSampling")["profile"]
    frames = page.evaluate("displayed.frames") - before
    return _drawn(profile["head"], drawing=False), frames


def _drawn(node: dict[str, Any], *, drawing: bool) -> float:
    """Bytes allocated below a node of the profile by `animate` of ui/player.js and what it calls,
    but for the functions without a name there: those write texts."""
    where = node["callFrame"]
    if where["url"].endswith("/ui/player.js"):
        drawing = where["functionName"] != "" and (drawing or where["functionName"] == "animate")
    own = float(node["selfSize"]) if drawing else 0.0
    return own + sum(_drawn(child, drawing=drawing) for child in node["children"])


def _longest(what: str, page: Page) -> Figure:
    """The longest that our scripts held the main thread, and the browser's tasks beside it.

    A task also lasts while the compositor has the thread wait, or another process the processor:
    without a graphics card most of the long ones run for a few milliseconds and wait for the rest.
    """
    own: list[tuple[float, str]] = page.evaluate("ownScripts")
    tasks: list[float] = page.evaluate("longTasks")
    longest, where = max(own, default=(0.0, "nothing"))
    over = sum(duration > 50 for duration, _ in own)
    return Figure(
        "player", what, longest, "ms", len(own), 0.0, goal="≤ 50", met=longest <= 50,
        spread=f"{over} over 50, in {where}; whole task {max(tasks, default=0.0):.0f}",
    )  # fmt: skip


def _state(page: Page) -> dict[str, Any]:
    state: dict[str, Any] = page.evaluate("window.__replay")
    return state


def _heap(session: CDPSession) -> float:
    """Bytes in use, after a collection."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"])


def _until(page: Page, condition: str) -> None:
    page.evaluate(
        f"""() => new Promise((resolve) => {{
          const check = () => {{
            const r = window.__replay;
            if (r && ({condition})) resolve(); else setTimeout(check, 50);
          }};
          check();
        }})"""
    )
