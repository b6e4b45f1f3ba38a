"""HTTP on our Daphne: what a request may cost before the application has seen it, and while.

Twisted reads a body to its end, whatever its size, before it hands the request on, and its
time-out begins anew with every byte. Here each part of a request has a deadline of its own, and a
body a limit that is known when the headers are there (`limits.py`). What is over the limit is
answered with 413 and not read.

A connection's life, with the deadline of each state:

1. Waiting for a request's headers: HANDSHAKE_SECONDS from the connection, or from the first byte.
2. Reading a body: BODY_SECONDS and a second more for every BODY_BYTES_PER_SECOND that have come.
   While the application keeps a streamed body waiting the time stands still.
3. Answering: none here; the answer waits for the socket, and the application for the answer.
4. Idle: KEEP_ALIVE_SECONDS.
5. Lingering, after a refusal or an answer that came before the body's end: nothing is written any
   more; at most LINGER_BYTES are read and thrown away; LINGER_SECONDS later the socket is closed.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from daphne.http_protocol import WebRequest
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from .flow import CLOSE_WITHIN, BodyInbox
from .limits import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    HANDSHAKE_SECONDS,
    KEEP_ALIVE_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    BodyRule,
)
from .transport import bound_kernel_buffers

_HTTPChannel: Any = HTTPChannel  # only some of it has types


class ReplayChannel(_HTTPChannel):  # type: ignore[misc]
    """One HTTP connection. Its factory has `limits`, `turns`, `asked`, and Twisted's clock."""

    abortTimeout = CLOSE_WITHIN  # noqa: N815  Twisted's name

    _idle = True
    """Nothing of a request has come yet."""
    _rule: BodyRule | None = None
    """Of the body that is being read; None while none is."""
    _body_bytes = 0
    _body_began = 0.0
    _body_paused: float | None = None
    _lingering = False
    _discarded = 0
    _in_line = b""
    """What has come and waits for its turn; nothing is read meanwhile."""

    # -- deadlines ----------------------------------------------------------------------------

    def resetTimeout(self) -> None:  # noqa: N802  Twisted's name
        """A deadline does not move because a byte came."""

    def timeoutConnection(self) -> None:  # noqa: N802  Twisted's name
        if self._rule is not None and (left := self._body_seconds_left()) > 0:
            self.setTimeout(left)
        elif self._in_line:
            # It is we who are slow.
            self.setTimeout(HANDSHAKE_SECONDS)
        elif self._lingering:
            self.transport.abortConnection()
        else:
            if not self._idle and not self._answering():
                answer = _answer(408, b"Request Timeout", "the request came too slowly")
                self.transport.write(answer)
            super().timeoutConnection()

    def _answering(self) -> bool:
        return bool(self.requests and self.requests[-1].startedWriting)

    def _body_seconds_left(self) -> float:
        elapsed: float = self.factory.reactor.seconds() - self._body_began
        return BODY_SECONDS + self._body_bytes / BODY_BYTES_PER_SECOND - elapsed

    # -- requests -----------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        if self._lingering:
            self._discard(len(data))
            return
        if self._idle:
            self._idle = False
            if self.timeOut != HANDSHAKE_SECONDS:
                self.setTimeout(HANDSHAKE_SECONDS)
        if self._rule is not None:
            super().dataReceived(data)
            return
        if not self._in_line:
            self._networkProducer.pauseProducing()
            self.factory.turns.take(self._take_turn)
        self._in_line += data

    def _take_turn(self) -> None:
        data, self._in_line = self._in_line, b""
        if data:
            self._networkProducer.resumeProducing()
            super().dataReceived(data)
            if self.transport is not None and self.transport.protocol is not self:
                # A WebSocket has taken over: nothing of a request is needed any more.
                self.requests.clear()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802  Twisted's name
        self._in_line = b""
        super().connectionLost(reason)

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        if self._lingering:
            # In the same packet as the headers that were refused.
            return
        if self.transport.protocol is not self:
            # In the same packet as a WebSocket's opening handshake.
            self.transport.protocol.dataReceived(data)
            return
        super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802  Twisted's name
        if self.length == 0:
            super().allHeadersReceived()
            return
        request = self.requests[-1]
        rule = self.factory.limits.body(
            self._command.decode("latin-1"),
            self._path.split(b"?", 1)[0].decode("latin-1"),
            {
                name.lower(): values[-1]
                for name, values in request.requestHeaders.getAllRawHeaders()
            },
        )
        if self.length is not None and self.length > rule.most:
            self._refuse(rule)
            return
        self._rule = rule
        self._body_bytes = 0
        self._body_began = self.factory.reactor.seconds()
        self._body_paused = None
        self.setTimeout(BODY_SECONDS)
        request.streamed = rule.streamed and not request.requestHeaders.hasHeader(b"Upgrade")
        super().allHeadersReceived()
        if request.streamed:
            request.begin(self._command, self._path, self._version)

    def _send100Continue(self) -> None:  # noqa: N802  Twisted's name
        request = self.requests[-1]
        if request.streamed:
            request.body.before_first = self._continue_streamed
        else:
            super()._send100Continue()

    def _continue_streamed(self) -> None:
        if self.requests and not self.requests[-1].startedWriting:
            super()._send100Continue()

    def body_came(self, size: int) -> bool:
        """So many more bytes of the body. Returns: False if they are to be thrown away."""
        if self._rule is None:
            return False
        self._body_bytes += size
        if self._body_bytes <= self._rule.most:
            return True
        self._refuse(self._rule)
        return False

    def set_body_reading(self, reading: bool) -> None:
        """Read a streamed body, or leave it to the kernel and so to the sender."""
        if self._rule is None:
            return
        now = self.factory.reactor.seconds()
        if not reading:
            self._networkProducer.pauseProducing()
            self.setTimeout(None)
            if self._body_paused is None:
                self._body_paused = now
        elif self._body_paused is not None:
            self._body_began += now - self._body_paused
            self._body_paused = None
            self.setTimeout(self._body_seconds_left())
            self._networkProducer.resumeProducing()

    def allContentReceived(self) -> None:  # noqa: N802  Twisted's name
        if not self._lingering:
            self._rule = None
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802  Twisted's name
        if self._rule is not None:
            # Answered before its streamed body has come: what still comes is no request.
            self.requests.remove(request)
            self._linger()
            return
        self._idle = True
        self._savedTimeOut = KEEP_ALIVE_SECONDS
        super().requestDone(request)

    # -- refusals -----------------------------------------------------------------------------

    def _refuse(self, rule: BodyRule) -> None:
        self.factory.limits.refused("body_bytes")
        request = self.requests[-1]
        if not request.startedWriting:
            message = f"a body of more than {rule.most} bytes"
            self.transport.write(_answer(413, b"Content Too Large", message))
        request.refused()
        self._linger()

    def _linger(self) -> None:
        self._lingering = True
        self._rule = None
        self._dataBuffer: list[bytes] = []
        self._networkProducer.unregisterProducer()
        self.transport.loseWriteConnection()
        self._networkProducer.resumeProducing()
        self.setTimeout(LINGER_SECONDS)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self._networkProducer.pauseProducing()


