"""One connection of our Daphne: bounded in both directions, and cheap for many small messages.

Daphne's `send` never waits for the socket, and its inbound queue has no end. Here `send` waits
while the socket takes nothing, the application learns when it takes again, and a client that
sends faster than it is served is not read from.

Bytes go to the socket at once where it takes them (one system call instead of three: Twisted
registers with epoll, writes in the next round, unregisters); what it does not take goes through
Twisted, whose pull-producer interface then says when all of it is gone.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket import protocol as autobahn_protocol
from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from .flow import Outbound

KERNEL_SEND_BUFFER = 64 * 1024
KERNEL_UNSENT_LIMIT = 16 * 1024
"""What the kernel may hold of one WebSocket: all of it (it doubles the number for bookkeeping),
and the part that has not been sent yet. Without these it hides minutes of old frames."""

_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

_TEXT, _BINARY = 1, 2
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
    product. Everything else (handshake, control frames, fragments, errors) stays autobahn's.
    """

    outbound: Outbound
    _socket: socket.socket | None = None
    _drained = False
    _registering = False

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
            _bound_kernel_buffers(self._socket)
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
        if message["type"] == "websocket.close" and self.state == self.STATE_OPEN:
            self.serverClose(message.get("code"), message.get("reason"))
        else:
            super().handle_reply(message)

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: N802  autobahn's name
        self.outbound.close()
        if not abort:
            # Twisted does not close while a producer is registered: it might still bring something.
            self.transport.unregisterProducer()
        super()._closeConnection(abort)

    # -- in -----------------------------------------------------------------------------------

    def set_reading(self, reading: bool) -> None:
        """Read the socket, or leave what comes to the kernel and so to the sender."""
        if self.transport is not None and self.transport.connected:
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
        if data:
            # Past the adapter's own dataReceived, which formats a log line for every call.
            WebSocketServerProtocol._dataReceived(self, data)

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
        self.last_ping = time.time()
        if self.muted:
            return
        message: dict[str, Any] = {"type": "websocket.receive"}
        if isBinary:
            message["bytes"] = payload
        else:
            message["text"] = payload.decode()
        self.application_queue.put_nowait(message)

    def onOpen(self) -> None:  # noqa: N802  autobahn's name
        super().onOpen()
        # Kept by autobahn for its own tests: 2 kB a connection.
        self.http_request_data = self.http_response_data = None
        self.http_headers = self.http_headers_cnt = None

    def check_timeouts(self) -> None:
        # A ping would only queue behind what the client does not take.
        if not self.outbound.paused:
            super().check_timeouts()


def _bound_kernel_buffers(handle: socket.socket) -> None:
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_SEND_BUFFER)
    if handle.family in (socket.AF_INET, socket.AF_INET6):
        handle.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, KERNEL_UNSENT_LIMIT)


@implementer(IPushProducer)
class ReplayRequest(WebRequest):  # type: ignore[misc]  # Daphne has no types
    """Daphne's HTTP request, whose answer waits for the socket too: recordings are large, and an
    MJPEG stream has no end."""

    _paused = False
    _producing = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._waiters: list[asyncio.Future[None]] = []
        super().__init__(*args, **kwargs)

    async def asgi_send(self, message: dict[str, Any]) -> None:
        """ASGI's `send`: waits while the connection is paused."""
        if message["type"] == "http.response.body":
            while self._paused and not self._disconnected:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
            if message.get("more_body") and not self._producing and not self.finished:
                self._producing = True
                self.registerProducer(self, True)
        await self.server.handle_reply(self, message)

    def finish(self) -> None:
        self._stop_producing()
        super().finish()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  Twisted's name
        self._resume()
        self._producing = False
        super().connectionLost(reason)

    def _stop_producing(self) -> None:
        if self._producing:
            self._producing = False
            self.unregisterProducer()

    def pauseProducing(self) -> None:  # noqa: N802  Twisted's name
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802  Twisted's name
        self._resume()

    def stopProducing(self) -> None:  # noqa: N802  Twisted's name
        self._resume()

    def _resume(self) -> None:
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
