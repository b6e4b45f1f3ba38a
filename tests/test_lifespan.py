"""Servers other than ours: viewers are told before the server's own signal handlers run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from replayproject.lifespan import FarewellFirst


class OtherServer:
    """Handles SIGTERM as uvicorn does: by a handler that only takes note."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.ended = asyncio.Event()

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)
        self.ended.set()


@pytest.fixture
def restored() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("restored")
async def test_the_farewell_comes_first() -> None:
    server = OtherServer()
    signal.signal(signal.SIGTERM, server.handle_exit)
    begun, done = asyncio.Event(), asyncio.Event()

    async def farewell() -> None:
        begun.set()
        await done.wait()

    signals = FarewellFirst(farewell)
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    await begun.wait()
    assert not server.heard
    done.set()
    await server.ended.wait()
    assert server.heard == [signal.SIGTERM]
    signals.uninstall()
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


@pytest.mark.usefixtures("restored")
async def test_a_second_signal_does_not_wait() -> None:
    server = OtherServer()
    signal.signal(signal.SIGTERM, server.handle_exit)
    begun, done = asyncio.Event(), asyncio.Event()

    async def farewell() -> None:
        begun.set()
        await done.wait()

    signals = FarewellFirst(farewell)
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await server.ended.wait()
    assert not done.is_set()
    done.set()
    signals.uninstall()


@pytest.mark.usefixtures("restored")
async def test_a_farewell_that_fails_keeps_nobody_from_ending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = OtherServer()
    signal.signal(signal.SIGTERM, server.handle_exit)

    async def farewell() -> None:
        raise OSError("no")

    signals = FarewellFirst(farewell)
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    await server.ended.wait()
    assert server.heard == [signal.SIGTERM]
    assert "viewers may not have been told when to come back" in caplog.messages
    signals.uninstall()
