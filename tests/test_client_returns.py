"""The Python client comes back: to its own place or the server's, and without moving its room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from faults.proxy import FaultProxy
from streaming.client.client import connect
from streaming.playback.protocol import SUBPROTOCOL
from tests.conftest import RunningServer
from tests.samples import RACE_SLUG

RATE, FRAMES = 25.0, 3000


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


class Script:
    """A server that says what the test wants, and hears what the client says."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sockets: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.url = ""

    async def connected(self, socket: ServerConnection) -> None:
        self.sockets.put_nowait(socket)
        async for message in socket:
            self.heard.put_nowait(json.loads(message))

    async def welcome(self, **fields: Any) -> ServerConnection:
        """Welcome the next connection; its `hello` has been heard."""
        socket = await self.sockets.get()
        assert (await self.heard.get())["action"] == "hello"
        about = {"frame_rate": RATE, "frame_count": FRAMES, "slug": "race", "version": "1"}
        field = {"name": "x", "unit": "m", "scale": 1, "kind": "held", "scope": "entity"}
        welcome = {
            "type": "welcome",
            "generation": 0,
            "resumed": False,
            "resume": "token",
            "session": about,
            "segment_frames": 25,
            "schema": {"fields": [field], "entities": ["A"]},
        }
        await socket.send(json.dumps({**welcome, **fields}))
        return socket

    async def hears(self, *actions: str) -> list[dict[str, Any]]:
        """The next commands, which are these."""
        found = [await self.heard.get() for _ in actions]
        assert tuple(m["action"] for m in found) == actions
        return found


def state(**fields: Any) -> str:
    plain = {"status": "paused", "frame": 0, "time": 0.0, "speed": 1.0, "generation": 0}
    return json.dumps({"type": "state", **plain, "dropped": 0, **fields})


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    offered = [Subprotocol(SUBPROTOCOL)]
    async with serve(script.connected, "127.0.0.1", 0, subprotocols=offered) as server:
        script.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield script


