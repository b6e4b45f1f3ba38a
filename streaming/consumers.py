"""Channels' consumers of a session's WebSocket: one for each dialect. See docs/protocol.md.

They own no rule. A consumer accepts the socket, makes the connection (`streaming/connections/`) and
passes events on; everything that a message means is decided there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from channels.consumer import AsyncConsumer

from .connections.dialects.plain import PlainConnection
from .connections.dialects.refused import RefusedConnection
from .connections.dialects.replay import ReplayConnection
from .connections.ingest import IngestConnection
from .connections.lifecycle import Connection
from .worker import WORKER


class SessionConsumer(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
    """One viewer's WebSocket; `slug` comes from the URL, the worker from the scope.

    Attributes:
        dialect: what the client speaks.
        connection: made when the socket is accepted, None before.
    """

    dialect: ClassVar[type[Connection | IngestConnection]]
    connection: Connection | IngestConnection | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """ASGI's application. As Channels', but for what each message would cost there
        (docs/decisions/0011-consumers-without-a-channel.md):

        - no channel of its own: frames never go through the channel layer, and rooms have one
          channel for all viewers of a worker;
        - one event after the other in this task, instead of a task for each.
        """
        self.scope = scope
        self.base_send = send
        await self.dispatch(await receive())
        if self.connection is not None:
            await self.connection.run(receive, self.dispatch)

    async def dispatch(self, message: Mapping[str, Any]) -> None:
        """Call the handler of an event, as Channels does, but without asking a thread to close old
        database connections: no handler uses one of this thread, and the hop would cost more than
        all else that happens to a message."""
        match message["type"]:
            case "websocket.receive":
                await self.websocket_receive(message)
            case "websocket.connect":
                await self.websocket_connect(message)
            case "websocket.disconnect":
                await self.websocket_disconnect(message)

    async def websocket_connect(self, message: Mapping[str, Any]) -> None:
        """Accept and make the connection. It closes with a code if the client is not admitted."""
        slug = self.scope["url_route"]["kwargs"]["slug"]
        await self.send({"type": "websocket.accept", "subprotocol": self.dialect.subprotocol})
        self.connection = self.dialect(self.scope[WORKER], self.scope, self.base_send, slug)

    async def websocket_receive(self, message: Mapping[str, Any]) -> None:
        """Pass a message on, text or binary."""
        if self.connection is not None:
            text = message.get("text")
            await self.connection.receive_message(
                (message.get("bytes") or b"") if text is None else text
            )

    async def websocket_disconnect(self, message: Mapping[str, Any]) -> None:
        """The socket has closed."""
        if self.connection is not None:
            self.connection.disconnected(message.get("code"))


class ReplayConsumer(SessionConsumer):
    """A client that speaks `replay.v1`: credit, generations, segments, rooms."""

    dialect = ReplayConnection


class PlainConsumer(SessionConsumer):
    """A client that asked for no subprotocol: rows, as older front ends expect them."""

    dialect = PlainConnection


class RefusedConsumer(SessionConsumer):
    """A client that asked for subprotocols of which none is ours: closed with a code."""

    dialect = RefusedConnection


class IngestConsumer(SessionConsumer):
    """A producer that speaks `replay.ingest.v1`: it sends a live session."""

    dialect = IngestConnection
