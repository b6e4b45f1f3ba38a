"""Seek → first frame, idle and beside a thousand viewers; and that nothing old comes after it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .figures import Figure, percentile
from .load import LoadProcess
from .processes import race_data, serving

GOAL_MS = 50.0


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20 if quick else 120)
    with serving(data, MESSAGES_PER_SECOND="100000") as service:
        url = service.websocket("/ws/sessions/bench/")
        for encoding in ("segments", "rows"):
            yield _seeks(url, f"idle, {encoding}", 1, encoding, 3, pause=0.005)
        watching = 200 if quick else 1000
        spec = {"mode": "viewers", "url": url, "count": watching, "tail_frames": 25 * 300}
        with LoadProcess(**spec) as viewers:
            time.sleep(4)
            yield _seeks(
                url, f"beside {watching:,} viewers", 20, "segments", 5 if quick else 15, pause=0.1
            )
            viewers.measure()
            yield from _random_seeks(url, 5_000 if quick else 100_000)
            found = viewers.stop()
        yield Figure(
            "seek",
            "viewers that were late meanwhile",
            found["late"],
            f"of {found['messages']:,} messages",
            watching,
            found["seconds"],
            spread=f"{found['lost']} lost",
        )


def _seeks(url: str, name: str, count: int, encoding: str, seconds: float, pause: float) -> Figure:
    spec = {"mode": "seek", "url": url, "count": count, "pause": pause}
    with LoadProcess(**spec, hello={"encoding": encoding}) as load:
        load.measure()
        time.sleep(seconds)
        found = load.stop()
    answers = [1000 * a for a in found["answers"]]
    p99 = percentile(answers, 99)
    return Figure(
        "seek",
        f"first frame p99, {name}",
        p99,
        "ms",
        len(answers),
        found["seconds"],
        spread=f"p50 {percentile(answers, 50):.2f}, max {max(answers):.1f}",
        goal=f"≤ {GOAL_MS:g}" if "beside" in name else "",
        met=p99 <= GOAL_MS if "beside" in name else None,
    )


def _random_seeks(url: str, wanted: int) -> Iterator[Figure]:
    """As many seeks as fast as they are answered; counts data older than the confirmed one."""
    with LoadProcess(mode="seek", url=url, count=16, pause=0.0) as load:
        load.measure()
        begun = time.monotonic()
        seeks = stale = 0
        while seeks < wanted and time.monotonic() - begun < 120:
            time.sleep(2)
            found = load.stop()
            seeks, stale = found["answered"], found["stale"]
    yield Figure(
        "seek",
        "stale messages after a confirmed seek",
        stale,
        "",
        seeks,
        time.monotonic() - begun,
        goal="0",
        met=stale == 0,
    )
