"""SIGTERM: viewers are told, sockets close with 1012, the process ends, the token still works."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .samples import RACE_SLUG
from .websocket_client import open_wire

RACE = f"/ws/sessions/{RACE_SLUG}/"


async def test_viewers_are_told_when_to_come_back(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server()
    async with (
        open_wire(server.websocket(RACE)) as wire,
        open_wire(server.websocket(RACE), subprotocol=None) as plain,
    ):
        await wire.ask("hello")
        await wire.ask("seek", frame=500)
        await plain.until_type("loading_complete")
        os.kill(server.process.pid, signal.SIGTERM)
        bye = await wire.until_type("bye")
        assert bye["retry_after"] <= 1.0
        assert bye["resume"]
        assert await wire.close_code() == CloseCode.RESTARTING
        assert await plain.close_code() == CloseCode.RESTARTING
    assert server.stop() == 0


async def test_the_farewells_token_opens_on_the_next_server(
    start_server: Callable[..., RunningServer],
) -> None:
    """Nothing but the token survives here: another database, another Valkey, the same secret."""
    first = start_server(SECRET_KEY="the same for both")
    second = start_server(SECRET_KEY="the same for both")
    async with open_wire(first.websocket(RACE)) as wire:
        await wire.ask("hello")
        await wire.ask("seek", frame=777)
        await wire.ask("speed", speed=2)
        os.kill(first.process.pid, signal.SIGTERM)
        token = (await wire.until_type("bye"))["resume"]
    async with open_wire(second.websocket(RACE)) as wire:
        assert (await wire.ask("hello", resume=token))["resumed"]
        state = await wire.until_type("state")
        assert (state["frame"], state["speed"], state["generation"]) == (777, 2.0, 1)


async def test_any_worker_takes_up_who_comes_back(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server("--workers", "2")
    token = None
    for turn in range(6):
        async with open_wire(server.websocket(RACE)) as wire:
            welcome = await wire.ask("hello", **({"resume": token} if token else {}))
            token = welcome["resume"]
            if turn:
                assert welcome["resumed"]
                state = await wire.until_type("state")
                assert (state["frame"], state["generation"]) == (100 * turn, turn)
            await wire.ask("seek", frame=100 * (turn + 1))
            await wire.say("bye")
            assert await wire.close_code() == CloseCode.DONE


async def test_a_room_spans_workers(start_server: Callable[..., RunningServer]) -> None:
    server = start_server("--workers", "2")
    async with (
        open_wire(server.websocket(RACE)) as a,
        open_wire(server.websocket(RACE)) as b,
        open_wire(server.websocket(RACE)) as c,
        open_wire(server.websocket(RACE)) as d,
    ):
        for wire in (a, b, c, d):
            await wire.ask("hello")
            await wire.ask("join", room="all")
        await a.ask("seek", frame=1500)
        await d.ask("play", speed=0.5)
        for wire in (a, b, c):
            state = await wire.until_type("state", status="playing")
            assert state["speed"] == 0.5
            assert 1500 <= state["frame"] <= 1600
