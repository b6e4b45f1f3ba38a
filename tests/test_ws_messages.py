"""What each message carries, and what `hello` grants, over a real server: docs/protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .samples import LOADING_SLUG, RACE_SLUG, STAFF_SLUG
from .websocket_client import Wire, open_wire

RATE = 25.0


def address(server: RunningServer, slug: str = RACE_SLUG) -> str:
    return server.websocket(f"/ws/sessions/{slug}/")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ({}, {"encoding": "segments", "window": 8, "lead": 12.0, "max_fps": RATE}),
        ({"encoding": "rows"}, {"encoding": "rows"}),
        ({"window": 1}, {"window": 1}),
        ({"window": 32}, {"window": 32}),
        ({"window": 5.0}, {"window": 5}),
        ({"lead": 0.25}, {"lead": 0.25}),
        ({"lead": 60}, {"lead": 60.0}),
        ({"max_fps": 0.1}, {"max_fps": 0.1}),
        ({"max_fps": 240}, {"max_fps": 240.0}),
        ({"colour": "blue"}, {"window": 8}),
        ({"id": 2**53 - 1}, {"id": 2**53 - 1}),
        ({"id": "x" * 64}, {"id": "x" * 64}),
    ],
)
async def test_hello_grants_what_it_says(
    server: RunningServer, asked: dict[str, Any], granted: dict[str, Any]
) -> None:
    async with open_wire(address(server)) as wire:
        await wire.say("hello", **asked)
        welcome = await wire.until_type("welcome")
        assert {name: welcome[name] for name in granted} == granted
        assert ("id" in welcome) == ("id" in asked)
        assert (welcome["generation"], welcome["resumed"]) == (0, False)
        assert {type(welcome[name]) for name in ("resume", "connection")} == {str}
        # The picture at frame 0 comes without being asked for.
        data = await wire.until_data()
        assert data[:4] == [2 if welcome["encoding"] == "rows" else 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoding", "video"),
        ("encoding", []),
        ("window", 0),
        ("window", 33),
        ("window", True),
        ("lead", 0.2),
        ("lead", 61),
        ("max_fps", 0),
        ("max_fps", 241),
        ("fields", []),
        ("fields", "x"),
        ("fields", ["x", 5]),
        ("entities", ["nobody"]),
        ("events", "yes"),
        ("name", ""),
        ("name", "\u202e"),
        ("name", "x" * 41),
        ("resume", 5),
        ("id", 1.5),
        ("id", 2**53),
        ("id", "x" * 65),
    ],
)
async def test_a_hello_that_is_wrong_may_be_said_again(
    server: RunningServer, name: str, value: Any
) -> None:
    async with open_wire(address(server)) as wire:
        await wire.say("hello", **{name: value})
        error = await wire.until_type("error")
        assert error["code"] == "bad_value"
        assert name in error["message"] or "nobody" in error["message"]
        assert (await wire.ask("hello"))["type"] == "welcome"


@pytest.mark.parametrize("lead", [2, 6, 12])
async def test_segments_go_ahead_of_the_playhead_by_lead(server: RunningServer, lead: int) -> None:
    async with open_wire(address(server), acknowledge=False) as wire:
        await wire.ask("hello", window=32, lead=lead)
        await wire.until_data()
        playing = await wire.ask("play")
        # What is sent in the first wake-up is sent before the answer to what is asked after it.
        await wire.until(lambda m: isinstance(m, list) and m[3] >= RATE * (lead - 1))
        paused = await wire.ask("pause")
        ahead = [d[3] for d in wire.data]
        assert ahead == [RATE * i for i in range(len(ahead))]
        assert ahead[-1] <= paused["frame"] + RATE * lead
        assert playing["frame"] == 0


async def request(wire: Wire, **fields: Any) -> list[list[Any]]:
    """Ask for a range; its data messages."""
    before = len(wire.data)
    assert (await wire.ask("request", **fields))["type"] == "state"
    return wire.data[before:]


async def test_requests_of_segments_cover_their_range(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        await wire.until_data()
        whole = await request(wire, frame=110, frames=30)
        assert [(d[0], d[3], d[4], d[5]) for d in whole] == [(1, 100, 25, 1), (1, 125, 25, 1)]
        thin = await request(wire, frame=0, frames=60, stride=8)
        assert [(d[3], d[4], d[5]) for d in thin] == [(0, 25, 8), (200, 25, 8), (400, 25, 8)]
        last = await request(wire, frame=2999, frames=1000)
        assert [(d[3], d[4]) for d in last] == [(2975, 25)]


async def test_more_than_eight_requests_wait_for_nobody(server: RunningServer) -> None:
    async with open_wire(address(server), acknowledge=False) as wire:
        await wire.ask("hello", window=1)
        await wire.until_data()
        for number in range(8):
            await wire.say("request", frame=number, frames=1, id=number)
        error = await wire.ask("request", frame=9, frames=1)
        assert (error["type"], error["code"]) == ("error", "too_many")
        # Those that were taken are answered as credit returns, in order.
        for number in range(8):
            await wire.say("ack", seq=number + 1)
            await wire.until_type("state", id=number)


@pytest.mark.parametrize("t", [None, 0, -1.5, 2**60, "x" * 64])
async def test_pong_brings_back_what_ping_brought(server: RunningServer, t: Any) -> None:
    async with open_wire(address(server)) as wire:
        pong = await wire.ask("ping", **({} if t is None else {"t": t}))
        assert set(pong) == {"type", "t", "server_time", "id"}
        assert pong["t"] == t
        assert isinstance(pong["server_time"], float)


async def test_a_room_message_has_all_its_fields(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", name="Ann")
        await wire.ask("join", room="fields")
        entered = await wire.until_type("room")
        you = entered["you"]
        assert entered == {
            "type": "room",
            "room": "fields",
            "members": 1,
            "people": [{"id": you, "name": "Ann"}],
            "you": you,
            "led_by": None,
        }
        await wire.say("pause", id="p")
        led = await wire.until(lambda m: isinstance(m, dict) and bool(m.get("led_by")))
        assert led["led_by"] == {"id": you, "name": "Ann", "action": "pause"}
        answer = next((m for m in wire.said if m.get("id") == "p"), None)
        assert (answer or await wire.until_type("state", id="p"))["room"] == "fields"
        state = await wire.ask("leave")
        assert "room" not in state
        left = wire.said[-2]
        assert (left["type"], left["room"], left["members"]) == ("room", None, 0)


async def test_an_event_has_all_its_fields(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", events=True)
        await wire.ask("seek", frame=1799)
        await wire.say("play")
        assert await wire.until_type("event") == {
            "type": "event",
            "frame": 1800,
            "kind": "pit",
            "message": "C05 IN THE PIT",
            "entity": "C05",
            "value": "",
            "lap": 3,
            "sector": None,
        }


async def test_no_events_unless_asked_for(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        await wire.ask("seek", frame=1795)
        await wire.ask("play", speed=16)
        await wire.until_type("state", status="ended")
        assert {m["type"] for m in wire.said} == {"welcome", "state"}


async def test_loading_progress_has_all_its_fields(server: RunningServer) -> None:
    async with open_wire(address(server, LOADING_SLUG)) as wire:
        welcome = await wire.ask("hello")
        assert welcome["session"]["frame_count"] == 0
        progress = await wire.until_type("loading_progress")
        assert set(progress) == {"type", "progress", "message", "elapsed_seconds"}
        assert 0 <= progress["elapsed_seconds"] < 60


async def test_the_end_is_reached_backwards_too(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", encoding="rows")
        await wire.ask("seek", frame=12)
        await wire.ask("play", speed=-1)
        ended = await wire.until_type("state", status="ended")
        assert (ended["frame"], ended["time"], ended["speed"]) == (0, 0.0, -1.0)
        assert wire.data[-1][3] == 0
        assert (await wire.ask("speed", speed=1))["status"] == "playing"


async def test_who_is_logged_in_but_may_not_watch_is_told_so(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server()
    printed = server.shell(
        "from django.contrib.auth.models import User\n"
        "from django.test import Client\n"
        "visitor, client = User.objects.create_user('visitor'), Client()\n"
        "client.force_login(visitor)\n"
        "print('cookie', client.cookies['sessionid'].value)",
    )
    cookie = {"Cookie": f"sessionid={printed.split()[-1]}"}
    async with open_wire(address(server, STAFF_SLUG), additional_headers=cookie) as wire:
        bye = await wire.until_type("bye")
        assert "private" in bye["reason"]
        assert "retry_after" not in bye
        assert await wire.close_code() == CloseCode.FORBIDDEN
    async with open_wire(address(server), additional_headers=cookie) as wire:
        assert (await wire.ask("hello"))["type"] == "welcome"


async def test_frames_that_cannot_be_read_are_an_error_and_not_the_end(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server()
    [recording] = (server.data_dir / "recordings").glob(f"{RACE_SLUG}*")
    whole = recording.read_bytes()
    recording.write_bytes(whole[:5000])
    async with open_wire(address(server)) as wire:
        error = await wire.ask("hello")
        assert (error["type"], error["code"]) == ("error", "unavailable")
        recording.write_bytes(whole)
        # It need not say hello again.
        await wire.until_type("welcome")
        assert (await wire.until_data())[3] == 0


async def test_an_operator_can_end_a_connection_with_a_code_and_a_reason(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(API_TOKENS="test-token")
    async with (
        open_wire(address(server)) as wire,
        httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": "Bearer test-token"}, timeout=20
        ) as operator,
    ):
        connection = (await wire.ask("hello"))["connection"]
        answering = asyncio.create_task(wire.close_code())
        answer = await operator.post(
            f"/api/connections/{connection}/disconnect",
            json={"code": 4403, "reason": "not during the race"},
        )
        assert answer.status_code < 300
        assert await answering == CloseCode.FORBIDDEN
        assert wire.said[-1] == {"type": "bye", "reason": "not during the race"}
