"""One of several workers for the test of making each piece once: waits for a line, then asks for
every piece that its arguments name, many times at once, and prints how many it made itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")
django.setup()

from streaming.redis.clients import RedisClients  # noqa: E402
from streaming.store import shared_cache  # noqa: E402
from streaming.store.catalogue import SessionInfo  # noqa: E402
from streaming.store.frame_store import FrameStore, SegmentKey  # noqa: E402
from streaming.store.shared_cache import SharedCache  # noqa: E402


async def main(path: str, version: str, frame_count: int, url: str, arrivals: int) -> None:
    info = SessionInfo(
        slug="sample",
        title="",
        kind="race",
        state="ready",
        version=version,
        path=Path(path),
        progress=100.0,
        message="",
        frame_rate=25.0,
        frame_count=frame_count,
        access="public",
    )
    store = FrameStore(memory_bytes=20_000_000)
    # A busy machine must not look like a lost Redis or maker here: the lock is what is tested.
    shared_cache.BUILD_WAIT_SECONDS, shared_cache.LOCK_MILLISECONDS = 60.0, 60_000
    store.shared = SharedCache(RedisClients(url, answer_seconds=30), answer_seconds=20.0)
    print("ready", flush=True)
    sys.stdin.readline()
    keys = [SegmentKey(version, 4, index) for index in range(6)]
    await asyncio.gather(
        *(store.segment(info, keys[i % len(keys)]) for i in range(arrivals)),
        *(store.rows(info, 25 * (i % 4), 10) for i in range(arrivals)),
    )
    print(json.dumps({"built": store.counts["built"], **store.shared.stats()}), flush=True)
    await store.close()


if __name__ == "__main__":
    _, path, version, frames, url, arrivals = sys.argv
    asyncio.run(main(path, version, int(frames), url, int(arrivals)))
