"""A live session over the wire: its edge is followed, its growth is told, and it ends."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import RunningServer
from .live_app import LIVE_SLUG
from .websocket_client import Wire, open_wire

LIVE = ("-m", "tests.live_app")
RATE = 25
WITHIN = 3 * RATE


@pytest.fixture
def live(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A live session of ten seconds, which stands."""
    return start_server(program=LIVE)


async def ask(server: RunningServer, what: str) -> int:
    """Have something happen to the session. Returns: its frames then."""

    def get() -> int:
        with urllib.request.urlopen(f"{server.url}/live/{what}") as answer:
            return int(answer.read())

    return await asyncio.to_thread(get)


def address(server: RunningServer) -> str:
    return server.websocket(f"/ws/sessions/{LIVE_SLUG}/")


def holds(message: Any, frame: int) -> bool:
    """Whether it is data that has `frame`."""
    if not isinstance(message, list):
        return False
    _kind, _generation, _seq, first, count, stride, _payload = message
    return bool(first <= frame < first + count * abs(stride))


async def until_frame(wire: Wire, frame: int) -> None:
    """Read until data has come that holds `frame`."""
    await wire.until(lambda message: holds(message, frame))


async def test_the_edge_is_followed(live: RunningServer) -> None:
    async with open_wire(address(live)) as wire:
        await wire.say("hello")
        welcome = await wire.until_type("welcome")
        assert welcome["session"]["state"] == "live"
        assert welcome["session"]["frame_count"] == 250
        state = await wire.ask("live")
        assert (state["status"], state["generation"], state["speed"]) == ("live", 1, 1.0)
        assert (state["live"], state["frame_count"]) == (True, 250)
        assert 250 - WITHIN <= state["frame"] < 250
        await until_frame(wire, 249)
        assert {message[1] for message in wire.data[-2:]} == {1}
        assert await ask(live, "grow/60") == 310
        await until_frame(wire, 299)
        # The next segment has 10 frames: it is sent when it has all of its 25.
        await ask(live, "grow/15")
        await until_frame(wire, 324)
        assert all(message[4] == 25 for message in wire.data)
        assert (await wire.ask("pause"))["frame_count"] == 325


async def test_it_goes_on_at_the_rate_at_which_it_is_made(live: RunningServer) -> None:
    async with open_wire(address(live)) as wire:
        await wire.say("hello")
        await wire.ask("live")
        # However long it takes until the first data is there: the edge has not moved meanwhile.
        await until_frame(wire, 249)
        await ask(live, "run")
        await until_frame(wire, 400)
        state = await wire.ask("speed", speed=1)
        assert state["status"] == "live"
        assert state["frame_count"] - WITHIN <= state["frame"] < state["frame_count"]
        assert state["dropped"] == 0


async def test_whoever_is_elsewhere_is_told_how_it_grows(live: RunningServer) -> None:
    async with open_wire(address(live)) as wire, open_wire(address(live)) as late:
        await wire.say("hello")
        await wire.until_data()
        await ask(live, "grow/100")
        told = await wire.until_type("state", frame_count=350)
        assert (told["status"], told["frame"], told["live"]) == ("paused", 0, True)
        assert (await wire.ask("seek", frame=349))["frame"] == 349
        await until_frame(wire, 349)
        await late.say("hello")
        assert (await late.until_type("welcome"))["session"]["frame_count"] == 350


async def test_rows_follow_the_edge(live: RunningServer) -> None:
    async with open_wire(address(live)) as wire:
        await wire.say("hello", encoding="rows")
        await wire.until_type("welcome")
        state = await wire.ask("live")
        assert (state["status"], state["frame"]) == ("live", 249)
        await until_frame(wire, 249)
        await ask(live, "grow/30")
        await until_frame(wire, 279)
        frames = [message[3] for message in wire.data if message[1] == 1]
        assert frames == sorted(frames)


async def test_plain_clients_follow_too(live: RunningServer) -> None:
    async with open_wire(address(live), subprotocol=None) as wire:
        await wire.until_type("loading_complete", frames=250)
        await wire.say("live")
        await wire.until(lambda m: m.get("frame_index") == 249)
        await ask(live, "grow/10")
        await wire.until(lambda m: m.get("frame_index") == 259)


@pytest.mark.parametrize("encoding", ["segments", "rows"])
async def test_it_ends(live: RunningServer, encoding: str) -> None:
    async with open_wire(address(live)) as wire:
        await wire.say("hello", encoding=encoding)
        await wire.until_type("welcome")
        await wire.ask("live")
        await ask(live, "grow/10")
        await ask(live, "end")
        state = await wire.until_type("state", live=False, status="ended")
        assert (state["frame"], state["frame_count"]) == (259, 260)
        # Also what has not become a whole segment; where it was not made yet, after that.
        while not any(holds(message, 259) for message in wire.data):
            await wire.next()
        assert (await wire.ask("live"))["code"] == "not_live"
        assert (await wire.ask("seek", frame=100))["frame"] == 100


async def test_what_it_is_stored_as_is_gone_on_with(live: RunningServer) -> None:
    async with open_wire(address(live)) as wire:
        await wire.say("hello")
        before = await wire.until_type("welcome")
        assert (await wire.ask("seek", frame=100))["frame"] == 100
        await until_frame(wire, 100)
        await ask(live, "store")
        bye = await wire.until_type("bye")
        assert await wire.close_code() == 1012
    async with open_wire(address(live)) as wire:
        await wire.say("hello", resume=bye["resume"])
        welcome = await wire.until_type("welcome")
        assert welcome["session"]["state"] == "ready"
        assert welcome["session"]["version"] != before["session"]["version"]
        assert welcome["resumed"]
        state = await wire.until_type("state")
        assert (state["status"], state["frame"]) == ("paused", 100)
        assert "frame_count" not in state
        await until_frame(wire, 100)
