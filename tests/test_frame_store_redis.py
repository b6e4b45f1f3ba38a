"""Redis down, slow, full and back again; and one cluster making each piece once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from faults.proxy import FaultProxy
from replayproject.backing import find_server, start_server
from streaming.playback.protocol import MIN_LEAD
from streaming.redis.clients import RedisClients
from streaming.store.catalogue import SessionInfo
from streaming.store.frame_store import FrameStore, SegmentKey
from streaming.store.shared_cache import MAX_RETRY_SECONDS, SharedCache
from tests.conftest import ROOT
from tests.recordings import record
from tests.samples import small_race

MEMORY = 20_000_000


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> SessionInfo:
    return record(tmp_path_factory.mktemp("recordings"), small_race(seconds=40))


@pytest.fixture
async def proxy(valkey: str, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    target = Path(valkey.removeprefix("unix://"))
    async with FaultProxy(target, tmp_path / "redis.sock") as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[FrameStore]:
    """A store whose Redis is behind the proxy, with keys and a clock of its own.

    Patient: a busy machine must not look like a slow Redis.
    """
    store = FrameStore(memory_bytes=MEMORY)
    url = f"unix://{tmp_path}/redis.sock"
    clock = Clock()
    store.shared = SharedCache(
        RedisClients(url, answer_seconds=30),
        prefix=f"{tmp_path.name}:",
        clock=clock,
        answer_seconds=20.0,
    )
    store.clock = clock  # type: ignore[attr-defined]
    yield store
    await store.close()


async def play(store: FrameStore, info: SessionInfo, indices: range) -> list[bytes]:
    """What a viewer at 4x needs, piece after piece."""
    return [await store.segment(info, SegmentKey(info.version, 4, index)) for index in indices]


@pytest.fixture
async def expected(info: SessionInfo) -> list[bytes]:
    plain = FrameStore(memory_bytes=MEMORY)
    result = await play(plain, info, range(10))
    await plain.close()
    return result


async def test_what_one_worker_made_another_finds(
    info: SessionInfo, valkey: str, tmp_path: Path, expected: list[bytes]
) -> None:
    stores = [FrameStore(memory_bytes=MEMORY) for _ in range(2)]
    for store in stores:
        store.shared = SharedCache(
            RedisClients(valkey, answer_seconds=30), prefix=f"{tmp_path.name}:", answer_seconds=20.0
        )
    assert await play(stores[0], info, range(10)) == expected
    await offered(stores[0])
    assert await play(stores[1], info, range(10)) == expected
    assert stores[1].counts["built"] == 0
    assert stores[1].stats()["redis"]["hits"] == 10
    rows = await stores[0].rows(info, 0, 50)
    await offered(stores[0])
    assert await stores[1].rows(info, 0, 50) == rows
    assert stores[1].counts["built"] == 0
    for store in stores:
        await store.close()


async def offered(store: FrameStore) -> None:
    """Until what was made has been put into Redis, which happens behind the viewer's back."""
    assert store.shared is not None
    while store.shared._pending:
        await asyncio.wait(set(store.shared._pending))


async def test_whole_segments_of_stride_1_never_go_through_redis(
    store: FrameStore, info: SessionInfo
) -> None:
    for index in range(20):
        await store.segment(info, SegmentKey(info.version, 1, index))
    assert store.stats()["redis"] == {"available": True, "full": False}


async def test_redis_down_and_back(
    store: FrameStore, proxy: FaultProxy, info: SessionInfo, expected: list[bytes]
) -> None:
    assert store.shared is not None
    proxy.refusing = True
    assert await play(store, info, range(8)) == expected[:8]
    stats = store.stats()["redis"]
    assert stats["down"] == 3, "three failures, then it is left alone"
    assert stats["skipped"] >= 5
    assert not stats["available"]
    asked = proxy.connections
    assert await play(store, info, range(8, 9)) == expected[8:9]
    assert proxy.connections == asked
    proxy.refusing = False
    store.clock.now += MAX_RETRY_SECONDS  # type: ignore[attr-defined]
    assert await play(store, info, range(9, 10)) == expected[9:10]
    await offered(store)
    stats = store.stats()["redis"]
    assert stats["available"]
    assert stats["stored"] == 1


async def test_redis_lost_in_the_middle(
    store: FrameStore, proxy: FaultProxy, info: SessionInfo, expected: list[bytes]
) -> None:
    assert await play(store, info, range(3)) == expected[:3]
    await offered(store)
    proxy.refusing = True
    proxy.reset()
    assert await play(store, info, range(3, 10)) == expected[3:]
    assert store.stats()["redis"]["down"] >= 1


