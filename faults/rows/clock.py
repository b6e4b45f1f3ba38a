"""The machine's clock is set: an hour forward, then an hour back behind where it was."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from replayproject.backing import find_server, start_server
from streaming.playback.protocol import SUBPROTOCOL

from ..proxy import FaultProxy
from ..report import Promise, Seen
from ..service import Service
from ..stage import SETTLE_SECONDS, SLUG, Skip, Stage
from ..viewers import Truth, audience

HELD_UP_SECONDS = 0.5
"""Of stillness before the clock is set, beyond which libfaketime is what a row would show."""

LIBRARY = "libfaketimeMT.so.1"
SLEEP = """import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
"""Runs at the start of the service's processes. Python sleeps until a monotonic moment, which
libfaketime turns into one before the epoch; `select` takes a length."""


def _library() -> Path:
    """Raises: Skip where it is not installed."""
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))
    if not found:
        raise Skip("libfaketime is not installed (Debian package: faketime)")
    return found[0]


async def clock_set(stage: Stage) -> Seen:
    """Viewers play on; others lose their connections after each step and come back."""
    binary = find_server()
    if binary is None:
        raise Skip("no valkey-server or redis-server")
    # Not the service's own: its allocator does not start under libfaketime.
    with start_server(binary) as backing:
        return await _clock_set(stage, backing.url)


async def _clock_set(stage: Stage, redis_url: str) -> Seen:
    file = stage.fresh("clock")
    file.with_name("sitecustomize.py").write_text(SLEEP)
    _set(file, 0)
    async with (
        stage.service(
            REDIS_URL=redis_url,
            PYTHONPATH=str(file.parent),
            LD_PRELOAD=str(_library()),
            FAKETIME_TIMESTAMP_FILE=str(file),
            FAKETIME_CACHE_DURATION="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        ) as service,
        FaultProxy(("127.0.0.1", service.port)) as proxy,
    ):
        truth = Truth(stage.recording(service))
        far = f"ws://127.0.0.1:{proxy.port}/ws/sessions/{SLUG}/"
        async with (
            stage.watched(service, segments=20, rows=4) as people,
            audience(far, truth, segments=10) as returning,
        ):
            await returning.play()
            people.forget()
            await asyncio.sleep(SETTLE_SECONDS)
            held_up = max(people.still("segments"), people.still("rows"))
            if held_up > HELD_UP_SECONDS:
                # Its processes wait for each other at every look at the clock.
                raise Skip(f"libfaketime alone makes viewers stand still for {held_up:.1f} s")
            people.forget()
            broken = []
            for hours in (1, -1):
                _set(file, hours)
                await _noticed(service, hours)
                proxy.reset()
                await asyncio.sleep(stage.seconds(10, 4))
                if lost := await returning.lost():
                    broken.append(f"{lost} of 10 who came back at {hours:+d} h not at their place")
                broken += await _statistics(service, len(people.viewers) + len(returning.viewers))
            seen = await stage.after(people, service.ready, broken=broken)
            seen.told = "the log's times jump"
            seen.wrong += returning.wrong
            return seen


def _set(file: Path, hours: int) -> None:
    file.write_text(f"{3600 * hours:+d}\n")


async def _noticed(service: Service, hours: int) -> None:
    """Wait until the service's clock is the new one. Raises: Skip if it stays as it was."""
    for _ in range(50):
        if abs(await _clock(service) - time.time() - 3600 * hours) < 60:
            return
        await asyncio.sleep(0.1)
    raise Skip("libfaketime does not move this service's clock")


async def _clock(service: Service) -> float:
    """What a worker takes for the time, as its `pong` says: seconds since 1970."""
    async with connect(service.websocket(SLUG), subprotocols=[Subprotocol(SUBPROTOCOL)]) as socket:
        await socket.send(json.dumps({"action": "hello", "encoding": "rows"}))
        await socket.send(json.dumps({"action": "ping", "t": 1}))
        while True:
            message = await socket.recv()
            if isinstance(message, str) and "server_time" in (said := json.loads(message)):
                return float(said["server_time"])


async def _statistics(service: Service, viewers: int) -> list[str]:
    """What the metrics say wrongly."""
    _, text = await service.get("/metrics")
    broken = []
    if "replay_statistics_complete 1" not in text:
        broken.append("statistics are not complete")
    found = re.findall(r"^replay_connections(?:\{[^}]*\})? (\S+)", text, re.MULTILINE)
    counted = sum(float(number) for number in found)
    if counted != viewers:
        broken.append(f"the metrics count {counted:g} viewers of {viewers}")
    return broken


ROWS = {"clock set an hour forward, then back": (clock_set, Promise(healthy=5.0))}
