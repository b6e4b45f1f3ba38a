"""Processes that die without a word: a worker, the supervisor."""

from __future__ import annotations

import asyncio
import time

import psutil

from ..report import Promise, Seen
from ..service import kill, seconds_until
from ..stage import HEAL_SECONDS, Stage


async def worker_killed(stage: Stage) -> Seen:
    """One of two workers, the busier, under many viewers."""
    segments, rows = stage.count(480, 60), stage.count(20, 6)
    async with (
        stage.service(workers=2) as service,
        stage.watched(service, segments=segments, rows=rows) as people,
    ):
        before = {p.pid for p in service.workers()}
        victim = service.busiest()
        kill(victim)

        async def healthy() -> bool:
            return len(service.workers()) == 2 and await service.ready()

        healed = await seconds_until(healthy, HEAL_SECONDS)
        seen = await stage.after(people, healthy)
        seen.healthy = healed
        after = {p.pid for p in service.workers()}
        if len(before & after) != 1:
            seen.broken.append("another worker ended too")
        _, text = await service.get("/metrics")
        if f":{victim.pid}" in text:
            seen.broken.append("the dead worker is still in the metrics")
        seen.told = _line(service.log(), "worker")
        return seen


async def supervisor_killed(stage: Stage) -> Seen:
    """The parent of all; then a new service on the same port."""
    async with stage.service(workers=2) as service:
        family = service.family()
        kill(psutil.Process(service.pid))
        began = time.monotonic()
        await service.start()
        seen = Seen(healthy=time.monotonic() - began, told="the next start listens at once")

        async def alone() -> bool:
            return not any(p.is_running() for p in family)

        gone = await seconds_until(alone, HEAL_SECONDS)
        if gone > 12:
            seen.broken.append(f"processes of the old service lived {gone:.0f} s more")
        await asyncio.sleep(0)
        return seen


def _line(log: str, word: str) -> str:
    """The last line of the log that has `word`, without its time."""
    lines = [line for line in log.splitlines() if word in line and "GET" not in line]
    return lines[-1][-160:] if lines else ""


ROWS = {
    "worker killed under 500 viewers": (worker_killed, Promise(still_rows=1.0, healthy=5.0)),
    "supervisor killed": (supervisor_killed, Promise(healthy=20.0)),
}
