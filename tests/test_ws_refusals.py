"""Who is turned away, with which code; what a hostile client gets; and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .samples import RACE_SLUG, STAFF_SLUG
from .websocket_client import Wire, open_wire

RACE = f"/ws/sessions/{RACE_SLUG}/"


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("/ws/sessions/no-such-session/", {}, CloseCode.NO_SUCH_SESSION),
        ("/ws/replay/no-such-session", {"subprotocol": None}, CloseCode.NO_SUCH_SESSION),
        ("/ws/sessions/%00%ff/", {}, CloseCode.NO_SUCH_SESSION),
        (f"/ws/sessions/{STAFF_SLUG}/", {}, CloseCode.UNAUTHENTICATED),
        (RACE, {"subprotocol": "replay.v9"}, CloseCode.NOT_THIS_PROTOCOL),
        (RACE, {"origin": "https://evil.example"}, CloseCode.FORBIDDEN),
        (RACE, {"origin": "null"}, CloseCode.FORBIDDEN),
    ],
)
async def test_a_refusal_has_its_code(
    server: RunningServer, path: str, options: dict, code: int
) -> None:
    async with open_wire(server.websocket(path), **options) as wire:
        assert await wire.close_code() == code


async def test_a_token_opens_what_is_for_staff(server: RunningServer) -> None:
    path = server.websocket(f"/ws/sessions/{STAFF_SLUG}/")
    async with open_wire(path, additional_headers={"Authorization": "Bearer test-token"}) as wire:
        assert (await wire.ask("hello"))["type"] == "welcome"
    async with open_wire(path, additional_headers={"Authorization": "Bearer wrong"}) as wire:
        assert await wire.close_code() == CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/sessions/", "/ws/sessions/a/b/", "/%C3%A9"])
async def test_an_unknown_path_is_404_and_no_failure(server: RunningServer, path: str) -> None:
    lines = len(server.lines)
    with pytest.raises(InvalidStatus) as refused:
        async with open_wire(server.websocket(path)):
            pass
    assert refused.value.response.status_code == 404
    assert refused.value.response.body == b"no such path\n"
    assert server.lines[lines:] == []


async def test_a_host_that_is_not_ours_is_refused(server: RunningServer) -> None:
    """As a page would come whose name was made to point to our address."""
    evil = f"//evil.example:{server.port}"
    options = {"host": "127.0.0.1", "port": server.port, "origin": f"http:{evil}"}
    async with open_wire(f"ws:{evil}{RACE}", **options) as wire:
        assert "ALLOWED_HOSTS" in (await wire.until_type("bye"))["reason"]
        assert await wire.close_code() == CloseCode.FORBIDDEN


async def test_our_own_page_may_connect(server: RunningServer) -> None:
    async with open_wire(server.websocket(RACE), origin=server.url) as wire:
        assert (await wire.ask("hello"))["type"] == "welcome"


async def test_a_message_of_64_kb_is_answered_and_one_byte_more_closes(
    server: RunningServer,
) -> None:
    async with open_wire(server.websocket(RACE)) as wire:
        await wire.socket.send("x" * 65_536)
        assert (await wire.until_type("error"))["code"] == "not_json"
        await wire.socket.send("x" * 65_537)
        assert await wire.close_code() == CloseCode.TOO_LARGE
    async with open_wire(server.websocket(RACE)) as wire:
        # What is larger by far is not even put together; a code of the WebSocket's own says so.
        await wire.socket.send("x" * (1024 * 1024 + 1))
        assert await wire.close_code() == 1009
    async with open_wire(server.websocket(RACE)) as wire:
        # Characters are not bytes.
        await wire.socket.send("€" * 30_000)
        assert await wire.close_code() == CloseCode.TOO_LARGE


async def test_too_many_messages_close(server: RunningServer) -> None:
    async with open_wire(server.websocket(RACE)) as wire:
        code = 0
        try:
            for _ in range(5000):
                await wire.say("ping")
        except ConnectionClosed:
            pass
        finally:
            code = await wire.close_code()
        assert code == CloseCode.TOO_MANY


async def test_too_many_connections_are_told_to_come_back(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(MAX_CONNECTIONS="2")
    async with open_wire(server.websocket(RACE)) as one, open_wire(server.websocket(RACE)) as two:
        await one.ask("hello")
        await two.ask("hello")
        async with open_wire(server.websocket(RACE)) as three:
            bye = await three.until_type("bye")
            assert bye["retry_after"] > 0
            assert await three.close_code() == CloseCode.TOO_MANY
        await one.say("bye")
        assert await one.close_code() == CloseCode.DONE
        async with open_wire(server.websocket(RACE)) as again:
            assert (await again.ask("hello"))["type"] == "welcome"


VALID = [
    {"action": "play", "speed": 2},
    {"action": "seek", "frame": 100},
    {"action": "request", "frame": 0, "frames": 10},
    {"action": "ack", "seq": 1},
    {"action": "join", "room": "r"},
    {"action": "hello", "window": 8},
]


KINDS = (
    "truncated",
    "wrong type",
    "not a number",
    "deep",
    "unknown action",
    "binary",
    "huge number",
    "missing field",
    "odd id",
)
TOO_LARGE = "too large"
ODD = [None, True, [], {}, "", "\ud800", -1, 1.5, 10**30, 1e308, "NaN", [[[[]]]], {"a": {}}]


def malformed(chance: random.Random, kind: str) -> str | bytes:
    """A message that is wrong in that way."""
    message = dict(chance.choice(VALID))
    text = json.dumps(message)
    key = chance.choice(list(message))
    odd = chance.choice(ODD)
    match kind:
        case "truncated":
            return text[: chance.randrange(len(text))]
        case "wrong type":
            return json.dumps({**message, key: odd})
        case "not a number":
            number = chance.choice(["NaN", "-Infinity", "1e999", "0x10", "1_000", ".5", "--1"])
            return f'{{"action": "seek", "frame": {number}}}'
        case "deep":
            opening = chance.choice(["[", "{", '{"a":', '[{"action":'])
            return (opening * chance.randrange(1, 30_000))[:65_536]
        case "unknown action":
            return json.dumps({**message, "action": "".join(chance.choices("playseku", k=5))})
        case "binary":
            return chance.randbytes(chance.randrange(2000))
        case "huge number":
            digits = "9" * chance.choice([1, 20, 400, 4300, 4301, 60_000])
            return f'{{"action": "seek", "{chance.choice(["frame", "time", "id"])}": {digits}}}'
        case "missing field":
            del message[key]
            return json.dumps(message)
        case "odd id":
            return json.dumps({**message, "id": odd})
        case _:
            return chance.choice(["x" * 65_537, "€" * 22_000, '{"action": "play"}' * 4_000])


async def test_thousands_of_malformed_messages_hurt_nobody_else(
    start_server: Callable[..., RunningServer],
) -> None:
    """Each is answered or ends its own connection with a code of ours; the worker plays on: who
    watches gets every frame to the end, in order, each once."""
    server = start_server(MESSAGES_PER_SECOND="1000000")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    async with open_wire(server.websocket(RACE)) as watching:
        await watching.ask("hello")
        started = await watching.ask("play", speed=8)
        watched = asyncio.create_task(watching.until_type("state", status="ended"))
        sent = 0
        while sent < 4000 or not watched.done():
            sent += await _attack(server, chance)
        ended = await watched
        assert (ended["frame"], ended["time"]) == (2999, 119.96), f"seed {seed}"
        assert ended["dropped"] == started["dropped"], f"seed {seed}"
        assert [d[2] for d in watching.data] == list(range(1, len(watching.data) + 1))
        # Eight times as fast is every eighth frame, but for the picture before it played.
        played = [d for d in watching.data if d[5] == 8]
        frames = [d[3] + 8 * i for d in played for i in range(d[4])]
        assert frames == list(range(0, 3000, 8)), f"seed {seed}"
    assert not [line for line in server.lines if "Traceback" in line], f"seed {seed}"


async def _attack(server: RunningServer, chance: random.Random) -> int:
    """One connection's worth of malformed messages. Returns: how many were sent.

    Only a message that is too large may end the connection, with its own code.
    """
    dialect = chance.choice(["replay.v1", None])
    kinds = [*KINDS * 22, *((TOO_LARGE,) if chance.random() < 0.3 else ())]
    chance.shuffle(kinds)
    count = 0
    async with open_wire(server.websocket(RACE), subprotocol=dialect) as wire:
        try:
            if dialect:
                await wire.ask("hello")
            for kind in kinds:
                await wire.socket.send(malformed(chance, kind))
                count += 1
            await _drain(wire)
        except ConnectionClosed:
            assert wire.socket.close_code == CloseCode.TOO_LARGE
            assert TOO_LARGE in kinds
        else:
            assert TOO_LARGE not in kinds
            # Nothing else is this wrong and yet understood.
            wrong = sum(kind in ("truncated", "deep", "binary", "unknown action") for kind in kinds)
            assert sum(m["type"] == "error" for m in wire.said) >= wrong
    return count


async def _drain(wire: Wire) -> None:
    """Read until everything that was sent has been answered."""
    if wire.socket.subprotocol:
        await wire.say("ping", t="last")
        await wire.until(lambda m: isinstance(m, dict) and m.get("t") == "last")
    else:
        await wire.say("play-out")
        await wire.until(lambda m: m.get("type") == "error" and "play-out" in m.get("message", ""))


async def test_broken_frames_end_only_their_own_connection(server: RunningServer) -> None:
    async with open_wire(server.websocket(RACE)) as wire:
        await wire.ask("hello")
        # A frame with reserved bits, straight onto the socket.
        wire.socket.transport.write(b"\xff\x85" + struct.pack("!I", 0) + b"hello")
        assert await wire.close_code() in (1002, 1006)
    async with open_wire(server.websocket(RACE)) as wire:
        assert (await wire.ask("hello"))["type"] == "welcome"
