"""The way out of a connection ends it whatever the client's socket does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming.connections import outgoing
from streaming.connections.outgoing import Outgoing, SendTimeout
from streaming.playback.protocol import CloseCode


class Socket:
    """Takes what `takes` names; `gone`: it is closed."""

    def __init__(self, *takes: str, gone: bool = False) -> None:
        self.takes = takes
        self.gone = gone
        self.asked: list[str] = []
        self.taken: list[dict[str, Any]] = []

    async def send(self, event: dict[str, Any]) -> None:
        self.asked.append(event["type"])
        if self.gone:
            raise OSError("the client has gone")
        if event["type"] not in self.takes:
            await asyncio.Event().wait()
        self.taken.append(event)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "CLOSE_WITHIN", 0.01)


async def test_it_works() -> None:
    socket = Socket("websocket.send", "websocket.close")
    await Outgoing(socket.send, 60.0).close(CloseCode.RESTARTING, ["one", "bye"])
    assert socket.taken == [
        {"type": "websocket.send", "text": "one"},
        {"type": "websocket.send", "text": "bye"},
        {"type": "websocket.close", "code": 1012},
    ]


async def test_a_socket_that_takes_no_words_is_still_closed() -> None:
    socket = Socket("websocket.close")
    await Outgoing(socket.send, 60.0).close(CloseCode.SLOW, ["one", "bye"])
    assert socket.asked == ["websocket.send", "websocket.close"]
    assert socket.taken == [{"type": "websocket.close", "code": 4408}]


async def test_a_socket_that_takes_nothing_is_given_up() -> None:
    socket = Socket()
    await Outgoing(socket.send, 60.0).close(CloseCode.SLOW, ["bye"])
    assert socket.asked == ["websocket.send", "websocket.close"]


async def test_nothing_is_said_to_a_client_that_has_gone() -> None:
    socket = Socket(gone=True)
    await Outgoing(socket.send, 60.0).close(CloseCode.DONE, ["bye"])
    assert socket.asked == ["websocket.send"]


async def test_a_message_waits_as_long_as_data_may() -> None:
    socket = Socket("websocket.close")
    with pytest.raises(SendTimeout):
        await Outgoing(socket.send, 0.01)({"type": "websocket.send", "text": "one"})


async def test_a_server_s_own_timeout_is_not_ours() -> None:
    async def send(event: dict[str, Any]) -> None:
        raise TimeoutError("of the server")

    with pytest.raises(TimeoutError, match="of the server"):
        await Outgoing(send, 60.0)({"type": "websocket.send", "text": "one"})
