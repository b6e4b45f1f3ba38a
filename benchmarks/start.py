"""Cold start: from nothing to the first frame of a two-hour race."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from streaming.client.client import connect

from .figures import Figure
from .processes import race_data, serving

GOAL = 1.0


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20 if quick else 120)
    rounds = 2 if quick else 4
    ups, firsts = [], []
    for _ in range(rounds):
        begun = time.monotonic()
        with serving(data) as service:
            up = time.monotonic()
            asyncio.run(_first_frame(service.websocket("/ws/sessions/bench/")))
            firsts.append(time.monotonic() - up)
        ups.append(up - begun)
    n = rounds
    yield Figure(
        "start",
        "process up → first frame, nothing cached",
        max(firsts),
        "s",
        n,
        sum(firsts),
        spread=" ".join(f"{t:.3f}" for t in firsts),
        goal=f"≤ {GOAL:g}",
        met=max(firsts) <= GOAL,
    )
    yield Figure(
        "start",
        "command → listening (database, cache, one worker)",
        max(ups),
        "s",
        n,
        sum(ups),
        spread=" ".join(f"{t:.2f}" for t in ups),
    )


async def _first_frame(url: str) -> None:
    async with connect(url) as replay:
        await replay.seek(frame=replay.session["frame_count"] // 2)
        await anext(replay)
