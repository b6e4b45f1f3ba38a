"""Who is turned away, with which code; what a hostile client gets; and that nobody else notices."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .malformed import KINDS, malformed, oversized
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
    server: RunningServer, path: str, options: dict[str, Any], code: int
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
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "origin": f"http:{evil}",
    }
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


async def test_malformed_messages_hurt_nobody_else(server: RunningServer) -> None:
    """Each is answered or ends its own connection with a code of ours; the worker plays on: who
    watches gets every frame, in order, each once."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    lines = len(server.lines)
    async with open_wire(server.websocket(RACE)) as watching:
        await watching.ask("hello")
        before = await watching.ask("play", speed=8)
        for dialect in ("replay.v1", None):
            for too_large in (False, True):
                await attack(server, chance, dialect, too_large)
        # Eight times as fast is every eighth frame, but for the picture before it played.
        after = len(watching.data)
        while len(watching.data) < after + 2:
            await watching.next()
        assert (await watching.ask("pause"))["dropped"] == before["dropped"], f"seed {seed}"
        assert [d[2] for d in watching.data] == list(range(1, len(watching.data) + 1))
        played = [d for d in watching.data if d[5] == 8]
        frames = [d[3] + 8 * i for d in played for i in range(d[4])]
        assert frames == list(range(0, frames[-1] + 1, 8)), f"seed {seed}"
    assert not [line for line in server.lines[lines:] if "Traceback" in line], f"seed {seed}"


async def attack(
    server: RunningServer, chance: random.Random, dialect: str | None, too_large: bool
) -> None:
    """A connection's worth of malformed messages, below the limit of how many a second.

    Only a message that is too large may end the connection, with its own code.
    """
    kinds = [*KINDS * 12]
    chance.shuffle(kinds)
    async with open_wire(server.websocket(RACE), subprotocol=dialect) as wire:
        if dialect:
            await wire.ask("hello")
        for kind in kinds:
            await wire.socket.send(malformed(chance, kind))
        await _drain(wire)
        # Nothing else is this wrong and yet understood.
        wrong = sum(kind in ("truncated", "deep", "binary", "unknown action") for kind in kinds)
        assert sum(m["type"] == "error" for m in wire.said) >= wrong
        if too_large:
            await wire.socket.send(oversized(chance))
            assert await wire.close_code() == CloseCode.TOO_LARGE


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
