"""A session that becomes private, or goes, while a hundred watch it on one worker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from channels.testing import WebsocketCommunicator

from sessions_app.models import Session
from streaming.connections.rights import REVIEW_SECONDS, RightsReview
from streaming.playback.protocol import SUBPROTOCOL, CloseCode
from streaming.routing import websocket_urlpatterns
from streaming.worker import WithWorker, Worker

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = 100
WITHIN = 5.0
"""Seconds: what docs/security.md promises."""


class Clock:
    """Seconds that pass only while the review sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.may_go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.may_go_on.wait()
        self.now += seconds
        await asyncio.sleep(0)


async def watching(service: WithWorker) -> WebsocketCommunicator:
    host = [(b"host", b"testserver")]
    client = WebsocketCommunicator(
        service, "/ws/sessions/race/", headers=host, subprotocols=[SUBPROTOCOL]
    )
    assert (await client.connect(60))[0]
    await client.send_json_to({"action": "hello"})
    assert (await client.receive_json_from(60))["type"] == "welcome"
    return client


async def end_of(client: WebsocketCommunicator) -> tuple[str, int]:
    """The reason in `bye`, and the code."""
    reason = ""
    while (message := await client.receive_output(60))["type"] != "websocket.close":
        reason = json.loads(message["text"]).get("reason", reason)
    await client.disconnect()
    return reason, message["code"]


@pytest.mark.parametrize(
    ("becomes", "reason", "code"),
    [
        ("private", "log in to watch this session", CloseCode.UNAUTHENTICATED),
        ("deleted", "the session was deleted", CloseCode.NO_SUCH_SESSION),
    ],
)
async def test_all_are_told_within_five_seconds(becomes: str, reason: str, code: int) -> None:
    session = await Session.objects.acreate(slug="race", title="Race", access="public")
    worker = Worker()
    service: Any = WithWorker(SessionMiddlewareStack(URLRouter(websocket_urlpatterns)), worker)
    clock = Clock()
    clients = [await watching(service) for _ in range(VIEWERS)]
    assert len(worker.connections) == VIEWERS
    if becomes == "deleted":
        await session.adelete()
    else:
        await Session.objects.filter(pk=session.pk).aupdate(access=becomes)
    review = RightsReview(worker.connections, every=REVIEW_SECONDS, sleep=clock.sleep)
    running = asyncio.create_task(review.run())
    clock.may_go_on.set()
    first = await end_of(clients[0])
    told_after = clock.now
    ends = [first, *[await end_of(client) for client in clients[1:]]]
    running.cancel()
    await worker.close()
    assert ends == [(reason, code)] * VIEWERS
    assert told_after <= WITHIN
