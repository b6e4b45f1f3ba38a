"""One connection of our Daphne: bounded in both directions, and cheap for many small messages.

Daphne's `send` never waits for the socket, and its inbound queue has no end. Here `send` waits
while the socket takes nothing, the application learns when it takes again, and a client that
sends faster than it is served is not read from.

Bytes go to the socket at once where it takes them (one system call instead of three: Twisted
registers with epoll, writes in the next round, unregisters); what it does not take goes through
Twisted, whose pull-producer interface then says when all of it is gone.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket import protocol as autobahn_protocol
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.interfaces import IPullProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from sessions_app.rates import TokenBucket

from ..playback.protocol import CloseCode
from .flow import Inbox, Outbound
from .limits import (
    BURST_SECONDS,
    CLOSING_BYTES,
    CLOSING_FRAMES,
    CONTROL_FRAMES_PER_SECOND,
    MAX_FRAGMENTS,
)

KERNEL_SEND_BUFFER = 64 * 1024
KERNEL_UNSENT_LIMIT = 16 * 1024
"""What the kernel may hold of one WebSocket: all of it (it doubles the number for bookkeeping),
and the part that has not been sent yet. Without these it hides minutes of old frames."""

_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

_TEXT, _BINARY = 1, 2
_CLOSE = 8
_FINAL = 0x80
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127

# At every connection autobahn prettifies its forty settings for a debug line that no one reads: a
# seventh of what connecting costs. `repr` of them is a thirtieth of that.
vars(autobahn_protocol)["pformat"] = repr


def frame_header(opcode: int, length: int) -> bytes:
    """The header of an unfragmented server-to-client frame (RFC 6455, 5.2: unmasked)."""
    if length < _LENGTH_16:
        return bytes((_FINAL | opcode, length))
    if length < 1 << 16:
        return struct.pack("!BBH", _FINAL | opcode, _LENGTH_16, length)
    return struct.pack("!BBQ", _FINAL | opcode, _LENGTH_64, length)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """A client's payload without its mask, as one big integer: no loop over its bytes."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return plain.to_bytes(size, "little")


