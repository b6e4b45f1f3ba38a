"""Live sessions in a running service: a producer sends, viewers see, the end makes a recording."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from streaming import live
from streaming.live.wire import SUBPROTOCOL

from .conftest import RunningServer
from .live_samples import FIELDS, payload
from .websocket_client import open_wire

ENTITIES = [{"code": "A", "name": "Alpha"}, {"code": "B"}]
START: dict[str, Any] = {
    "title": "Regatta",
    "frame_rate": 10.0,
    "fields": [field.as_dict() for field in FIELDS],
    "entities": ENTITIES,
}


class Ingest:
    """A producer that shows the wire itself."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, action: str, **fields: Any) -> None:
        # What the server said before it closed is still read.
        with suppress(ConnectionClosed):
            await self.socket.send(json.dumps({"action": action, **fields}))

    async def send(self, *numbers: int) -> None:
        await self.socket.send(msgpack.packb([[n, None, payload(n)] for n in numbers]))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["type"] == kind and fields.items() <= message.items():
                return message

    async def close_code(self) -> int:
        await self.socket.wait_closed()
        return self.socket.close_code or 0


def ingest(server: RunningServer, slug: str, token: str = "test-token") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return connect(
        server.websocket(f"/ws/ingest/{slug}/"),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers=headers,
    )


async def session_of(server: RunningServer, slug: str) -> dict[str, Any]:
    def get() -> dict[str, Any]:
        with urllib.request.urlopen(f"{server.url}/api/sessions/{slug}") as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    return await asyncio.to_thread(get)


async def until_ready(server: RunningServer, slug: str) -> dict[str, Any]:
    """Wait until it is a recording, as its viewers are told: they are asked to come back."""
    async with open_wire(server.websocket(f"/ws/sessions/{slug}/")) as wire:
        await wire.say("hello")
        welcome = await wire.until_type("welcome")
        if welcome["session"]["state"] == "live":
            assert await wire.close_code() == 1012
    return await session_of(server, slug)


async def test_it_works(server: RunningServer) -> None:
    async with ingest(server, "it-works") as socket:
        producer = Ingest(socket)
        await producer.say("start", **START)
        ready = await producer.until("ready")
        assert (ready["next_frame"], ready["schema"]["entities"]) == (0, ["A", "B"])
        await producer.send(*range(12))
        await producer.until("ack", frame=11)
        address = server.websocket("/ws/sessions/it-works/")
        async with open_wire(address) as wire:
            await wire.say("hello", encoding="rows", events=True)
            welcome = await wire.until_type("welcome")
            assert welcome["session"]["state"] == "live"
            assert welcome["session"]["frame_count"] == 12
            state = await wire.ask("live")
            assert (state["status"], state["frame"], state["behind"]) == ("live", 11, 0.0)
            await producer.send(12)
            row = (await wire.until(lambda m: isinstance(m, list) and m[3] == 12))[6]
            assert row["entities"]["A"] == {"x": 12, "speed": 1.2}
            # A gap stays a gap.
            await producer.send(20)
            await wire.until(lambda m: isinstance(m, list) and m[3] == 20)
            await producer.say("event", frame=20, kind="flag", message="red")
            assert (await wire.until_type("event", frame=20))["message"] == "red"
            await wire.say("seek", frame=15)
            assert (await wire.until(lambda m: isinstance(m, list) and m[3] == 15))[6] == {
                "frame_index": 15,
                "t": 1.5,
                "flag": None,
                "entities": {},
            }
            await producer.say("end", reason="over")
            assert (await producer.until("ended"))["frames"] == 21
            assert await producer.close_code() == 1000
            assert await wire.close_code() == 1012
    found = await until_ready(server, "it-works")
    assert (found["frame_count"], found["entities"][0]["name"]) == (21, "Alpha")
    assert found["metadata"]["live"] == {"reason": "over", "gaps": []}
    async with ingest(server, "it-works") as socket:
        producer = Ingest(socket)
        await producer.say("start", **START)
        assert (await producer.until("error"))["code"] == "finished"


async def test_a_producer_that_comes_back_goes_on(server: RunningServer) -> None:
    async with ingest(server, "returns") as socket:
        producer = Ingest(socket)
        await producer.say("start", **START)
        await producer.send(0, 1, 2)
        await producer.until("ack", frame=2)
        async with ingest(server, "returns") as second:
            other = Ingest(second)
            await other.say("start")
            refused = await other.until("error")
            assert refused["code"] == "held"
            assert "has a producer" in refused["message"]
            assert await other.close_code() == 4409
        async with ingest(server, "returns") as third:
            other = Ingest(third)
            await other.say("start", take_over=True)
            assert (await other.until("ready"))["next_frame"] == 3
            assert await producer.close_code() == 4409
            await other.send(2, 3)
            assert (await other.until("refused"))["code"] == "frame_backwards"
            await other.until("ack", frame=3)
            await other.say("entity", code="C")
            await other.send(4)
            await other.until("ack", frame=4)
            await other.say("end")
            await other.until("ended")
    assert (await until_ready(server, "returns"))["schema"]["entities"] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("token", "start", "code", "words"),
    [
        ("", START, 4401, "log in"),
        ("wrong", START, 4401, "not known"),
        ("test-token", {"fields": []}, 4400, "0 fields"),
        ("test-token", {"fields": [{"name": "X"}]}, 4400, "lower-case identifier"),
        ("test-token", {"kind": "film"}, 4400, '"telemetry" or "media"'),
        ("test-token", {"kind": "media"}, 4400, "content_type"),
    ],
)
async def test_bad_producers_are_refused_in_words(
    server: RunningServer, token: str, start: dict[str, Any], code: int, words: str
) -> None:
    async with ingest(server, "refused", token) as socket:
        producer = Ingest(socket)
        await producer.say("start", **start)
        assert words in (await producer.until("bye"))["reason"]
        assert await producer.close_code() == code


def test_the_python_producer_publishes_from_a_thread(server: RunningServer) -> None:
    with live.open(
        "threaded", url=server.url, token="test-token", frame_rate=10.0, title="T",
        fields=START["fields"], entities=ENTITIES,
    ) as producer:  # fmt: skip
        assert producer.publish(payload(0), time=100.0) == (0, "accepted", "")
        assert producer.publish(payload(1), time=100.12).frame == 1
        # What lies between is a gap.
        assert producer.publish(payload(2), time=102.0).frame == 20
        assert "backwards" in producer.publish(payload(3), time=101.0).reason
        assert producer.publish(payload(3), time=102.0).frame == 21
        assert "too fast" in producer.publish(payload(3), time=102.001).reason
        refused = producer.publish({"entities": {"A": {"z": 1}}}, time=103.0)
        assert (refused.outcome, "expected one of x, speed" in refused.reason) == ("refused", True)
    assert producer.failure is None
    assert producer.acknowledged == 21
    with pytest.raises(live.ProducerError, match=r"not live|has ended"):
        live.open("threaded", url=server.url, token="test-token")


def test_the_python_producer_says_why_it_cannot(server: RunningServer) -> None:
    with pytest.raises(live.ProducerError, match="not known"):
        live.open("nobody", url=server.url, token="wrong", fields=START["fields"])
