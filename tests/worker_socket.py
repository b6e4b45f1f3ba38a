"""Clients of a worker that lives in the test: no server, no database."""

from __future__ import annotations

import json
from typing import Any

from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator

from streaming.playback.protocol import SUBPROTOCOL
from streaming.routing import websocket_urlpatterns
from streaming.store.catalogue import Catalogue, SessionInfo
from streaming.worker import WithWorker, Worker

PATH = "/ws/sessions/sample/"
HEADERS = [(b"host", b"localhost")]


class OneSession(Catalogue):
    """Knows one session without a database."""

    def __init__(self, info: SessionInfo) -> None:
        super().__init__()
        self.info = info

    async def find(self, slug: str) -> SessionInfo | None:
        return self.info if slug == self.info.slug else None


class Socket:
    """One client of one worker."""

    def __init__(self, worker: Worker) -> None:
        service = WithWorker(URLRouter(websocket_urlpatterns), worker)
        self._client = WebsocketCommunicator(service, PATH, HEADERS, [SUBPROTOCOL])

    async def hello(self, **fields: Any) -> dict[str, Any]:
        assert (await self._client.connect(60))[0]
        return await self.ask("hello", **fields)

    async def say(self, action: str, **fields: Any) -> None:
        await self._client.send_json_to({"action": action, **fields})

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        await self.say(action, id="asked", **fields)
        while True:
            message = await self.control()
            if message.get("id") == "asked":
                return message

    async def control(self) -> dict[str, Any]:
        """The next control message."""
        while True:
            text = (await self._client.receive_output(60)).get("text")
            if text is not None:
                message: dict[str, Any] = json.loads(text)
                return message

    async def until(self, type_: str) -> dict[str, Any]:
        while True:
            message = await self.control()
            if message["type"] == type_:
                return message

    async def close(self) -> None:
        await self._client.disconnect(timeout=60)
