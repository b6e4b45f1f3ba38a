"""What one client may cost the server: bodies, handshakes, control frames, fragments."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

# Before anything else of Twisted: this decides on the reactor.
from streaming.server.daphne import ReplayServer  # isort: skip

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from streaming.playback.protocol import CloseCode
from streaming.server.flow import CLOSE_WITHIN, BodyInbox
from streaming.server.limits import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    BURST_SECONDS,
    CLOSING_BYTES,
    CONTROL_FRAMES_PER_SECOND,
    HANDSHAKE_SECONDS,
    KEEP_ALIVE_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_FRAGMENTS,
    STREAM_BYTES,
    BodyRule,
    Limits,
)

from .test_server_flow import Flow, flow, raw_websocket

HEAD = b"POST /x HTTP/1.1\r\nHost: test\r\n"


# -- deadlines, on a clock of the test's own -----------------------------------------------------


class Wire(StringTransport):
    """A transport that notes how its protocol ends."""

    write_closed = aborted = False

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol

    def loseWriteConnection(self) -> None:  # noqa: N802  Twisted's name
        self.write_closed = True

    def abortConnection(self) -> None:  # noqa: N802  Twisted's name
        self.aborted = True

    @property
    def open(self) -> bool:
        return not (self.write_closed or self.aborted or self.disconnecting)


class Channel:
    """One HTTP connection without a socket, at a clock that only the test moves."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        listener = socket.socket()
        server = ReplayServer(self.application, listener, limits)
        listener.close()
        self.protocol = server.make_http_factory(self.clock).buildProtocol(None)
        self.wire = Wire(self.protocol)
        self.protocol.makeConnection(self.wire)
        self.received: list[dict[str, Any]] = []

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Never answers."""

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)
        # Its turn comes, and then that of nobody else.
        self.clock.advance(0)

    def trickle(self, data: bytes, seconds: float) -> float:
        """Send `data`, a byte every `seconds`, until it is closed. Returns: seconds that took."""
        began = self.clock.seconds()
        for byte in data:
            self.send(bytes((byte,)))
            self.clock.advance(seconds)
            if not self.wire.open:
                break
        return self.clock.seconds() - began

    def answer(self) -> None:
        """What an application would have answered."""
        request = self.protocol.requests[0]
        request.setHeader(b"content-length", b"0")
        request.finish()


@pytest.fixture
def channel() -> Channel:
    return Channel(Limits(body_rule=lambda *_: BodyRule(1_000_000)))


async def test_a_connection_that_says_nothing_is_closed(channel: Channel) -> None:
    channel.clock.advance(HANDSHAKE_SECONDS - 0.1)
    assert channel.wire.open
    channel.clock.advance(0.2)
    assert not channel.wire.open
    assert channel.wire.value() == b"", "a browser connects before it knows what to ask"


async def test_headers_that_trickle_end_in_408(channel: Channel) -> None:
    taken = channel.trickle(b"GET / HTTP/1.1\r\nX: " + b"x" * 100, 1.0)
    assert taken == pytest.approx(HANDSHAKE_SECONDS, abs=1.0)
    assert channel.wire.value().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


async def test_a_connection_may_be_idle_between_two_requests(channel: Channel) -> None:
    channel.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    channel.clock.advance(3600)
    assert channel.wire.open, "the application takes its time"
    channel.answer()
    channel.clock.advance(KEEP_ALIVE_SECONDS - 1)
    assert channel.wire.open
    taken = channel.trickle(b"GET / HTTP/1.1\r\nX: " + b"x" * 100, 1.0)
    assert taken == pytest.approx(HANDSHAKE_SECONDS, abs=1.0)


async def test_an_idle_connection_is_closed_in_the_end(channel: Channel) -> None:
    channel.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    channel.answer()
    channel.clock.advance(KEEP_ALIVE_SECONDS + 0.1)
    assert not channel.wire.open


async def test_a_body_that_trickles_ends_in_408(channel: Channel) -> None:
    channel.send(HEAD + b"Content-Length: 1000\r\n\r\n")
    taken = channel.trickle(b"x" * 1000, 1.0)
    assert taken == pytest.approx(BODY_SECONDS, abs=1.5)
    assert b"HTTP/1.1 408" in channel.wire.value()


async def test_a_slow_line_may_send_a_whole_body(channel: Channel) -> None:
    channel.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(1_000_000 // BODY_BYTES_PER_SECOND):
        channel.send(bytes(BODY_BYTES_PER_SECOND))
        channel.clock.advance(1.0)
        assert channel.wire.open


async def test_time_stands_still_while_the_application_takes_nothing() -> None:
    channel = Channel(Limits(body_rule=lambda *_: BodyRule(10**9, streamed=True)))
    channel.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
    channel.send(bytes(STREAM_BYTES))
    assert channel.wire.producerState == "paused"
    channel.clock.advance(3600)
    assert channel.wire.open
    inbox = channel.protocol.requests[0].body
    await inbox.get()
    assert channel.wire.producerState == "producing"
    channel.clock.advance(BODY_SECONDS - 1)
    assert channel.wire.open
    channel.clock.advance(STREAM_BYTES / BODY_BYTES_PER_SECOND + 2)
    assert not channel.wire.open


async def test_a_refused_body_is_read_for_a_moment_and_not_without_end(channel: Channel) -> None:
    channel.send(HEAD + b"Content-Length: 1000001\r\n\r\n" + b"x" * 1000)
    assert channel.wire.value().startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert channel.wire.write_closed
    assert channel.wire.producerState == "producing"
    channel.send(bytes(LINGER_BYTES + 1))
    assert channel.wire.producerState == "paused"
    channel.clock.advance(LINGER_SECONDS)
    assert channel.wire.aborted


async def test_what_follows_a_refused_body_is_no_request(channel: Channel) -> None:
    channel.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\nF4241\r\n" + bytes(1_000_001))
    channel.send(b"\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert channel.wire.value().count(b"HTTP/1.1") == 1
    assert channel.wire.value().startswith(b"HTTP/1.1 413")


async def test_a_streamed_body_stops_reading_when_it_is_full() -> None:
    reading: list[bool] = []
    inbox = BodyInbox(reading.append)
    for _ in range(4):
        inbox.put_nowait({"type": "http.request", "body": bytes(STREAM_BYTES // 4)})
    assert reading == [False]
    await inbox.get()
    assert reading == [False, True]


# -- over sockets --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Flow]:
    with flow() as running:
        yield running


def send_until_refused(client: socket.socket, data: bytes, times: int) -> int:
    """Send `data` so many times, or until it is no longer taken. Returns: bytes that were taken."""
    sent = 0
    client.settimeout(2 * LINGER_SECONDS)
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(times):
            sent += client.send(data)
    return sent


@contextlib.contextmanager
def post(server: Flow, path: str, *headers: str) -> Iterator[socket.socket]:
    """A connection that has sent a request's headers."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        lines = [f"POST /{path} HTTP/1.1", "Host: test", *headers, "", ""]
        client.sendall("\r\n".join(lines).encode())
        yield client