@implementer(IPullProducer)
class ReplayWebSocket(WebSocketProtocol):  # type: ignore[misc]  # Daphne has no types
    """Daphne's WebSocket with flow control, and without autobahn's detours where all is simple.

    Simple means: whole, unfragmented, uncompressed messages, which is every message of this
    product. Everything else (handshake, control frames, fragments, errors) stays autobahn's, whose
    parser takes several times as long for a frame. So what only it sees is counted here, where the
    application does not: control frames, fragments, and frames after a close frame.
    """

    outbound: Outbound
    _socket: socket.socket | None = None
    _drained = False
    _registering = False
    _control: TokenBucket | None = None
    _fragments: TokenBucket | None = None
    _fragments_of_message = 0
    _frames_after_close = _bytes_after_close = 0
    _ignores_input = False
    """Nothing is read any more: the connection is closing, and its client does not stop."""
    _data_before_open: bytes | None = None
    """What came while the application had not answered the handshake; None before and after."""
    _denial: dict[str, Any] | None = None
    _first: list[dict[str, Any]] | None = None
    """Messages that wait for their turn, the first and what came with it; None once it has come."""

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        self.outbound = Outbound(self._write_binary)
        transport = self.transport
        # The HTTP channel that brought us here was told about pauses; now we are.
        transport.unregisterProducer()
        self._registering = True
        transport.registerProducer(self, False)
        self._registering = False
        if isinstance(transport, Connection) and not getattr(transport, "TLS", False):
            self._socket = transport.getHandle()
            bound_kernel_buffers(self._socket)
        super().connectionMade()

    # -- out ----------------------------------------------------------------------------------

    def sendData(  # noqa: N802  autobahn's name
        self, data: bytes, sync: bool = False, chopsize: int | None = None
    ) -> None:
        """Every byte that leaves, autobahn's own frames included, in this order."""
        if self._drained and self._socket is not None and self.transport.connected:
            try:
                sent = self._socket.send(data)
            except OSError:
                # Full, or broken: either way Twisted finds out and does what is to be done.
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self._drained = False
        self.transport.write(data)
        self.outbound.waiting(len(data))

    def resumeProducing(self) -> None:  # noqa: N802  Twisted's name
        """Twisted: all that was written is gone."""
        if self._registering:
            # Said on registration whatever waits; the handshake's answer will be the first to go.
            return
        self._drained = True
        self.outbound.drained()

    def stopProducing(self) -> None:  # noqa: N802  Twisted's name
        """Twisted: the connection is lost."""
        self.outbound.close()

    async def asgi_send(self, message: dict[str, Any]) -> None:
        """ASGI's `send`: waits while the connection is paused; after its end does nothing."""
        if message["type"] == "websocket.send":
            outbound = self.outbound
            if outbound.paused:
                await outbound.writable()
            if self.state == self.STATE_OPEN:
                content = message.get("bytes")
                if content is not None:
                    self.sendData(frame_header(_BINARY, len(content)) + content)
                else:
                    content = message["text"].encode()
                    self.sendData(frame_header(_TEXT, len(content)) + content)
                return
            if self.state != self.STATE_CONNECTING:
                return
        elif self.state in (self.STATE_CLOSING, self.STATE_CLOSED):
            return
        self.handle_reply(message)

    def _write_binary(self, messages: Iterable[bytes]) -> None:
        if self.state == self.STATE_OPEN:
            parts = []
            for content in messages:
                parts.append(frame_header(_BINARY, len(content)))
                parts.append(content)
            self.sendData(b"".join(parts))

    def serverClose(self, code: int | None = None, reason: str | None = None) -> None:  # noqa: N802
        """As Daphne, but with the reason, which ASGI knows since 2.3, and with any code: autobahn's
        own `sendClose` refuses 1012, which RFC 6455's registry has for a server that restarts."""
        self.sendCloseFrame(
            code=1000 if code is None else code,
            reasonUtf8=reason.encode("ascii", "replace")[:123] if reason else None,
            isReply=False,
        )

    def handle_reply(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.close" and self.state == self.STATE_OPEN:
            self.serverClose(message.get("code"), message.get("reason"))
        elif kind == "websocket.http.response.start":
            self._denial = {**message, "body": b""}
        elif kind == "websocket.http.response.body" and self._denial is not None:
            self._denial["body"] += message.get("body", b"")
            if not message.get("more_body"):
                self._deny(**self._denial)
        else:
            super().handle_reply(message)

    def _deny(self, status: int, body: bytes, **start: Any) -> None:
        """Answer the opening handshake as HTTP (ASGI's extension `websocket.http.response`)."""
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        head += [b"%b: %b" % header for header in start.get("headers", ())]
        head += [b"content-length: %d" % len(body), b"connection: close"]
        self.sendData(b"\r\n".join([*head, b"", body]))
        self.wasNotCleanReason = "the application refused the handshake"
        self.dropConnection(abort=False)
        self.server.protocol_disconnected(self)

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: N802  autobahn's name
        self.outbound.close()
        if not abort:
            # Twisted does not close while a producer is registered: it might still bring something.
            self.transport.unregisterProducer()
        super()._closeConnection(abort)

    # -- in -----------------------------------------------------------------------------------

    def set_reading(self, reading: bool) -> None:
        """Read the socket, or leave what comes to the kernel and so to the sender."""
        if self.transport is not None and self.transport.connected and not self._ignores_input:
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        if (
            self.state == self.STATE_OPEN
            and not self.data
            and self.current_frame is None
            and not self.inside_message
        ):
            data = self._take_simple_frames(data)
        if not data:
            return
        if self.state == self.STATE_CLOSING:
            self._bytes_after_close += len(data)
            if self._bytes_after_close > CLOSING_BYTES:
                self._stop_reading()
        elif self._data_before_open is not None:
            # The handshake is not parsed again with this behind it, and no more is read until then.
            self._data_before_open += data
            self.set_reading(False)
            return
        # Past the adapter's own dataReceived, which formats a log line for every call.
        WebSocketServerProtocol._dataReceived(self, data)

    def onConnect(self, request: Any) -> Any:  # noqa: N802  autobahn's name
        self._data_before_open = b""
        self._opened = self._heard = time.monotonic()
        self._first = []
        return super().onConnect(request)

    def onFrameBegin(self) -> None:  # noqa: N802  autobahn's name
        """A frame's header has come, of a frame that was not simple."""
        frame = self.current_frame
        if self.state != self.STATE_OPEN:
            self._frames_after_close += 1
            if self._frames_after_close > CLOSING_FRAMES:
                self._stop_reading()
        elif frame.opcode > _CLOSE:
            self._count_control_frame()
        elif frame.opcode < _CLOSE and (self.inside_message or not frame.fin):
            self._count_fragment(first=not self.inside_message)
        super().onFrameBegin()

    def _count_control_frame(self) -> None:
        now = time.monotonic()
        if self._control is None:
            rate = CONTROL_FRAMES_PER_SECOND
            self._control = TokenBucket(rate, rate * BURST_SECONDS, now)
        if not self._control.take(now):
            self.factory.limits.refused("control_frames")
            reason = f"more than {CONTROL_FRAMES_PER_SECOND} control frames/s"
            self._fail_connection(CloseCode.TOO_MANY, reason)

    def _count_fragment(self, first: bool) -> None:
        now = time.monotonic()
        rate = self.factory.limits.messages_per_second
        if self._fragments is None:
            self._fragments = TokenBucket(rate, rate * BURST_SECONDS, now)
        self._fragments_of_message = 1 if first else self._fragments_of_message + 1
        if self._fragments_of_message > MAX_FRAGMENTS:
            self.factory.limits.refused("fragments")
            reason = f"a message in more than {MAX_FRAGMENTS} fragments"
            self._fail_connection(self.CLOSE_STATUS_CODE_MESSAGE_TOO_BIG, reason)
        elif not self._fragments.take(now):
            self.factory.limits.refused("fragments")
            self._fail_connection(CloseCode.TOO_MANY, f"more than {rate:g} fragments/s")

    def _stop_reading(self) -> None:
        """The close frame has been sent; what comes now is not its answer."""
        self.set_reading(False)
        self._ignores_input = True
        self.data = b""

    def _take_simple_frames(self, data: bytes) -> bytes:
        """Deliver whole, short, masked text or binary frames; return what is left for autobahn."""
        at, size = 0, len(data)
        while size - at >= 6 and self.state == self.STATE_OPEN:
            opcode = data[at] ^ _FINAL
            length = data[at + 1] ^ _MASKED
            head = at + 2
            if length == _LENGTH_16:
                length = (data[head] << 8) | data[head + 1]
                head += 2
                if length < _LENGTH_16:
                    break
            elif length > _LENGTH_16:
                break
            end = head + 4 + length
            if opcode not in (_TEXT, _BINARY) or end > size:
                break
            payload = unmask(data[head + 4 : end], data[head : head + 4])
            if opcode == _TEXT and not payload.isascii():
                break
            at = end
            if self.autoPingTimeoutCall is not None:
                self._cancelAutoPingTimeoutCall()
            self.onMessage(payload, opcode == _BINARY)
        return data[at:] if at else data

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        self._heard = time.monotonic()
        if self.muted:
            return
        message: dict[str, Any] = {"type": "websocket.receive"}
        if isBinary:
            message["bytes"] = payload
        else:
            message["text"] = payload.decode()
        if self._first is None:
            self.application_queue.put_nowait(message)
            return
        # What a client says first costs most: a session is opened for it.
        if not self._first:
            self.set_reading(False)
            self.factory.turns.take(self._hand_over)
        self._first.append(message)

    def _hand_over(self) -> None:
        first, self._first = self._first or [], None
        self.set_reading(True)
        for message in first:
            self.application_queue.put_nowait(message)

    def onOpen(self) -> None:  # noqa: N802  autobahn's name
        super().onOpen()
        if self._data_before_open:
            # autobahn takes it from there as soon as this returns.
            self.data += self._data_before_open
            self.set_reading(True)
        self._data_before_open = None
        # Kept by autobahn for its own tests: 2 kB a connection.
        self.http_request_data = self.http_response_data = None
        self.http_headers = None

    def check_timeouts(self) -> None:
        """As Daphne's, by a clock that nobody sets, and without a limit on a connection's age."""
        now = time.monotonic()
        if self.state == self.STATE_CONNECTING:
            if now - self._opened > self.server.websocket_connect_timeout:
                self.serverReject()
        elif self.state == self.STATE_OPEN and not self.outbound.paused:
            # Behind what a client does not take, a ping would only queue.
            self._ping_if_silent(now)

    def _ping_if_silent(self, now: float) -> None:
        if now - self._heard > self.server.ping_interval:
            self._sendAutoPing()
            self._heard = now

    def release(self) -> None:
        """Connection and application are over: let go of what leads back here, so that all of it
        is freed at once and not by the garbage collector, which stops everybody for that."""
        self.outbound.release()
        if isinstance(self.application_queue, Inbox):
            self.application_queue.release()
        self.is_closed = None


def bound_kernel_buffers(handle: socket.socket) -> None:
    """Keep the kernel from queueing what a client does not take."""
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_SEND_BUFFER)
    if handle.family in (socket.AF_INET, socket.AF_INET6):
        handle.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, KERNEL_UNSENT_LIMIT)
