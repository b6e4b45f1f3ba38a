"""One object owns what a process has one of; two of them share nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncRequestFactory

from streaming.playback.playhead import Playhead
from streaming.redis.clients import RedisClients
from streaming.worker import WORKER, WithWorker, Worker, worker_of

PLAYHEAD = Playhead(5.0, 1.0, False)


async def test_every_scope_holds_the_worker_which_has_started() -> None:
    seen: list[Any] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope[WORKER])

    worker = Worker()
    service = WithWorker(application, worker)
    for kind in ("http", "websocket"):
        await service({"type": kind}, None, None)
    assert seen == [worker, worker]
    assert worker.registry.monitor is not None
    await worker.close()
    assert worker.registry.monitor is None


async def test_two_workers_share_nothing() -> None:
    one, two = Worker(), Worker()
    await one.resume.ended("viewer", PLAYHEAD)
    assert await one.resume.get("viewer", 25.0) == PLAYHEAD
    assert await two.resume.get("viewer", 25.0) is None
    await one.close()
    await two.close()


async def test_two_workers_with_redis_share_what_is_there(valkey: str) -> None:
    one, two = Worker(redis_url=valkey, name="one"), Worker(redis_url=valkey, name="two")
    for worker in (one, two):
        worker.start()
    await one.resume.ended("shared", PLAYHEAD)
    assert await two.resume.get("shared", 25.0) == PLAYHEAD
    await one.close()
    await two.close()


async def test_a_worker_whose_redis_is_away_starts_and_ends() -> None:
    worker = Worker(redis_url="unix:///nonexistent/redis.sock")
    worker.start()
    await worker.resume.ended("viewer", PLAYHEAD)
    assert await worker.resume.get("viewer", 25.0) == PLAYHEAD
    await worker.close()
    assert isinstance(worker.redis, RedisClients)
    assert worker.redis.failures


async def test_draining_takes_no_more_viewers() -> None:
    worker = Worker()
    worker.start()
    assert not worker.draining
    await worker.drain()
    assert worker.draining
    await worker.close()


async def test_limits_come_from_the_settings() -> None:
    worker = Worker.from_settings(settings)
    limits = worker.admission.limits
    assert limits.connections == settings.MAX_CONNECTIONS
    assert limits.messages_per_second == settings.MESSAGES_PER_SECOND
    assert limits.ack_timeout == settings.ACK_TIMEOUT
    assert worker.redis is None
    await worker.close()


def test_a_request_without_a_worker_says_what_is_missing() -> None:
    with pytest.raises(LookupError, match=r"replayproject\.asgi\.application"):
        worker_of(AsyncRequestFactory().get("/"))
