"""The same viewers on our Daphne and on uvicorn: seeks stay exact, stalled ones stay cheap."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from streaming.client.client import connect
from streaming.playback.protocol import CloseCode
from tests.conftest import RunningServer
from tests.deaf_client import DeafClient
from tests.samples import RACE_SLUG, small_race
from tests.websocket_client import open_wire

STALLED = 40
MOST_EACH = 400_000
"""Bytes of server memory: a stalled row viewer at 64x would pass it in a second without a bound.
uvicorn's own high-water mark and Python's allocator are the larger part of it."""


@pytest.fixture(params=["daphne", "uvicorn"])
def running(
    request: pytest.FixtureRequest,
    server: RunningServer,
    start_server: Callable[..., RunningServer],
) -> tuple[int, int]:
    """(port, pid of the process that serves)."""
    if request.param == "daphne":
        tree = psutil.Process(server.process.pid).children(recursive=True)
        return server.port, next(p.pid for p in tree if "worker" in p.cmdline())
    other = start_server(program=("-m", "tests.uvicorn_app"))
    return other.port, other.process.pid


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


@pytest.mark.parametrize("running", ["uvicorn"], indirect=True)
async def test_viewers_are_told_when_to_come_back(running: tuple[int, int]) -> None:
    """Of our own server: see test_ws_graceful_end.py."""
    port, pid = running
    process = psutil.Process(pid)
    async with open_wire(f"ws://127.0.0.1:{port}/ws/sessions/{RACE_SLUG}/") as wire:
        await wire.ask("hello")
        await wire.ask("seek", frame=500)
        os.kill(pid, signal.SIGTERM)
        bye = await wire.until_type("bye")
        assert bye["retry_after"] <= 1.0
        assert bye["resume"]
        assert await wire.close_code() == CloseCode.RESTARTING
    process.wait(60)


def never_reads(port: int) -> DeafClient:
    """A plain-dialect viewer that reads nothing."""
    client = DeafClient(port, f"/ws/replay/{RACE_SLUG}")
    client.say("play", speed=1)
    return client
