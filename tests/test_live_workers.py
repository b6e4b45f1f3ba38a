"""Two workers, one live session: viewers of both see it; it moves when its writer is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil

from streaming import live

from .conftest import RunningServer
from .live_samples import payload
from .test_live_sessions import ENTITIES, START, until_ready
from .websocket_client import open_wire

VIEWERS = 6


def writer_of(server: RunningServer) -> int:
    """The process that has the log of a live session open."""
    folder = Path(server.data_dir) / "recordings" / "live"
    for process in psutil.Process(server.process.pid).children(recursive=True):
        if any(Path(file.path).parent == folder for file in process.open_files()):
            return process.pid
    raise LookupError("no worker writes a live session")


async def test_it_is_seen_everywhere_and_moves(
    start_server: Callable[..., RunningServer],
) -> None:
    server = await asyncio.to_thread(start_server, "--workers", "2", API_TOKENS="test-token")
    producer = await asyncio.to_thread(
        live.open, "moves", url=server.url, token="test-token", frame_rate=10.0,
        fields=START["fields"], entities=ENTITIES,
    )  # fmt: skip

    async def until_on_disk(frame: int) -> None:
        assert await asyncio.to_thread(producer.wait_until_on_disk, frame)

    def publish(first: int, stop: int) -> None:
        for number in range(first, stop):
            assert producer.publish(payload(number), frame=number).outcome == "accepted"

    def shows(frame: int) -> Callable[[Any], bool]:
        return lambda message: isinstance(message, list) and message[3] == frame

    publish(0, 15)
    await until_on_disk(14)
    async with AsyncExitStack() as stack:
        wires = []
        for _ in range(VIEWERS):
            wires.append(
                await stack.enter_async_context(open_wire(server.websocket("/ws/sessions/moves/")))
            )
        for wire in wires:
            await wire.say("hello", encoding="rows")
            await wire.say("live")
            await wire.until(shows(14))
        writer = await asyncio.to_thread(writer_of, server)
        theirs = {c.raddr.port for c in psutil.Process(writer).net_connections() if c.raddr}
        ports = [wire.socket.transport.get_extra_info("sockname")[1] for wire in wires]
        others = [w for w, port in zip(wires, ports, strict=True) if port not in theirs]
        publish(15, 16)
        for wire in wires:
            await wire.until(shows(15))
        os.kill(writer, signal.SIGKILL)
        publish(16, 40)
        await until_on_disk(39)
        # Viewers of the worker that lives have seen it go on.
        for wire in others:
            await wire.until(shows(39))
    await asyncio.to_thread(producer.close)
    assert producer.failure is None
    assert producer.reconnects >= 1
    found = await until_ready(server, "moves")
    assert found["frame_count"] == 40
    assert found["metadata"]["live"]["gaps"] == []
