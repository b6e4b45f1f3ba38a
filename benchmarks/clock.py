"""How far the playhead is from where it should be after a minute, at several speeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from streaming.client.client import ReplayClient, connect

from .figures import Figure
from .processes import race_data, serving

SPEEDS = (0.5, 1.0, 4.0, 16.0, -1.0)


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20 if quick else 120)
    seconds = 10.0 if quick else 60.0
    with serving(data) as service:
        url = service.websocket("/ws/sessions/bench/")
        measured = asyncio.run(_measure_all(url, seconds))
    for speed, (error, doubt, drawn) in zip(SPEEDS, measured, strict=True):
        yield Figure(
            "clock",
            f"playhead error at {speed:g}x",
            error,
            "frames",
            drawn,
            seconds,
            spread=f"± {doubt:.2f} (round trip)",
            goal="≤ 1",
            met=abs(error) <= 1.0 + doubt,
        )


async def _measure_all(url: str, seconds: float) -> list[tuple[float, float, int]]:
    return list(await asyncio.gather(*(_measure(url, speed, seconds) for speed in SPEEDS)))


async def _measure(url: str, speed: float, seconds: float) -> tuple[float, float, int]:
    """(error in frames, how far the measurement itself may be off, frames received)."""
    async with connect(url, encoding="rows") as replay:
        rate = replay.session["frame_rate"]
        last = replay.session["frame_count"] - 1
        start = last - 100 if speed < 0 else 100
        await replay.seek(frame=start)
        await replay.play(speed=speed)
        frames = await anext(replay)
        # The clock starts with the first data: this is when, as seen from here.
        begun = time.monotonic()
        received = 1
        while time.monotonic() < begun + seconds:
            frames = await anext(replay)
            received += len(frames)
        error, doubt = await _compare(replay, start, speed * rate, begun)
        return error, doubt, received


async def _compare(
    replay: ReplayClient, start: int, frames_a_second: float, begun: float
) -> tuple[float, float]:
    asked = time.monotonic()
    state = await replay.pause()
    answered = time.monotonic()
    expected = start + frames_a_second * ((asked + answered) / 2 - begun)
    # `state` gives whole frames, the round trip is not known to be symmetric, and the first data
    # took half of one to get here.
    doubt = 0.5 + abs(frames_a_second) * (answered - asked)
    return state.frame - expected, doubt
