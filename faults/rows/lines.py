"""Bad lines between viewers and the service: slow, half-open, torn, reset."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..lossy import lossy_link
from ..proxy import FaultProxy
from ..report import Promise, Seen
from ..service import Service
from ..stage import SETTLE_SECONDS, SLUG, Stage
from ..viewers import Truth, audience

Line = Callable[[FaultProxy, float], Awaitable[None]]


def _row(line: Line) -> Callable[[Stage], Awaitable[Seen]]:
    """Viewers on a line of their own, beside others whose line is good."""

    async def run(stage: Stage) -> Seen:
        async with stage.service() as service, FaultProxy(("127.0.0.1", service.port)) as proxy:

            async def worse(seconds: float) -> str:
                await line(proxy, seconds)
                return f"{proxy.connections} connections"

            return await _beside(stage, service, proxy.port, worse)

    return run


async def _beside(
    stage: Stage, service: Service, port: int, worse: Callable[[float], Awaitable[str]]
) -> Seen:
    """Viewers who come by `port`, whose line gets worse, and others. worse: says what it did."""
    truth = Truth(stage.recording(service))
    far = f"ws://127.0.0.1:{port}/ws/sessions/{SLUG}/"
    async with (
        stage.watched(service, segments=10, rows=4) as others,
        audience(far, truth, segments=10) as people,
    ):
        await people.play()
        await asyncio.sleep(SETTLE_SECONDS)
        people.forget()
        others.forget()
        before = service.memory()
        told = await worse(stage.seconds(20, 4))
        people.stop()
        still, wrong = people.still("segments"), people.wrong
        seen = await stage.after(others, service.ready)
        seen.still_segments = max(seen.still_segments, still)
        seen.wrong += wrong
        grown = (service.memory() - before) / 1e6
        seen.told = f"memory {grown:+.0f} MB, {told}"
        if grown > 20:
            seen.broken.append(f"memory grew by {grown:.0f} MB")
        return seen


async def lossy(stage: Stage) -> Seen:
    """5 % of the packets of both directions lost, the others 150 ms under way."""
    with lossy_link() as link:
        async with (
            stage.service() as service,
            FaultProxy(("127.0.0.1", service.port), link.listen()) as exit_,
            FaultProxy(lambda: link.connect(exit_.port)) as entrance,
        ):

            async def worse(seconds: float) -> str:
                link.loss, link.delay = 0.05, 0.15
                link.sent = link.lost = 0
                await asyncio.sleep(seconds)
                return f"{link.lost} of {link.sent} packets lost"

            return await _beside(stage, service, entrance.port, worse)


async def _slow(proxy: FaultProxy, seconds: float) -> None:
    """300 ms and 100 kbit/s: enough for 1x."""
    proxy.latency, proxy.bandwidth = 0.15, 12_500
    await asyncio.sleep(seconds)


async def _half_open(proxy: FaultProxy, seconds: float) -> None:
    """Nothing passes and nobody says so; shorter than the buffer."""
    proxy.frozen = True
    await asyncio.sleep(min(seconds, 6.0))
    proxy.frozen = False
    await asyncio.sleep(SETTLE_SECONDS)


async def _one_byte(proxy: FaultProxy, seconds: float) -> None:
    proxy.one_byte = True
    await asyncio.sleep(seconds)
    proxy.one_byte = False


async def _reset(proxy: FaultProxy, seconds: float) -> None:
    """Every connection is torn, again and again."""
    for _ in range(3):
        proxy.reset()
        await asyncio.sleep(seconds / 3)


ROWS = {
    "line of 100 kbit/s and 300 ms": (_row(_slow), Promise()),
    "line with 5 % loss and 300 ms": (lossy, Promise()),
    "line half-open for 6 s": (_row(_half_open), Promise()),
    "line that passes single bytes": (_row(_one_byte), Promise()),
    "line reset three times": (_row(_reset), Promise()),
}
