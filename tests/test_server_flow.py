"""The server under clients that do not read, or send without end: bounded, and free again after."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming.server.flow import INBOX_LIMIT, INBOX_RESUME, PAUSE_BYTES, Inbox
from streaming.server.transport import frame_header, unmask

from .conftest import ROOT
from .marks import needs_mark

pytestmark = pytest.mark.server

RECEIVE_BUFFER = 64 * 1024
MOST_ON_THE_WAY = 12_000_000
"""What both kernels' buffers may hold of one connection on any sane setting; a server without
backpressure passes it in a second."""


@dataclass
class Flow:
    """A running tests.flow_app."""

    process: subprocess.Popen[str]
    port: int

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}/{path}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def flow() -> Iterator[Flow]:
    needs_mark("server")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flow_app"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Flow(process, int(process.stdout.readline().split()[1]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Flow]:
    """One for what leaves nothing behind in it."""
    with flow() as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Flow]:
    """One that counts from nothing, and that a test may end."""
    with flow() as running:
        yield running


def raw_websocket(server: Flow, path: str) -> socket.socket:
    """A socket after the handshake, with a small receive buffer, for rude clients."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    client.connect(("127.0.0.1", server.port))
    client.settimeout(60)
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        (
            f"GET /{path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return client


def masked(payload: bytes) -> bytes:
    mask = os.urandom(4)
    head = bytes((0x82, 0xFE)) + len(payload).to_bytes(2, "big")
    return head + mask + unmask(payload, mask)


def test_a_client_that_does_not_read_is_waited_for(fresh: Flow) -> None:
    with raw_websocket(fresh, "flood") as client:
        blocked = fresh.get("blocked")
        assert 0 < blocked["sent"] * 2000 < MOST_ON_THE_WAY
        again = fresh.get("blocked")
        assert again["sent"] == blocked["sent"]
        read = 0
        while read < 4_000_000:
            read += len(client.recv(1 << 20))
        assert fresh.get("blocked")["sent"] > blocked["sent"], "writable again, sent again"


def test_fifty_that_do_not_read_cost_little_memory(fresh: Flow) -> None:
    with contextlib.ExitStack() as stack:
        before = fresh.get("blocked")["resident"]
        for _ in range(50):
            stack.enter_context(raw_websocket(fresh, "flood"))
        growth = fresh.get("blocked")["resident"] - before
    assert growth / 50 < 256_000


def test_the_application_is_told_of_pause_and_writable(fresh: Flow) -> None:
    with raw_websocket(fresh, "flood") as client:
        before = fresh.get("blocked")["events"]
        read = 0
        while read < 2_000_000:
            read += len(client.recv(1 << 20))
        after = fresh.get("blocked")["events"]
    # In turns, and blocked means paused; how often depends on how the kernels' buffers grow.
    for events in (before, after):
        assert events[0] == events[-1] == "paused"
        assert all(a != b for a, b in itertools.pairwise(events))
    assert len(after) > len(before)


def test_a_client_that_sends_without_end_is_not_read_from(fresh: Flow) -> None:
    with raw_websocket(fresh, "deaf") as client:
        client.setblocking(False)
        message = masked(bytes(2000))
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < MOST_ON_THE_WAY:
                sent += client.send(message)
        whole = sent // len(message)
        assert sent < MOST_ON_THE_WAY
        assert fresh.get("blocked")["received"] == 0
        fresh.get("listen")
        assert fresh.get("blocked")["received"] >= whole - 1


def test_an_endless_http_answer_is_waited_for_too(fresh: Flow) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        client.connect(("127.0.0.1", fresh.port))
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
        blocked = fresh.get("blocked")
        assert 0 < blocked["sent"] * 2000 < MOST_ON_THE_WAY
        read = 0
        while read < 4_000_000:
            read += len(client.recv(1 << 20))
        assert fresh.get("blocked")["sent"] > blocked["sent"]


SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 200_000)


