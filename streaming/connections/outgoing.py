"""ASGI's `send` for one connection, with a time limit.

Every server lets `send` wait while the client takes nothing: ours while the transport is paused,
others while their own buffer is full. So the limit is applied here. Data does not come this way
where the server offers `Transport.send_many`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..playback.protocol import CloseCode
from ..server.flow import CLOSE_WITHIN

logger = logging.getLogger("streaming.connections.outgoing")


class SendTimeout(Exception):
    """The client's socket took nothing for as long as a message may wait."""


class Outgoing:
    """Sends one connection's ASGI messages, each within a time limit."""

    __slots__ = ("_send", "_within")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], within: float) -> None:
        """
        Args:
            send: ASGI's.
            within: seconds that a message may wait for the socket.
        """
        self._send = send
        self._within = within

    async def __call__(self, event: dict[str, Any]) -> None:
        """ASGI's `send`. Raises: SendTimeout; OSError if the client has gone."""
        overdue = asyncio.timeout(self._within)
        try:
            async with overdue:
                await self._send(event)
        except TimeoutError:
            if overdue.expired():
                raise SendTimeout from None
            raise

    async def close(self, code: CloseCode | int, texts: Sequence[str]) -> None:
        """End the connection.

        If the client does not read, neither the texts nor the close may be taken; each of the two
        has `CLOSE_WITHIN` seconds.

        Args:
            code: of the close frame.
            texts: messages that are sent before it.
        """
        messages = [{"type": "websocket.send", "text": text} for text in texts]
        for events in (messages, [{"type": "websocket.close", "code": int(code)}]):
            try:
                async with asyncio.timeout(CLOSE_WITHIN):
                    for event in events:
                        await self._send(event)
            except TimeoutError:
                logger.info("a client that reads nothing did not take the close (%s)", code)
            except OSError:
                return
