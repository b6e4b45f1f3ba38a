"""A WebSocket client for tests that want to see the wire itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConcurrencyError, ConnectionClosed
from websockets.typing import Subprotocol

from streaming.playback.protocol import SUBPROTOCOL


class Wire:
    """Messages in the order in which they came, and what they were."""

    def __init__(self, socket: ClientConnection, *, acknowledge: bool) -> None:
        self.socket = socket
        self.acknowledge = acknowledge
        self.data: list[list[Any]] = []
        self.said: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    async def say(self, action: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"action": action, **fields}))

    async def next(self) -> dict[str, Any] | list[Any]:
        """The next message: a dict for control (and a plain row), a list for data."""
        message = await self.socket.recv()
        if isinstance(message, str):
            said: dict[str, Any] = json.loads(message)
            self.said.append(said)
            return said
        value = msgpack.unpackb(message)
        if isinstance(value, dict):
            self.rows.append(value)
            return value
        self.data.append(value)
        if self.acknowledge:
            # What was read before the server closed is still read to the end.
            with suppress(ConnectionClosed):
                await self.say("ack", seq=value[2])
        return list(value)

    async def row(self) -> dict[str, Any]:
        """The next message, a row or a control message of the plain dialect."""
        message = await self.next()
        assert isinstance(message, dict)
        return message

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """Read until a message fulfils `condition`; that one."""
        while True:
            message = await self.next()
            if condition(message):
                return message

    async def until_type(self, name: str, **fields: Any) -> dict[str, Any]:
        """Read until a control message of that type with those fields."""
        found = await self.until(
            lambda m: (
                isinstance(m, dict)
                and m.get("type") == name
                and all(m.get(k) == v for k, v in fields.items())
            )
        )
        assert isinstance(found, dict)
        return found

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """Say it with an id and read until the answer with that id."""
        await self.say(action, id="asked", **fields)
        found = await self.until(lambda m: isinstance(m, dict) and m.get("id") == "asked")
        assert isinstance(found, dict)
        return found

    async def until_data(self) -> list[Any]:
        found = await self.until(lambda m: isinstance(m, list))
        assert isinstance(found, list)
        return found

    async def first_data(self, generation: int) -> list[Any]:
        """The first data of that generation, read already or still to come."""
        while True:
            for data in self.data:
                if data[1] == generation:
                    return data
            await self.next()

    async def close_code(self) -> int:
        """Read until the server has closed; its code."""
        try:
            while True:
                await self.next()
        except ConnectionClosed:
            return self.socket.close_code or 0


@asynccontextmanager
async def open_wire(
    url: str, *, subprotocol: str | None = SUBPROTOCOL, acknowledge: bool = True, **options: Any
) -> AsyncIterator[Wire]:
    """Connect; nothing is said yet."""
    offered = [Subprotocol(subprotocol)] if subprotocol else None
    async with connect(url, subprotocols=offered, max_size=None, **options) as socket:
        try:
            yield Wire(socket, acknowledge=acknowledge)
        finally:
            await _close(socket)


async def _close(socket: ClientConnection) -> None:
    """Close at once: behind a full queue of messages the library would not see the server's
    answer, and wait for ten seconds."""
    closing = asyncio.create_task(socket.close())
    with suppress(ConnectionClosed, ConcurrencyError):
        while True:
            await socket.recv()
    await closing