async def test_messages_of_every_size_come_back(server: Flow) -> None:
    async with connect(server.url("echo"), compression=None) as client:
        for size in SIZES:
            for message in (os.urandom(size), "x" * size, "é" * (size // 2)):
                await client.send(message)
                assert await client.recv() == message


async def test_many_messages_in_one_packet_all_arrive_in_order(server: Flow) -> None:
    async with connect(server.url("echo"), compression=None) as client:
        messages = [f"{i:05d}" * (i % 40) or "-" for i in range(500)]
        for message in messages:
            await client.send(message)
        assert [await client.recv() for _ in messages] == messages


async def test_fragments_and_pings_are_understood(server: Flow) -> None:
    async with connect(server.url("echo"), compression=None) as client:
        await client.send(["in ", "three ", "parts"])
        assert await client.recv() == "in three parts"
        await (await client.ping(b"still there?"))
        await client.send(b"after the ping")
        assert await client.recv() == b"after the ping"


async def test_nothing_is_compressed_twice(server: Flow) -> None:
    async with connect(server.url("echo"), compression="deflate") as client:
        assert client.protocol.extensions == []


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [("echo", "close", 4404), ("returning", "x", 1000), ("raising", "x", 1011)],
)
async def test_how_a_connection_ends(server: Flow, path: str, message: str, code: int) -> None:
    async with connect(server.url(path)) as client:
        await client.send(message)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == code
        if code == 4404:
            assert client.close_reason == "no such"


async def test_text_that_is_not_utf8_closes_with_1007(server: Flow) -> None:
    with raw_websocket(server, "echo") as client:
        payload = b"\xff\xfe\xfd"
        client.sendall(bytes((0x81, 0x80 | 3)) + bytes(4) + payload)
        answer = client.recv(100)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == 1007


def test_who_is_slow_to_answer_a_close_is_read_from_meanwhile(server: Flow) -> None:
    """A socket closed over unread bytes is reset, and a client's stack forgets the close frame."""
    with raw_websocket(server, "echo") as client:
        client.sendall(bytes((0x81, 0x80 | 5)) + bytes(4) + b"close")
        # Two seconds of whatever was on its way; autobahn's own patience is one.
        for _ in range(20):
            client.sendall(masked(bytes(200)))
            time.sleep(0.1)
        answer = client.recv(100)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == 4404


async def test_a_connection_that_is_over_leaves_no_garbage(fresh: Flow) -> None:
    fresh.get("garbage")
    for path in ("echo", "flood", "returning", "nowhere"):
        with contextlib.suppress(ConnectionClosed, InvalidStatus):
            async with connect(fresh.url(path)) as client:
                await client.send("hello")
                await client.recv()
    await asyncio.to_thread(until_none_open, fresh)
    assert fresh.get("garbage") == []


def until_none_open(server: Flow) -> None:
    """Wait until nobody but us is connected: the last connection's end has been dealt with."""
    process = psutil.Process(server.process.pid)
    while any(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections()):
        time.sleep(0.02)
    server.get("resources")


def test_sigterm_drains_and_ends(fresh: Flow) -> None:
    with raw_websocket(fresh, "flood"):
        fresh.process.send_signal(signal.SIGTERM)
        output, _ = fresh.process.communicate(timeout=30)
    assert output == "drained\n"
    assert fresh.process.returncode == 0


def test_what_was_asked_before_the_end_is_answered(fresh: Flow) -> None:
    with socket.create_connection(("127.0.0.1", fresh.port)) as client:
        client.settimeout(60)
        client.sendall(b"GET /late HTTP/1.1\r\nHost: test\r\n\r\n")
        assert fresh.process.stdout is not None
        assert fresh.process.stdout.readline() == "asked\n"
        fresh.process.send_signal(signal.SIGTERM)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert fresh.process.wait(60) == 0


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_is_masking(payload: bytes, mask: bytes) -> None:
    expected = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    assert unmask(payload, mask) == expected
    assert unmask(expected, mask) == payload


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frame_headers(length: int, header: bytes) -> None:
    assert frame_header(2, length) == header


async def test_the_inbox_stops_reading_when_it_is_full_and_starts_when_there_is_room() -> None:
    reading: list[bool] = []
    inbox = Inbox(reading.append)
    for i in range(INBOX_LIMIT + 5):
        inbox.put_nowait({"type": "websocket.receive", "text": str(i)})
    assert reading == [False]
    for i in range(INBOX_LIMIT + 5):
        assert (await inbox.get())["text"] == str(i)
        assert reading == ([False] if len(inbox) > INBOX_RESUME else [False, True])
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait({"type": "websocket.disconnect"})
    assert (await waiting)["type"] == "websocket.disconnect"


def test_pausing_leaves_room_for_one_write_of_the_pump() -> None:
    # Eight segments of a real race are 16 kB: the pump's largest write alone must not pause it.
    assert PAUSE_BYTES >= 16 * 1024
