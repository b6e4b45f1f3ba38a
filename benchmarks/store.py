"""The frame store: what a piece costs cold, from Redis, from the file and from memory."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from replayproject.backing import find_server, start_server
from sessions_app.recording.file import Recording
from streaming.redis.clients import RedisClients
from streaming.server.daphne import SWITCH_SECONDS
from streaming.store.catalogue import SessionInfo
from streaming.store.frame_store import FrameStore, SegmentKey
from streaming.store.shared_cache import SharedCache

from .figures import Figure, middle_half
from .processes import race_data

MEMORY = 64_000_000


def run(quick: bool) -> Iterator[Figure]:
    path = next((race_data(20) / "recordings").glob("*.mcap"))
    sys.setswitchinterval(SWITCH_SECONDS)  # as the server does
    binary = find_server()
    if binary is None:
        raise RuntimeError("the store is measured with valkey-server or redis-server: none found")
    with start_server(binary) as backing:
        yield from asyncio.run(_measure(path, backing.url, 100 if quick else 400))


def _info(path: Path) -> SessionInfo:
    with Recording(path) as recording:
        return SessionInfo(
            slug="bench",
            title="",
            kind="race",
            state="ready",
            version=recording.version,
            path=path,
            progress=100,
            message="",
            frame_rate=recording.schema.frame_rate,
            frame_count=recording.frame_count,
            access="public",
            lap_length=5000.0,
        )


def _sharing(url: str) -> FrameStore:
    """A worker's store, with clients of Redis of its own."""
    shared = SharedCache(RedisClients(url)) if url else None
    return FrameStore(memory_bytes=MEMORY, shared=shared)


async def _measure(path: Path, url: str, n: int) -> list[Figure]:
    info = _info(path)
    figures = []
    first, second = (_sharing(url) for _ in range(2))
    await first.schema(info)
    await second.schema(info)
    segments = info.frame_count // 25

    def note(what: str, times: list[float]) -> None:
        times = [1e6 * t for t in times]
        median = sorted(times)[len(times) // 2]
        figures.append(
            Figure("store", what, median, "µs", len(times), 0, spread=middle_half(times))
        )

    indices = random.Random(3).sample(range(segments), min(n, segments))

    async def slices(index: int) -> None:
        first.segment_if_cached(SegmentKey(info.version, 1, index))

    note("segment, stride 1, from the file", await _times(slices, indices))
    note("segment, stride 1, from memory", await _times(slices, indices))
    note("segment of that size from Redis", await _redis_times(url, first, info, indices))
    coarse = list(range(info.frame_count // (25 * 8)))[:n]
    key = SegmentKey(info.version, 8, 0)
    note(
        "segment, stride 8, made",
        await _times(lambda i: first.segment(info, key._replace(index=i)), coarse),
    )
    await asyncio.sleep(0.2)
    note(
        "segment, stride 8, another worker's from Redis",
        await _times(lambda i: second.segment(info, key._replace(index=i)), coarse),
    )
    await asyncio.sleep(0.2)
    blocks = [25 * i for i in indices[:n]]
    note("25 rows, made", await _times(lambda frame: first.rows(info, frame, 25), blocks))
    await asyncio.sleep(0.2)
    note(
        "25 rows, another worker's from Redis",
        await _times(lambda frame: second.rows(info, frame, 25), blocks),
    )
    note("25 rows, from memory", await _times(lambda frame: second.rows(info, frame, 25), blocks))
    figures += await _arrivals(info, url, n)
    await first.close()
    await second.close()
    return figures


async def _times(work: Callable[[int], Awaitable[object]], items: list[int]) -> list[float]:
    result = []
    for item in items:
        begun = time.perf_counter()
        await work(item)
        result.append(time.perf_counter() - begun)
    return result


async def _redis_times(
    url: str, store: FrameStore, info: SessionInfo, indices: list[int]
) -> list[float]:
    """What a stride-1 segment would take from Redis, which is why it is not kept there."""
    clients = RedisClients(url)
    shared = SharedCache(clients, prefix="bench:")
    for index in indices:
        await shared.put(str(index), await store.segment(info, SegmentKey(info.version, 1, index)))
    times = await _times(lambda index: shared.get(str(index)), indices)
    await clients.close()
    return times


async def _arrivals(info: SessionInfo, url: str, n: int) -> list[Figure]:
    """Two hundred at once on a cold session, over four stores: how often each piece is made."""
    stores = [_sharing(url) for _ in range(4)]
    keys = [SegmentKey(info.version, 16, i) for i in range(4)]
    await asyncio.gather(*(stores[i % 4].segment(info, keys[(i // 4) % 4]) for i in range(200)))
    built = sum(s.counts["built"] for s in stores)
    joined = sum(s.counts["joined"] for s in stores)
    for store in stores:
        await store.close()
    return [
        Figure(
            "store",
            "pieces made for 200 at once on 4 stores, 4 keys",
            built,
            "",
            200,
            0,
            spread=f"{joined} joined one under way",
            goal="4",
            met=built == len(keys),
        )
    ]