def _answer(status: int, phrase: bytes, message: str) -> bytes:
    """An answer of the server's own, with the body of every error of the REST API."""
    code = phrase.decode().lower().replace(" ", "_")
    body = json.dumps({"code": code, "message": message}).encode()
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        b"Connection: close\r\n\r\n%b"
    ) % (status, phrase, len(body), body)


class _ToCome:
    """Stands for the content of a request whose body is streamed: Daphne finds nothing to send on,
    and leaves the application's inbox alone."""

    closed = True

    def seek(self, *_position: int) -> None:
        """As of a file."""

    def close(self) -> None:
        """As of a file."""


@implementer(IPushProducer)
class ReplayRequest(WebRequest):  # type: ignore[misc]  # Daphne has no types
    """Daphne's HTTP request, whose answer waits for the socket too: recordings are large, and an
    MJPEG stream has no end.

    streamed: the application starts before the body is there. body: where that body then goes.
    """

    streamed = False
    body: BodyInbox | None = None
    _paused = False
    _producing = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._waiters: list[asyncio.Future[None]] = []
        # Forms are the application's to read, and in a thread.
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)
        self.channel.factory.asked(self.channel)

    # -- in -----------------------------------------------------------------------------------

    def gotLength(self, length: int | None) -> None:  # noqa: N802  Twisted's name
        if self.streamed:
            self.content = _ToCome()
            self.body = BodyInbox(self.channel.set_body_reading)
        else:
            super().gotLength(length)

    def begin(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Start the application; the body is on its way."""
        self.method, self.uri, self.clientproto = method, uri, version
        self.path = uri.split(b"?", 1)[0]
        self.process()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        if not self.channel.body_came(len(data)):
            return
        if self.body is None:
            super().handleContentChunk(data)
        else:
            self.body.put_nowait({"type": "http.request", "body": data, "more_body": True})

    def requestReceived(self, *line: bytes) -> None:  # noqa: N802  Twisted's name
        if self.body is None:
            super().requestReceived(*line)
        else:
            self.body.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    def refused(self) -> None:
        """The body is too large: an application that has started is told that its client has gone,
        and what it still sends goes nowhere."""
        if self.application_queue:
            self.send_disconnect()
            self.server.protocol_disconnected(self)

    # -- out ----------------------------------------------------------------------------------

    async def asgi_send(self, message: dict[str, Any]) -> None:
        """ASGI's `send`: waits while the connection is paused."""
        if message["type"] == "http.response.start" and _replaces(message):
            bound_kernel_buffers(self.channel.transport.getHandle())
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


def _replaces(start: dict[str, Any]) -> bool:
    """Whether a response is a stream of pictures, of which only the newest counts."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"multipart/x-mixed-replace")
        for name, value in start["headers"]
    )
