"""Workers that are replaced, told to end or killed under a viewer: it plays on, on another one."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import psutil
import pytest
from redis import asyncio as redis

from streaming.client.client import ReplayClient, connect
from streaming.client.decoding import Frames
from streaming.connections.resume import SEND_EVERY
from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .processes import ended, workers
from .samples import RACE_SLUG
from .websocket_client import Wire, open_wire

Start = Callable[..., RunningServer]
PATH = f"/ws/sessions/{RACE_SLUG}/"
START, SPEED, RATE = 500, 0.5, 25.0


def worker_of(server: RunningServer, port: int) -> int | None:
    """Pid of the worker that has the connection from our local `port`; None if it has ended."""
    for pid, process in workers(server).items():
        with suppress(psutil.NoSuchProcess):
            if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
                return pid
    return None


def end_worker_of(server: RunningServer, port: int, number: signal.Signals) -> int:
    """Send a signal to the worker that has the connection from our local `port`; its pid."""
    pid = worker_of(server, port)
    assert pid is not None, f"no worker has a connection from port {port}"
    os.kill(pid, number)
    return pid


def port_of(client: ReplayClient) -> int:
    assert client._socket is not None
    return int(client._socket.local_address[1])


async def playing(client: ReplayClient) -> None:
    await client.seek(frame=100)
    await client.seek(frame=START)
    await client.play(speed=SPEED)
    await anext(client)


async def frames_until(client: ReplayClient, condition: Callable[[], bool]) -> list[Frames]:
    """Frames up to the first ones that come when `condition` holds."""
    seen: list[Frames] = []
    while not seen or not condition():
        seen.append(await anext(client))
    return seen


def assert_in_order(seen: list[Frames]) -> None:
    """Nothing is passed over but what was due in the instant in which the socket closed."""
    numbers = [int(f.numbers[0]) for f in seen]
    for earlier, later in itertools.pairwise(numbers):
        assert 0 <= later - earlier <= RATE, numbers


@pytest.mark.parametrize("encoding", ["segments", "rows"])
async def test_a_worker_that_is_told_to_end_hands_its_viewers_over(
    start_server: Start, encoding: str
) -> None:
    server = start_server("--workers", "2")
    said: list[Mapping[str, Any]] = []
    address = server.websocket(PATH)
    async with connect(address, encoding=encoding, on_message=said.append) as client:
        await playing(client)
        before = end_worker_of(server, port_of(client), signal.SIGTERM)
        seen = await frames_until(client, lambda: client.reconnects == 1)
        assert worker_of(server, port_of(client)) not in (before, None)
        # Before the farewell it may have been told that the data of its seek was late.
        farewell = next(i for i, m in enumerate(said) if m["type"] == "bye")
        bye, welcome, state = said[farewell : farewell + 3]
        assert (welcome["type"], state["type"]) == ("welcome", "state")
        assert 0 < bye["retry_after"] <= 1.0
        assert welcome["resumed"]
        assert (state["status"], state["speed"], state["generation"]) == ("playing", SPEED, 2)
        assert START <= state["frame"] <= START + RATE * 20
        assert all(f.generation == 2 for f in seen)
        if encoding == "rows":
            assert_in_order(seen + await frames_until(client, lambda: True))
        else:
            # Whole segments again from the one that has the playhead.
            assert seen[-1].numbers[0] <= state["frame"] <= seen[-1].numbers[-1]


async def test_the_socket_closes_with_1012(start_server: Start) -> None:
    server = start_server("--workers", "2")
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello")
        await wire.ask("play")
        end_worker_of(server, wire.socket.local_address[1], signal.SIGTERM)
        bye = await wire.until_type("bye")
        assert bye["retry_after"] <= 1.0
        assert await wire.close_code() == CloseCode.RESTARTING
        async with open_wire(server.websocket(PATH)) as again:
            assert (await again.ask("hello", resume=bye["resume"]))["resumed"]


async def test_all_workers_are_replaced_under_a_viewer(start_server: Start) -> None:
    server = start_server("--workers", "2")
    async with connect(server.websocket(PATH), encoding="rows") as client:
        await playing(client)
        before = workers(server)
        server.process.send_signal(signal.SIGHUP)

        def served_by_a_new_one() -> bool:
            return worker_of(server, port_of(client)) not in (None, *before)

        seen = await frames_until(client, lambda: all(ended(p) for p in before.values()))
        # Of the last old one there may be rows, and then its farewell, that were not read yet.
        seen += await frames_until(client, served_by_a_new_one)
        seen += await frames_until(client, lambda: client.state.status == "playing")
        assert client.reconnects >= 1
        assert_in_order(seen)
        assert (client.state.generation, client.state.speed) == (2, SPEED)


async def test_a_killed_workers_viewer_is_where_it_would_have_played_to(
    start_server: Start,
) -> None:
    server = start_server("--workers", "2")
    said: list[Mapping[str, Any]] = []
    address = server.websocket(PATH)
    async with connect(address, encoding="rows", on_message=said.append) as client:
        asked = time.monotonic()
        await playing(client)
        # What a killed worker has not stored yet is lost: play for longer than that.
        enough = START + 4 * SEND_EVERY * SPEED * RATE
        seen = [await anext(client)]
        while seen[-1].numbers[-1] < enough:
            seen.append(await anext(client))
        last = int(seen[-1].numbers[-1])
        end_worker_of(server, port_of(client), signal.SIGKILL)
        # What had been sent may still be on its way; the first row after `state` is the new one.
        seen += await frames_until(client, lambda: client.reconnects == 1)
        passed = time.monotonic() - asked
        again = max(i for i, m in enumerate(said) if m["type"] == "welcome")
        # The first that it says; a later one may be that this row was late.
        resumed = next(m for m in said[again:] if m["type"] == "state")
        assert (resumed["generation"], resumed["speed"]) == (2, SPEED)
        assert resumed["status"] == "playing"
        assert last - 1 <= resumed["frame"] <= START + passed * SPEED * RATE
        assert seen[-1].generation == 2
        assert seen[-1].numbers[0] >= last - 1


async def shared(valkey: str, wire: Wire, **place: Any) -> None:
    """Until whichever worker the client comes back to knows that it is at that place. A worker
    shares it twice a second; what it has not shared yet is lost if the connection breaks off."""
    key = f"replay:resume:{wire.said[0]['connection']}"
    async with redis.Redis.from_url(valkey) as client:
        while not place.items() <= json.loads(await client.get(key) or "{}").items():
            pass


async def test_who_comes_back_is_in_its_room_again(start_server: Start, valkey: str) -> None:
    """Both by the token of the welcome and by that of the farewell."""
    server = start_server("--workers", "2", REDIS_URL=valkey)
    async with AsyncExitStack() as stack:

        async def opened(token: str | None = None) -> Wire:
            wire = await stack.enter_async_context(open_wire(server.websocket(PATH)))
            welcome = await wire.ask("hello", **({"resume": token} if token else {}))
            assert welcome["resumed"] == bool(token)
            return wire

        ann, bob = await opened(), await opened()
        await ann.ask("join", room="friends")
        await bob.ask("join", room="friends")
        await ann.ask("seek", frame=1000)
        await bob.until_type("state", frame=1000)
        await shared(valkey, bob, room="friends", frame=1000.0)
        bob.socket.transport.abort()
        bob = await opened(bob.said[0]["resume"])
        await bob.until_type("room", room="friends", members=2)
        assert (await bob.ask("pause"))["room"] == "friends"
        await bob.ask("seek", frame=1500)
        await ann.until_type("state", frame=1500)

        end_worker_of(server, bob.socket.local_address[1], signal.SIGTERM)
        token = (await bob.until_type("bye"))["resume"]
        assert await bob.close_code() == CloseCode.RESTARTING
        bob = await opened(token)
        state = await bob.until_type("state", room="friends")
        assert state["frame"] == 1500
        assert (await bob.until_type("room"))["room"] == "friends"


async def test_who_left_a_room_comes_back_alone(server: RunningServer) -> None:
    async with open_wire(server.websocket(PATH)) as wire:
        token = (await wire.ask("hello"))["resume"]
        await wire.ask("join", room="left")
        await wire.ask("leave")
        await wire.say("bye")
        assert await wire.close_code() == CloseCode.DONE
    async with open_wire(server.websocket(PATH)) as wire:
        assert (await wire.ask("hello", resume=token))["resumed"]
        assert "room" not in await wire.ask("pause")
        assert (await wire.ask("leave"))["code"] == "no_room"
