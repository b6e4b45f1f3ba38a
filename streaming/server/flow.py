"""Both directions of one connection, bounded: what waits for the application, and for the socket.

They know no server; `transport.py` puts them between Daphne's protocols and the application.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .limits import STREAM_BYTES

PAUSE_BYTES = 16 * 1024
"""Bytes that may wait in this process before `send` waits too: eight seconds of a race."""

INBOX_LIMIT, INBOX_RESUME = 64, 16
"""Messages that wait for the application before the socket is no longer read, and until it is."""

CLOSE_WITHIN = 5.0
"""Seconds for the last messages, for the close frame, and for the client's answer to it."""

Listener = Callable[[str], None]
"""Called with "paused" or "writable", on the event loop, at once."""


class Inbox:
    """The messages that wait for the application: bounded by not reading the socket.

    What Daphne calls `put_nowait` is called so here too. `set_reading` is called with False and
    True when the bound is reached and left.
    """

    __slots__ = ("_closed_reading", "_messages", "_set_reading", "_waiter")

    def __init__(self, set_reading: Callable[[bool], None]) -> None:
        self._messages: list[dict[str, Any]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._set_reading = set_reading
        self._closed_reading = False

    def __len__(self) -> int:
        return len(self._messages)

    def put_nowait(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        if len(self._messages) >= INBOX_LIMIT and not self._closed_reading:
            self._closed_reading = True
            self._set_reading(False)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> dict[str, Any]:
        """The oldest message, awaited if there is none: ASGI's `receive`."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.pop(0)
        if self._closed_reading and len(self._messages) <= INBOX_RESUME:
            self._closed_reading = False
            self._set_reading(True)
        return message

    def release(self) -> None:
        """The connection is over: let go of it."""
        self._set_reading = _nowhere


class BodyInbox:
    """A request's body on its way to the application: bounded by not reading the socket.

    before_first: called when the application asks for the body for the first time.
    """

    def __init__(self, set_reading: Callable[[bool], None]) -> None:
        self._messages: deque[dict[str, Any]] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._set_reading = set_reading
        self.before_first: Callable[[], None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._bytes += len(message.get("body", b""))
        if self._bytes >= STREAM_BYTES:
            self._set_reading(False)
        self._arrived.set()

    async def get(self) -> dict[str, Any]:
        """The next part, awaited if there is none: ASGI's `receive`."""
        if self.before_first is not None:
            before_first, self.before_first = self.before_first, None
            before_first()
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        full = self._bytes >= STREAM_BYTES
        self._bytes -= len(message.get("body", b""))
        if full and self._bytes < STREAM_BYTES:
            self._set_reading(True)
        return message


class Outbound:
    """The way out of one connection, as the application sees it through
    `scope["extensions"]["replay.transport"]`.

    paused: nothing should be sent, `send` would wait. pending_bytes: at most so many bytes wait
    in this process for the socket.
    """

    __slots__ = ("_listener", "_waiters", "_write_frames", "closed", "paused", "pending_bytes")

    def __init__(self, write_frames: Callable[[Iterable[bytes]], None]) -> None:
        self.paused = False
        self.pending_bytes = 0
        self.closed = False
        self._listener: Listener | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._write_frames = write_frames

    def set_listener(self, listener: Listener | None) -> None:
        """Have `listener` called when the connection is paused and when it is writable again."""
        self._listener = listener

    def send_many(self, messages: Iterable[bytes]) -> None:
        """Send binary messages with one system call. Does not wait, so check `paused` first."""
        self._write_frames(messages)

    def waiting(self, added: int) -> None:
        """So many more bytes wait for the socket."""
        self.pending_bytes += added
        if self.pending_bytes > PAUSE_BYTES and not self.paused:
            self.paused = True
            if self._listener is not None:
                self._listener("paused")

    def drained(self) -> None:
        """Nothing waits any more."""
        self.pending_bytes = 0
        if self.paused:
            self.paused = False
            self._release()
            if self._listener is not None:
                self._listener("writable")

    def close(self) -> None:
        """Nothing will be sent any more: release waiting senders and the listener."""
        self.closed = True
        self.paused = False
        self._listener = None
        self._release()

    def release(self) -> None:
        """The connection is over: let go of it."""
        self._write_frames = _nowhere

    def _release(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def writable(self) -> None:
        """Wait until not paused."""
        while self.paused:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


def _nowhere(_what: object) -> None:
    """Of a connection that is over nothing is read, and to it nothing is written."""