def read_answer(client: socket.socket) -> tuple[int, Any]:
    """Status and body (JSON), without waiting for the end of the connection."""
    client.settimeout(60)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = client.recv(4096)
        assert part, answer
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < int(length.split(b":")[1]):
        body += client.recv(4096)
    return int(head.split()[1]), json.loads(body)


MOST_TAKEN = 16_000_000
"""Of 64 MB: LINGER_BYTES, and what both kernels' buffers may hold."""

BLOCK = bytes(65_536)


def test_a_large_body_is_refused_before_it_is_read(server: Flow) -> None:
    before = server.get("resources")
    with post(server, "x", "Content-Length: 64000000") as client:
        status, body = read_answer(client)
        assert (status, body["code"]) == (413, "content_too_large")
        assert "1000000 bytes" in body["message"]
        assert send_until_refused(client, BLOCK, 1000) < MOST_TAKEN
    after = server.get("resources")
    assert after["resident"] - before["resident"] < 5_000_000


def test_a_chunked_body_is_refused_when_it_has_grown_too_large(server: Flow) -> None:
    before = server.get("resources")
    with post(server, "x", "Transfer-Encoding: chunked") as client:
        chunk = b"10000\r\n" + BLOCK + b"\r\n"
        assert send_until_refused(client, chunk, 1000) < MOST_TAKEN
        assert read_answer(client)[0] == 413
    after = server.get("resources")
    assert after["resident"] - before["resident"] < 5_000_000


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_limit_is_taken(server: Flow, chunked: bool) -> None:
    body = bytes(1_000_000)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    with post(server, "x", length) as client:
        client.sendall(b"F4240\r\n" + body + b"\r\n0\r\n\r\n" if chunked else body)
        assert read_answer(client) == (200, len(body))
        # The connection goes on.
        client.sendall(b"GET /resources HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200" in client.recv(4096)


def test_who_asks_first_is_told_before_anything_is_sent(server: Flow) -> None:
    with post(server, "x", "Content-Length: 1000001", "Expect: 100-continue") as client:
        assert read_answer(client)[0] == 413
    with post(server, "upload/refused", "Content-Length: 9999", "Expect: 100-continue") as client:
        assert read_answer(client)[0] == 403
    with post(server, "upload", "Content-Length: 9999", "Expect: 100-continue") as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(bytes(9999))
        assert read_answer(client) == (200, 9999)


def test_an_upload_is_streamed(server: Flow) -> None:
    size = 600 * len(BLOCK)
    before = server.get("resources")
    with post(server, "upload", f"Content-Length: {size}") as client:
        for _ in range(600):
            client.sendall(BLOCK)
        assert read_answer(client) == (200, size)
        client.sendall(b"GET /resources HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200" in client.recv(4096)
    after = server.get("resources")
    assert after["resident"] - before["resident"] < 5_000_000


def test_an_upload_is_bounded_too(server: Flow) -> None:
    with post(server, "upload", "Content-Length: 100000001") as client:
        assert read_answer(client)[0] == 413


def test_an_upload_that_is_refused_is_not_read(server: Flow) -> None:
    with post(server, "upload/refused", "Content-Length: 64000000") as client:
        assert read_answer(client)[0] == 403
        smuggled = b"GET /resources HTTP/1.1\r\nHost: test\r\n\r\n" * 1000
        assert send_until_refused(client, smuggled, 2000) < MOST_TAKEN
        with contextlib.suppress(ConnectionError):
            assert client.recv(4096) == b""


# -- control frames and fragments ----------------------------------------------------------------


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    mask = os.urandom(4)
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return bytes((final << 7 | opcode, 0x80 | len(payload))) + mask + masked


def close_frame(client: socket.socket) -> tuple[int, str]:
    """Read frames until a close frame. Returns: its code and reason."""
    stream = client.makefile("rb")
    while True:
        opcode, length = stream.read(2)
        if length == 126:
            [length] = struct.unpack("!H", stream.read(2))
        payload = stream.read(length)
        if opcode == 0x88:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


BURST = round(CONTROL_FRAMES_PER_SECOND * BURST_SECONDS)


@pytest.mark.parametrize("opcode", [9, 10])
def test_too_many_control_frames_close(server: Flow, opcode: int) -> None:
    with raw_websocket(server, "echo") as client:
        client.sendall(frame(opcode) * 10_000)
        code, reason = close_frame(client)
    assert code == CloseCode.TOO_MANY
    assert reason == f"more than {CONTROL_FRAMES_PER_SECOND} control frames/s"


def test_as_many_control_frames_as_are_allowed_are_answered(server: Flow) -> None:
    with raw_websocket(server, "echo") as client:
        client.sendall(frame(9, b"hi") * BURST + frame(1, b"still here"))
        stream = client.makefile("rb")
        assert stream.read(4 * BURST) == b"\x8a\x02hi" * BURST
        assert stream.read(12) == b"\x81\x0astill here"


def test_a_message_has_a_bounded_number_of_fragments(server: Flow) -> None:
    def fragmented(count: int) -> bytes:
        middle = frame(0, final=False) * (count - 2)
        return frame(1, b"a", final=False) + middle + frame(0, b"z")

    with raw_websocket(server, "echo") as client:
        client.sendall(fragmented(MAX_FRAGMENTS))
        assert client.recv(4) == b"\x81\x02az"
    with raw_websocket(server, "echo") as client:
        client.sendall(fragmented(MAX_FRAGMENTS + 1))
        code, reason = close_frame(client)
    assert code == 1009
    assert f"{MAX_FRAGMENTS} fragments" in reason


def test_fragments_are_counted_over_all_messages(server: Flow) -> None:
    with raw_websocket(server, "echo") as client:
        client.sendall((frame(1, b"a", final=False) + frame(0, b"z")) * 1000)
        code, reason = close_frame(client)
    assert code == CloseCode.TOO_MANY
    assert reason == "more than 200 fragments/s"


def test_who_goes_on_after_the_close_frame_is_not_read_from(server: Flow) -> None:
    with raw_websocket(server, "echo") as client:
        client.sendall(frame(9) * (BURST + 1))
        assert close_frame(client)[0] == CloseCode.TOO_MANY
        sent = send_until_refused(client, frame(9) * 10_000, 1000)
    assert sent < MOST_TAKEN + CLOSING_BYTES


def test_a_polite_client_that_was_closed_is_answered_at_once(server: Flow) -> None:
    with raw_websocket(server, "echo") as client:
        client.sendall(frame(9) * (BURST + 10))
        assert close_frame(client)[0] == CloseCode.TOO_MANY
        client.sendall(frame(10) * 10 + frame(8, struct.pack("!H", CloseCode.TOO_MANY)))
        # Without its answer the server would wait for CLOSE_WITHIN.
        client.settimeout(CLOSE_WITHIN / 2)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""


# -- handshakes ----------------------------------------------------------------------------------


def handshake(path: str) -> bytes:
    return (
        f"GET /{path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def test_a_message_in_the_packet_of_the_handshake_is_answered(server: Flow) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(handshake("echo") + frame(1, b"early"))
        answer = b""
        while not answer.endswith(b"\x81\x05early"):
            answer += client.recv(4096)


def test_messages_before_the_handshake_is_answered_wait(server: Flow) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(handshake("later"))
        server.get("resources")
        client.sendall(frame(1, b"early"))
        server.get("resources")
        client.sendall(frame(1, b"later"))
        server.get("listen")
        answer = b""
        while not answer.endswith(b"\x81\x05early\x81\x05later"):
            answer += client.recv(4096)


async def test_a_body_that_is_too_large_is_counted() -> None:
    refused: list[str] = []
    channel = Channel(Limits(body_bytes=10, refused=refused.append))
    channel.send(HEAD + b"Content-Length: 11\r\n\r\n")
    assert channel.wire.value().startswith(b"HTTP/1.1 413 ")
    assert refused == ["body_bytes"]
