"""Consumers as Channels' own test client sees them: which one answers, and how a socket ends."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator

from streaming.consumers import PlainConsumer, RefusedConsumer, ReplayConsumer
from streaming.playback.protocol import SUBPROTOCOL, CloseCode
from streaming.routing import SubprotocolRouter, websocket_urlpatterns
from streaming.store.catalogue import SessionInfo
from streaming.worker import WithWorker, Worker

from .recordings import record
from .samples import small_race
from .worker_socket import HEADERS, PATH, OneSession


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> SessionInfo:
    return record(tmp_path_factory.mktemp("recordings"), small_race(seconds=10))


@pytest.fixture
async def service(info: SessionInfo) -> AsyncIterator[WithWorker]:
    worker = Worker(catalogue=OneSession(info))
    yield WithWorker(URLRouter(websocket_urlpatterns), worker)
    await worker.close()


def socket(service: WithWorker, path: str = PATH, *offered: str) -> WebsocketCommunicator:
    return WebsocketCommunicator(service, path, HEADERS, list(offered))


async def closed_with(client: WebsocketCommunicator) -> tuple[list[dict[str, Any]], int]:
    """What is said until the server closes, and the code."""
    said = []
    while (message := await client.receive_output(60))["type"] == "websocket.send":
        said.append(json.loads(message["text"]))
    assert message["type"] == "websocket.close"
    return said, message["code"]


async def test_a_viewer_is_welcomed_served_and_forgotten(service: WithWorker) -> None:
    client = socket(service, PATH, SUBPROTOCOL)
    assert await client.connect(60) == (True, SUBPROTOCOL)
    await client.send_json_to({"action": "hello"})
    welcome = await client.receive_json_from(60)
    assert welcome["type"] == "welcome"
    assert len(service.worker.connections) == len(service.worker.registry) == 1
    while isinstance(await client.receive_from(60), str):
        pass
    await client.disconnect(timeout=60)
    assert len(service.worker.connections) == len(service.worker.registry) == 0


async def test_a_connection_that_is_over_is_freed_without_the_garbage_collector(
    service: WithWorker,
) -> None:
    gc.disable()
    try:
        client = socket(service, PATH, SUBPROTOCOL)
        await client.connect(60)
        await client.send_json_to({"action": "hello"})
        await client.receive_json_from(60)
        [connection] = service.worker.connections
        over = weakref.ref(connection)
        del connection
        await client.disconnect(timeout=60)
        del client
        # What the event loop still had to do at its end.
        await asyncio.sleep(0)
        assert over() is None
    finally:
        gc.enable()


async def test_a_session_that_is_not_there_closes_with_its_code(service: WithWorker) -> None:
    client = socket(service, "/ws/sessions/other/", SUBPROTOCOL)
    assert await client.connect(60) == (True, SUBPROTOCOL)
    said, code = await closed_with(client)
    assert (said[-1]["type"], code) == ("bye", CloseCode.NO_SUCH_SESSION)
    await client.disconnect(timeout=60)
    assert len(service.worker.registry) == 0


async def test_unknown_subprotocols_are_refused_with_a_code(service: WithWorker) -> None:
    client = socket(service, PATH, "chat")
    assert await client.connect(60) == (True, None)
    assert (await closed_with(client))[1] == CloseCode.NOT_THIS_PROTOCOL
    await client.disconnect(timeout=60)


async def test_a_client_that_goes_before_it_is_accepted_leaves_nothing(
    service: WithWorker,
) -> None:
    client = socket(service, PATH, SUBPROTOCOL)
    await client.send_input({"type": "websocket.disconnect", "code": 1006})
    await client.wait(60)
    assert len(service.worker.registry) == 0


@pytest.mark.parametrize(
    ("offered", "consumer"),
    [
        ([SUBPROTOCOL], ReplayConsumer),
        (["chat", SUBPROTOCOL], ReplayConsumer),
        ([], PlainConsumer),
        (["chat"], RefusedConsumer),
    ],
)
async def test_the_subprotocol_decides_who_answers(offered: list[str], consumer: type) -> None:
    asked: list[type] = []

    def named(kind: type) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            asked.append(kind)

        return application

    router = SubprotocolRouter(
        {SUBPROTOCOL: named(ReplayConsumer)},
        none=named(PlainConsumer),
        unknown=named(RefusedConsumer),
    )
    await router({"subprotocols": offered}, None, None)
    assert asked == [consumer]
