"""The pump with stores and sockets of our making: slow, failing, full."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgpack

from sessions_app.recording import CorruptRecording
from streaming.connections.outgoing import Outgoing
from streaming.connections.pump import Pump, bye
from streaming.connections.timers import SHARED_EVERY, SLOT, TOGETHER, TimerWheel
from streaming.playback.protocol import CloseCode, Encoding
from streaming.playback.viewer import Viewer
from streaming.statistics.connection import ConnectionStatistics
from streaming.store.open_recordings import StaleVersion


class Store:
    """Segments that say who they are; reading them waits for `ready`, or fails."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.error: Exception | None = None
        self.asked: list[int] = []
        self.cached = False

    def segment_if_cached(self, key: Any) -> bytes | None:
        return f"segment {key[2]}".encode() if self.cached else None

    async def segment(self, info: Any, key: Any) -> bytes:
        self.asked.append(key[2])
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return f"segment {key[2]}".encode()


class Socket:
    """What was sent, and waiting for it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self._news = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        if "text" in message:
            self.sent.append(json.loads(message["text"]))
        elif "bytes" in message:
            self.sent.append(msgpack.unpackb(message["bytes"]))
        else:
            self.sent.append(message["code"])
        self._news.set()

    async def until(self, wanted: Any) -> Any:
        async with asyncio.timeout(10):
            while True:
                for message in self.sent:
                    if wanted(message):
                        return message
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def pumping(store: Store, **options: Any) -> AsyncIterator[tuple[Pump, Viewer, Socket]]:
    socket = Socket()
    statistics = ConnectionStatistics("test", now_ns=time.monotonic_ns())
    wheel = TimerWheel()
    pump = Pump(socket.send, store, statistics, wheel)  # type: ignore[arg-type]
    pump.info = SimpleNamespace(version="v")  # type: ignore[assignment]
    viewer = Viewer(
        frame_count=3000,
        frame_rate=25.0,
        segment_frames=25,
        now=time.monotonic(),
        encoding=Encoding.SEGMENTS,
        lead=8.0,
        window=8,
        **options,
    )
    pump.viewer = viewer

    async def run_and_close() -> None:
        await pump.run()
        await Outgoing(socket.send, 60.0).close(pump.closing or 0, pump.drain_outbox())

    task = asyncio.create_task(run_and_close())
    try:
        yield pump, viewer, socket
    finally:
        pump.close(CloseCode.DONE)
        await task


def is_data(message: Any) -> bool:
    return isinstance(message, list)


async def test_it_works() -> None:
    store = Store()
    store.cached = True
    async with pumping(store) as (pump, viewer, socket):
        viewer.play(time.monotonic())
        pump.wake()
        await socket.until(lambda m: is_data(m) and m[3] == 175)
        assert [m[6] for m in socket.sent if is_data(m)][:2] == [b"segment 0", b"segment 1"]
    assert socket.sent[-1] == 1000


async def test_what_was_enqueued_before_the_end_is_sent_before_bye() -> None:
    async with pumping(Store()) as (pump, _, socket):
        pump.close(CloseCode.RESTARTING, bye("restarting", 0.5))
        pump.enqueue({"type": "notice"})
        pump.close(CloseCode.DONE, bye("too late"))
    assert socket.sent == [
        {"type": "notice"},
        {"type": "bye", "reason": "restarting", "retry_after": 0.5},
        CloseCode.RESTARTING,
    ]


async def test_a_seek_does_not_wait_for_a_slow_read() -> None:
    store = Store()
    async with pumping(store) as (pump, viewer, socket):
        viewer.seek(time.monotonic(), frame=1000)
        pump.wake()
        await socket.until(lambda m: isinstance(m, dict) and m.get("generation") == 1)
        viewer.seek(time.monotonic(), frame=2000)
        pump.wake()
        await socket.until(lambda m: isinstance(m, dict) and m.get("generation") == 2)
        store.ready.set()
        data = await socket.until(is_data)
        assert data[:4] == [1, 2, 1, 2000]
        assert 80 in store.asked


async def test_control_messages_pass_a_slow_read() -> None:
    store = Store()
    async with pumping(store) as (pump, _, socket):
        pump.enqueue({"type": "pong"})
        await socket.until(lambda m: m == {"type": "pong"})


async def test_buffering_is_told_while_a_read_is_slow() -> None:
    store = Store()
    async with pumping(store) as (pump, viewer, socket):
        viewer.seek(time.monotonic(), frame=1000)
        pump.wake()
        await socket.until(lambda m: isinstance(m, dict) and m.get("status") == "buffering")
        store.ready.set()
        await socket.until(is_data)


async def test_frames_that_cannot_be_read_are_told_and_tried_again() -> None:
    store = Store()
    store.ready.set()
    store.error = CorruptRecording("segment 0: checksum does not match")
    async with pumping(store) as (_, _, socket):
        error = await socket.until(lambda m: isinstance(m, dict) and m.get("type") == "error")
        assert error["code"] == "unavailable"
        assert error["message"] == (
            "frames could not be read: the recording's file is damaged; trying again"
        )
        store.error = None
        assert (await socket.until(is_data))[3] == 0


async def test_a_session_imported_again_sends_its_viewers_away_to_come_back() -> None:
    store = Store()
    store.ready.set()
    store.error = StaleVersion("imported again")
    async with pumping(store) as (_, _, socket):
        bye = await socket.until(lambda m: isinstance(m, dict) and m.get("type") == "bye")
        assert bye["retry_after"] == 1.0
        await socket.until(lambda m: m == CloseCode.RESTARTING)


async def test_a_client_that_reads_nothing_does_not_hoard_answers() -> None:
    store = Store()
    store.cached = True
    async with pumping(store) as (pump, _, socket):
        for i in range(1001):
            pump.enqueue({"type": "pong", "t": i})
        assert pump.closing is CloseCode.SLOW
        await socket.until(lambda m: m == CloseCode.SLOW)


class Sleeper:
    def __init__(self) -> None:
        self.slot = 0
        self.woken: list[float] = []
        self.event = asyncio.Event()

    def wake(self) -> None:
        self.woken.append(time.monotonic())
        self.event.set()


async def test_thousands_of_wake_ups_are_a_few_turns() -> None:
    wheel = TimerWheel()
    sleepers = [Sleeper() for _ in range(2000)]
    at = time.monotonic() + 0.05
    for i, sleeper in enumerate(sleepers):
        wheel.schedule(sleeper, at + i * 1e-5)
    for sleeper in sleepers:
        await sleeper.event.wait()
        assert sleeper.woken[0] >= at
    assert wheel.turns <= 5
    assert len(wheel) == 0


async def test_the_patient_share_their_wake_ups() -> None:
    wheel = TimerWheel()
    sleepers = [Sleeper() for _ in range(60)]
    now = time.monotonic()
    wanted = [now + 0.05 + i * 0.004 for i in range(len(sleepers))]
    for sleeper, at in zip(sleepers, wanted, strict=True):
        wheel.schedule(sleeper, at, slack=0.5)
    for sleeper, at in zip(sleepers, wanted, strict=True):
        await sleeper.event.wait()
        assert sleeper.woken[0] >= at
    assert wheel.turns <= 5, "of 24 slots that they would have had to themselves"


async def test_the_patient_do_not_all_wake_at_once() -> None:
    wheel = TimerWheel()
    at = time.monotonic() + 60
    sleepers = [Sleeper() for _ in range(2000)]
    for sleeper in sleepers:
        wheel.schedule(sleeper, at, slack=1.0)
    slots = Counter(sleeper.slot for sleeper in sleepers)
    earliest = math.ceil(at / SLOT)
    assert min(slots) == earliest
    assert max(slots) < earliest + SHARED_EVERY
    assert all(n <= TOGETHER for slot, n in slots.items() if slot != earliest), "a seek can get in"
    for sleeper in sleepers:
        wheel.cancel(sleeper)


async def test_the_impatient_wake_when_they_want_to() -> None:
    wheel = TimerWheel()
    sleeper, at = Sleeper(), time.monotonic() + 60
    wheel.schedule(sleeper, at, slack=0.1)
    assert sleeper.slot == math.ceil(at / SLOT)
    wheel.cancel(sleeper)


async def test_a_later_time_replaces_an_earlier_one() -> None:
    wheel = TimerWheel()
    moved, cancelled, other = Sleeper(), Sleeper(), Sleeper()
    now = time.monotonic()
    wheel.schedule(moved, now + 0.01)
    wheel.schedule(moved, now + 0.05)
    wheel.schedule(cancelled, now + 0.01)
    wheel.cancel(cancelled)
    wheel.schedule(other, now + 0.08)
    await other.event.wait()
    assert len(moved.woken) == 1
    assert moved.woken[0] >= now + 0.05
    assert cancelled.woken == []
