"""Viewers on the server: seeks stay exact, stalled ones stay cheap."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import psutil
import pytest

from streaming.client.client import connect
from tests.conftest import RunningServer
from tests.deaf_client import DeafClient
from tests.samples import RACE_SLUG, small_race

STALLED = 40
MOST_EACH = 400_000
"""Bytes of server memory: a stalled row viewer at 64x would pass it in a second without a bound.
Python's allocator is the larger part of it."""


@pytest.fixture
def running(server: RunningServer) -> tuple[int, int]:
    """(port, pid of the process that serves)."""
    tree = psutil.Process(server.process.pid).children(recursive=True)
    return server.port, next(p.pid for p in tree if "worker" in p.cmdline())


@pytest.mark.parametrize("encoding", ["segments", "rows"])
async def test_random_seeks_are_answered_exactly(running: tuple[int, int], encoding: str) -> None:
    choose = random.Random(4)
    recorded = small_race().columns.quantities("x")
    address = f"ws://127.0.0.1:{running[0]}/ws/sessions/{RACE_SLUG}/"
    async with connect(address, encoding=encoding, fields=["x"]) as client:
        await client.play(speed=2)
        for _ in range(100):
            target = choose.randrange(client.session["frame_count"])
            state = await client.seek(frame=target)
            frames = await anext(client)
            assert frames.generation == state.generation
            assert frames.numbers[0] <= target < frames.numbers[-1] + abs(frames.stride)
            if frames.rows:
                assert frames.rows[0]["frame_index"] == frames.numbers[0] == target
            np.testing.assert_array_equal(frames["x"], recorded[frames.numbers])


async def test_stalled_viewers_cost_little_and_the_others_go_on(
    running: tuple[int, int],
) -> None:
    port, pid = running
    address = f"ws://127.0.0.1:{port}/ws/sessions/{RACE_SLUG}/"
    with contextlib.ExitStack() as stack:
        async with connect(address, encoding="rows") as client:
            # The recording is long enough for any machine: at 8x it would last 15 s.
            await client.play(speed=1)
            for _ in range(50):
                await anext(client)
            before = psutil.Process(pid).memory_info().rss
            for _ in range(STALLED):
                stack.enter_context(never_reads(port))
            # A hundred rows of one that reads: four seconds of frames for those that do not.
            for _ in range(100):
                await anext(client)
            await client.seek(frame=10)
            assert (await anext(client)).numbers[0] == 10
            growth = psutil.Process(pid).memory_info().rss - before
    assert growth / STALLED < MOST_EACH


def never_reads(port: int) -> DeafClient:
    """A plain-dialect viewer that reads nothing."""
    client = DeafClient(port, f"/ws/replay/{RACE_SLUG}")
    client.say("play", speed=1)
    return client
