"""The way out of one connection: ASGI's `send`, which no client can hold up for ever.

Every server lets `send` wait while the client takes nothing: ours while the transport is paused,
others while their own buffer is full. Whoever waits there sees no clock, so the clock is here. Data
does not come this way where the server has a quicker one (`Transport.send_many`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..playback.protocol import CloseCode

logger = logging.getLogger("streaming.connections.outgoing")

CLOSE_WITHIN = 5.0
"""Seconds for a farewell, for the close frame, and for the client's answer to it."""


class TookNothing(Exception):
    """The client's socket took nothing for as long as data may wait."""


class Outgoing:
    """Sends one connection's ASGI messages. closed: the close frame is on its way.

    within: seconds that a message may wait for the socket.
    """

    __slots__ = ("_send", "_within", "closed")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], within: float) -> None:
        self._send = send
        self._within = within
        self.closed = False

    async def __call__(self, event: dict[str, Any]) -> None:
        """ASGI's `send`. Raises: TookNothing; OSError if the client has gone."""
        overdue = asyncio.timeout(self._within)
        try:
            async with overdue:
                await self._send(event)
        except TimeoutError:
            if overdue.expired():
                raise TookNothing from None
            raise
        if event["type"] == "websocket.close":
            self.closed = True

    async def close(self, code: CloseCode | int, farewell: Mapping[str, Any] | None) -> None:
        """End a connection that may take nothing any more; does nothing if it was closed."""
        last_words: list[dict[str, Any]] = [{"type": "websocket.close", "code": int(code)}]
        if farewell is not None:
            last_words.insert(0, {"type": "websocket.send", "text": json.dumps(farewell)})
        for event in last_words:
            if self.closed:
                return
            try:
                async with asyncio.timeout(CLOSE_WITHIN):
                    await self._send(event)
            except TimeoutError:
                logger.info("a client that reads nothing did not take its %s", event["type"])
            except OSError:
                return