async def test_redis_slow(
    store: FrameStore, proxy: FaultProxy, info: SessionInfo, expected: list[bytes]
) -> None:
    assert await play(store, info, range(1)) == expected[:1]
    await offered(store)
    assert store.shared is not None
    store.shared._answer_seconds = 0.04
    proxy.latency = 0.1
    assert await play(store, info, range(1, 10)) == expected[1:]
    stats = store.stats()["redis"]
    assert stats["slow"] >= 3
    assert not stats["available"]
    assert store.counts["built"] == 10


def fill(url: str) -> None:
    """Write until not even a byte more is taken."""
    with redis.Redis.from_url(url) as client:
        for size in (10_000, 1000, 1):
            with contextlib.suppress(redis.OutOfMemoryError):
                for i in itertools.count():
                    client.set(f"filler{size}-{i}", bytes(size))


async def test_redis_full(info: SessionInfo, expected: list[bytes], tmp_path: Path) -> None:
    binary = find_server()
    if binary is None:
        pytest.skip("no valkey-server or redis-server here")
    full = ("--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    with start_server(binary, *full) as backing:
        store = FrameStore(memory_bytes=MEMORY)
        clock = Clock()
        store.shared = SharedCache(
            RedisClients(backing.url, answer_seconds=30), clock=clock, answer_seconds=20.0
        )
        assert await play(store, info, range(1)) == expected[:1]
        await offered(store)
        fill(backing.url)
        assert await play(store, info, range(1, 5)) == expected[1:5]
        stats = store.stats()["redis"]
        assert stats["full"]
        assert stats["refused_full"] >= 1
        assert stats["available"]
        # What is there can still be read.
        other = FrameStore(memory_bytes=MEMORY)
        other.shared = SharedCache(
            RedisClients(backing.url, answer_seconds=30), answer_seconds=20.0
        )
        assert await play(other, info, range(1)) == expected[:1]
        assert other.counts["built"] == 0
        with redis.Redis.from_url(backing.url) as client:
            client.delete(*client.keys("filler*"))
        clock.now += 60
        assert await play(store, info, range(5, 6)) == expected[5:6]
        await offered(store)
        assert not store.stats()["redis"]["full"]
        assert store.stats()["redis"]["stored"] == stats["stored"] + 1
        await store.close()
        await other.close()


async def test_a_maker_that_fails_gives_the_right_back(
    info: SessionInfo, valkey: str, tmp_path: Path
) -> None:
    shared = SharedCache(
        RedisClients(valkey, answer_seconds=30), prefix=f"{tmp_path.name}:", answer_seconds=20.0
    )
    first = await shared.claim("piece")
    assert first.value is None
    shared.release(first)
    while shared._pending:
        await asyncio.wait(set(shared._pending))
    second = await shared.claim("piece")
    assert second.token
    assert second.value is None
    shared.offer(second, b"made")
    while shared._pending:
        await asyncio.wait(set(shared._pending))
    assert (await shared.claim("piece")).value == b"made"
    shared.close()


async def test_a_maker_that_has_died_holds_nobody_up(
    redis_clients: RedisClients, tmp_path: Path
) -> None:
    """It took the lock and never offered: each piece is waited for less than any buffer holds."""
    clock = Clock()
    mine = SharedCache(redis_clients, prefix=f"{tmp_path.name}:", answer_seconds=20.0, clock=clock)
    dead = SharedCache(redis_clients, prefix=f"{tmp_path.name}:", answer_seconds=20.0)
    assert (await dead.claim("piece")).token
    waiting = asyncio.create_task(mine.claim("piece"))
    while not mine.counts["waited_for_others"]:  # noqa: ASYNC110 - a counter sets no event
        await asyncio.sleep(0)
    clock.now += MIN_LEAD
    claim = await waiting
    assert (claim.value, claim.token, claim.shared) == (None, "", False)
    assert mine.counts["gave_up_waiting"] == 1
    mine.close()
    dead.close()


@pytest.mark.long
def test_four_workers_and_two_hundred_viewers_make_each_piece_once(
    info: SessionInfo, valkey: str
) -> None:
    arguments = [str(info.path), info.version, str(info.frame_count), valkey, "50"]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.frame_store_worker", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = [json.loads(worker.stdout.readline()) for worker in workers]  # type: ignore[union-attr]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert sum(worker["built"] for worker in found) == 6 + 4, found