class Opened:
    """A client, welcomed by a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.clock = Clock()
        self.told = asyncio.Event()
        self.client = connect(
            script.url,
            clock=self.clock,
            sleep=no_wait,
            on_message=lambda _: self.told.set(),
        )

    async def __aenter__(self) -> Opened:
        welcomed = asyncio.create_task(self.script.welcome())
        await self.client.__aenter__()
        self.socket = await welcomed
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def is_told(self, message: str) -> None:
        self.told.clear()
        await self.socket.send(message)
        await self.told.wait()

    async def comes_back(self, after: float, **welcome: Any) -> None:
        """The line breaks, and is there again so many seconds later."""
        self.socket.transport.abort()
        self.clock.now += after
        self.socket = await self.script.welcome(**welcome)


async def test_it_goes_to_its_own_place_where_the_server_knows_none(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(status="playing", time=40.0, speed=2.0, generation=3))
        it.clock.now += 5
        await it.comes_back(after=1.0)
        seek, speed, play = await script.hears("seek", "speed", "play")
        assert seek["frame"] == (40 + 6 * 2) * RATE
        assert seek["generation"] == 4
        assert speed["speed"] == 2.0
        assert "speed" not in play


async def test_it_stands_where_it_stood(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(time=40.0, generation=3))
        await it.comes_back(after=60.0)
        seek, *_ = await script.hears("seek", "speed", "pause")
        assert seek["frame"] == 40 * RATE


@pytest.mark.parametrize(("speed", "frame"), [(64.0, FRAMES - 1), (-64.0, 0)])
async def test_its_own_place_is_within_the_session(
    script: Script, speed: float, frame: int
) -> None:
    async with Opened(script) as it:
        await it.is_told(state(status="playing", time=60.0, speed=speed))
        await it.comes_back(after=60.0)
        assert (await script.hears("seek", "speed", "play"))[0]["frame"] == frame


async def test_it_waits_for_the_welcome_that_has_frames(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(time=40.0))
        loading = {"frame_rate": RATE, "frame_count": 0, "slug": "race", "version": ""}
        await it.comes_back(after=1.0, schema=None, session=loading)
        asyncio.get_running_loop().create_task(it.client.leave())
        await script.hears("leave")
        await it.is_told(
            json.dumps(
                {
                    "type": "welcome",
                    "generation": 0,
                    "resumed": False,
                    "session": {**loading, "frame_count": FRAMES},
                    "schema": None,
                }
            )
        )
        assert (await script.hears("seek", "speed", "pause"))[0]["frame"] == 40 * RATE


async def test_it_follows_a_live_edge_again(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(status="live", time=40.0, generation=1))
        await it.comes_back(after=1.0)
        await script.hears("live")


async def test_a_place_that_the_server_knows_is_kept(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(status="playing", time=40.0, generation=3))
        await it.comes_back(after=1.0, resumed=True, generation=3)
        asyncio.get_running_loop().create_task(it.client.pause())
        await script.hears("pause")


async def test_a_place_from_before_our_last_seek_is_none(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(time=40.0, generation=3))
        await it.comes_back(after=1.0, resumed=True, generation=2)
        assert (await script.hears("seek", "speed", "pause"))[0]["generation"] == 4


async def test_it_takes_over_the_place_of_its_room(script: Script) -> None:
    async with Opened(script) as it:
        await it.client.join("friends", name="Ann")
        await script.hears("join")
        await it.is_told(state(status="playing", time=40.0, generation=3, room="friends"))
        await it.comes_back(after=120.0, resumed=True, generation=2, room="friends")
        (join,) = await script.hears("join")
        assert join == {"action": "join", "room": "friends", "name": "Ann"}
        asyncio.get_running_loop().create_task(it.client.pause())
        await script.hears("pause")


async def test_it_is_in_no_room_when_it_goes_to_its_own_place(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(status="playing", time=40.0, generation=3, room="friends"))
        await it.comes_back(after=1.0)
        await script.hears("seek", "speed", "play", "join")


async def test_a_room_that_it_had_left_is_left_before_anything_else(script: Script) -> None:
    async with Opened(script) as it:
        await it.is_told(state(time=40.0, generation=3))
        await it.comes_back(after=1.0, resumed=True, generation=2, room="friends")
        await script.hears("leave", "seek", "speed", "pause")


@pytest.mark.parametrize("message", ["state", "bye"])
async def test_the_newest_token_counts(script: Script, message: str) -> None:
    async with Opened(script) as it:
        fresh = {"resume": "fresh"}
        bye = json.dumps({"type": "bye", **fresh})
        await it.is_told(state(**fresh) if message == "state" else bye)
        it.socket.transport.abort()
        await script.sockets.get()
        assert (await script.heard.get())["resume"] == "fresh"


class Watcher:
    """What a client in a room was told."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, Any]] = []
        self._news = asyncio.Event()

    def __call__(self, message: Mapping[str, Any]) -> None:
        self.said.append(message)
        self._news.set()

    async def until(self, type_: str, **fields: Any) -> Mapping[str, Any]:
        while True:
            for message in self.said:
                if message["type"] == type_ and fields.items() <= message.items():
                    return message
            self._news.clear()
            await self._news.wait()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("away", [25.0, 120.0, 600.0])
async def test_who_comes_back_does_not_move_its_room(
    server: RunningServer, known: bool, away: float
) -> None:
    """Ann pauses while Bob is away, whose own clock goes on."""
    room = f"away-{known}-{away:g}"
    clock, anns, bobs, back = Clock(), Watcher(), Watcher(), asyncio.Event()
    path = f"/ws/sessions/{RACE_SLUG}/"

    async def until_back(_seconds: float) -> None:
        await back.wait()

    async with (
        FaultProxy(("127.0.0.1", server.port)) as line,
        connect(server.websocket(path), on_message=anns) as ann,
        connect(
            f"ws://127.0.0.1:{line.port}{path}", on_message=bobs, clock=clock, sleep=until_back
        ) as bob,
    ):
        await ann.seek(frame=500)
        await ann.join(room, "Ann")
        await anns.until("state", room=room)
        await bob.join(room, "Bob")
        await bobs.until("state", room=room, frame=500)
        await bob.play()
        await anns.until("room", members=2)
        anns.said.clear()
        line.reset()
        await anns.until("room", members=1)
        before = await ann.pause()
        clock.now += away
        if not known:
            bob._token = "lost"
        anns.said.clear()
        bobs.said.clear()
        back.set()
        assert (await bobs.until("welcome"))["resumed"] == known
        await bobs.until("state", room=room, frame=before.frame, status="paused")
        await anns.until("room", members=2)
        after = await ann.pause()
        assert (after.frame, after.generation) == (before.frame, before.generation)
        assert {m["frame"] for m in anns.said if m["type"] == "state"} == {before.frame}
