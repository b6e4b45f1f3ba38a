"""Redis or Valkey: killed, frozen, slow, full, restarted empty, with another password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from replayproject.backing import Backing, find_server, start_server
from streaming.client import ReplayClient, connect

from ..proxy import FaultProxy
from ..report import Promise, Seen
from ..service import Service, kill, seconds_until
from ..stage import HEAL_SECONDS, SLUG, Skip, Stage
from ..viewers import Audience

RATE = 25.0


@dataclass
class Broken:
    """A service on two workers whose Redis is ours to break, and who watches it.

    room: two more viewers, one of them on each worker as far as chance has it, who share a room.
    """

    service: Service
    people: Audience
    proxy: FaultProxy
    backing: Backing
    room: list[ReplayClient]

    async def room_is_whole(self) -> bool:
        """Whether a seek of one member takes the other along."""
        leader, other = self.room
        target = 5000 + int(time.monotonic() * 10) % 5000
        try:
            async with asyncio.timeout(2):
                await leader.seek(frame=target)
                while abs(other.state.frame - target) > RATE:  # noqa: ASYNC110 - it sets no event
                    await asyncio.sleep(0.02)
        except Exception:
            return False
        return True

    async def healthy(self) -> bool:
        return await self.service.ready() and await self.room_is_whole()


@asynccontextmanager
async def broken_redis(stage: Stage) -> AsyncIterator[Broken]:
    binary = find_server()
    if binary is None:
        raise Skip("no valkey-server or redis-server")
    with start_server(binary) as backing:
        target = Path(backing.url.removeprefix("unix://"))
        async with FaultProxy(target) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}/0"
            async with (
                stage.service(workers=2, REDIS_URL=url) as service,
                stage.watched(service, segments=30, rows=4) as people,
                connect(service.websocket(SLUG), fields=["x"], max_retries=40) as ann,
                connect(service.websocket(SLUG), fields=["x"], max_retries=40) as bob,
            ):
                await ann.join("faults")
                await bob.join("faults")
                yield Broken(service, people, proxy, backing, [ann, bob])


Disturb = Callable[[Broken, float], Awaitable[None]]


def _row(disturb: Disturb) -> Callable[[Stage], Awaitable[Seen]]:
    """disturb: breaks it for so many seconds, and mends it."""

    async def run(stage: Stage) -> Seen:
        async with broken_redis(stage) as broken:
            await disturb(broken, stage.seconds(20, 4))
            seen = await stage.after(broken.people, broken.healthy)
            seen.told = _told(broken.service)
            return seen

    return run


def _told(service: Service) -> str:
    """The first warning that is not about a slow machine, without its time."""
    lines = [
        line.partition("]")[2].strip()
        for line in service.log().splitlines()
        if "[warning" in line and "event loop was blocked" not in line
    ]
    return lines[0][:160] if lines else "nothing"


async def _frozen(broken: Broken, seconds: float) -> None:
    broken.proxy.frozen = True
    await asyncio.sleep(seconds)
    broken.proxy.frozen = False


async def _slow(broken: Broken, seconds: float) -> None:
    broken.proxy.latency = 0.25
    await asyncio.sleep(seconds)
    broken.proxy.latency = 0.0


async def _full(broken: Broken, seconds: float) -> None:
    async with Redis.from_url(broken.backing.url) as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1")
        await asyncio.sleep(seconds)
        await redis.config_set("maxmemory", "512mb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")


async def _emptied(broken: Broken, seconds: float) -> None:
    broken.proxy.refusing = True
    broken.proxy.reset()
    async with Redis.from_url(broken.backing.url) as redis:
        await redis.flushall()
    await asyncio.sleep(1.0)
    broken.proxy.refusing = False


async def _password(broken: Broken, seconds: float) -> None:
    async with Redis.from_url(broken.backing.url) as redis:
        await redis.config_set("requirepass", "another")
        broken.proxy.reset()
        await asyncio.sleep(seconds)
        await redis.config_set("requirepass", "")


async def private_killed(stage: Stage) -> Seen:
    """The Valkey that the service has started for itself."""
    async with (
        stage.service(workers=2) as service,
        stage.watched(service, segments=30, rows=4) as people,
    ):
        cache = service.cache()
        if cache is None:
            raise Skip("no private Valkey on this machine")
        kill(cache)

        async def healthy() -> bool:
            return service.cache() is not None and await service.ready()

        healed = await seconds_until(healthy, HEAL_SECONDS)
        seen = await stage.after(people, healthy)
        seen.healthy = healed
        seen.told = _told(service)
        return seen


ROWS = {
    "private Valkey killed": (private_killed, Promise(still_rows=0.0, healthy=5.0)),
    "Redis frozen 20 s": (_row(_frozen), Promise(still_rows=0.0, healthy=5.0)),
    "Redis slow, 500 ms": (_row(_slow), Promise(still_rows=0.0, healthy=5.0)),
    "Redis full": (_row(_full), Promise(still_rows=0.0, healthy=2.0)),
    "Redis restarted empty": (_row(_emptied), Promise(still_rows=0.0, healthy=5.0)),
    "Redis wants another password": (_row(_password), Promise(still_rows=0.0, healthy=5.0)),
}
