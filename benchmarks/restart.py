"""What viewers see of it when their workers are replaced, told to end, or killed.

Stillness of a rows viewer, which has no buffer, is its longest wait for a row beyond a frame's
time. A segments viewer plays on from its buffer; it stands still when that is empty, so what is
left of the buffer at its lowest is told too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from streaming.client.client import ReplayClient, connect

from .figures import Figure, percentile
from .processes import Service, race_data, serving

GOAL_SECONDS = 1.0
SETTLE_SECONDS = 3.0
"""Of undisturbed playing before and after: twice what fills a buffer."""


@dataclass(slots=True)
class Watched:
    """One viewer as it looks to who sits in front of it. Times are seconds, monotonic."""

    client: ReplayClient
    start: int
    still: float = 0.0
    least_buffer: float = math.inf
    _generation: int = 0
    _begun: float = 0.0
    _until: float = 0.0
    _arrived: float = 0.0

    async def begin(self) -> None:
        """Play from `start` with an empty buffer."""
        await self.client.seek(frame=self.start)
        await self.client.play()

    def forget(self) -> None:
        """What was seen so far does not count, but for what the buffer holds."""
        self.still, self.least_buffer = 0.0, math.inf

    async def watch(self) -> None:
        """Look at what comes until cancelled."""
        rate = float(self.client.session["frame_rate"])
        rows = self.client.encoding == "rows"
        async for frames in self.client:
            now = time.monotonic()
            if frames.generation != self._generation:
                self._generation, self._begun, self._until = frames.generation, now, now
                self._arrived = now
            left = self._until - now
            if rows:
                self.still = max(self.still, now - self._arrived - 1 / rate)
            else:
                self.least_buffer = min(self.least_buffer, left)
                self.still = max(self.still, -left)
            held = self._begun + (float(frames.numbers[-1]) + 1 - self.start) / rate
            self._until = max(self._until, held)
            self._arrived = now


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20)
    counts = {"segments": 40 if quick else 100, "rows": 4 if quick else 10}
    with serving(data, workers=2) as service:
        yield from asyncio.run(_measure(service, counts))


async def _measure(service: Service, counts: dict[str, int]) -> list[Figure]:
    figures: list[Figure] = []
    url = service.websocket("/ws/sessions/bench/")
    async with contextlib.AsyncExitStack() as stack:
        watched: dict[str, list[Watched]] = {}
        tasks = []
        for encoding, count in counts.items():
            for i in range(count):
                client = await stack.enter_async_context(connect(url, encoding=encoding))
                watched.setdefault(encoding, []).append(Watched(client, 100 * i))
                tasks.append(asyncio.create_task(watched[encoding][-1].watch()))
        everyone = [w for group in watched.values() for w in group]
        for what, disturb in (
            ("undisturbed", _nothing),
            ("all workers replaced", _replace_all),
            ("one worker told to end", _terminate_one),
            ("one worker killed", _kill_one),
        ):
            await asyncio.gather(*(viewer.begin() for viewer in everyone))
            await asyncio.sleep(SETTLE_SECONDS)
            for viewer in everyone:
                viewer.forget()
            before = sum(w.client.reconnects for w in everyone)
            begun = time.monotonic()
            await disturb(service)
            await asyncio.sleep(SETTLE_SECONDS)
            seconds = time.monotonic() - begun
            for task in tasks:
                if task.done():
                    task.result()
            moved = sum(w.client.reconnects for w in everyone) - before
            for encoding, group in watched.items():
                figures.append(_figure(what, encoding, group, moved, seconds))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def _figure(what: str, encoding: str, group: list[Watched], moved: int, seconds: float) -> Figure:
    still = [w.still for w in group]
    spread = f"p50 {percentile(still, 50):.3f}, {moved} reconnections in all"
    least = min(w.least_buffer for w in group)
    if encoding == "segments" and math.isfinite(least):
        spread += f", least buffer {least:.1f} s"
    # Of a worker that is killed nobody is told; its viewers all come back at once.
    disturbed = what.endswith(("replaced", "end"))
    return Figure(
        "restart",
        f"longest stillness, {encoding}, {what}",
        max(still),
        "s",
        len(group),
        seconds,
        spread=spread,
        goal=f"≤ {GOAL_SECONDS:g}" if disturbed else "",
        met=max(still) <= GOAL_SECONDS if disturbed else None,
    )


def _workers(service: Service) -> list[psutil.Process]:
    family = psutil.Process(service.others[0]).children(recursive=True)
    return [p for p in family if not _ended(p) and "worker" in p.cmdline()]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.1)


def _ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def _nothing(service: Service) -> None:
    """What the machine itself adds."""


async def _replace_all(service: Service) -> None:
    before = _workers(service)
    os.kill(service.others[0], signal.SIGHUP)
    await _until(lambda: all(_ended(p) for p in before))


async def _terminate_one(service: Service) -> None:
    worker = _busiest(service)
    worker.terminate()
    await _until(lambda: _ended(worker) and len(_workers(service)) == 2)


async def _kill_one(service: Service) -> None:
    worker = _busiest(service)
    worker.kill()
    await _until(lambda: _ended(worker) and len(_workers(service)) == 2)


def _busiest(service: Service) -> psutil.Process:
    """The worker with the most connections."""
    return max(_workers(service), key=lambda p: len(p.net_connections("tcp")))
