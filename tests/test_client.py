"""The Python client against a real server: exact frames, both encodings, and a broken line."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from faults.proxy import FaultProxy
from streaming.client.client import CommandRefused, ReplayClient, ReplayClosed, connect
from streaming.client.decoding import Frames, row_values
from streaming.playback.protocol import FIRST_BACKOFF, CloseCode
from tests.conftest import RunningServer
from tests.samples import PLAY_SLUG, RACE_SLUG, small_race


def url(server: RunningServer, slug: str = RACE_SLUG) -> str:
    return server.websocket(f"/ws/sessions/{slug}/")


async def take(client: ReplayClient, samples: int) -> list[Frames]:
    """Frames until there are so many samples."""
    taken: list[Frames] = []
    while sum(map(len, taken)) < samples:
        taken.append(await anext(client))
    return taken


def numbers(taken: list[Frames]) -> list[int]:
    return [int(n) for frames in taken for n in frames.numbers]


async def test_segments_are_the_recorded_frames(server: RunningServer) -> None:
    expected = small_race().columns
    async with connect(url(server)) as client:
        assert client.session["title"] == "Small race"
        await client.play(speed=8)
        await client.seek(frame=500)
        taken = await take(client, 100)
    at = numbers(taken)
    assert at == list(range(400, 400 + 8 * len(at), 8)), "every 8th, from the one that holds 500"
    for name in ("x", "progress", "lap", "last_lap_time", "air_temperature"):
        found = np.concatenate([frames[name] for frames in taken])
        np.testing.assert_array_equal(found, expected.quantities(name)[at])


async def test_rows_carry_the_same_numbers(server: RunningServer) -> None:
    expected = small_race().columns
    async with connect(url(server), encoding="rows", entities=["C03", "C11"]) as client:
        assert client.schema.entities == ("C03", "C11")
        await client.seek(time=30)
        await client.play(speed=4)
        taken = await take(client, 10)
    assert numbers(taken)[0] == 750
    for frames in taken:
        assert frames.rows[0]["frame_index"] == frames.numbers[0]
        row = expected.quantities("x")[frames.numbers, 3::8][:, :2]
        np.testing.assert_array_equal(frames["x"], row)


async def test_backwards_runs_backwards(server: RunningServer) -> None:
    async with connect(url(server), fields=["x"]) as client:
        await client.seek(frame=1000)
        found = await anext(client)
        assert 1000 in found.numbers, "the picture to look at, before anything plays"
        await client.play(speed=-4)
        at = numbers(await take(client, 75))
    assert all(later < earlier for earlier, later in itertools.pairwise(at))


async def test_nothing_old_comes_after_a_seek(server: RunningServer) -> None:
    recorded = small_race().columns.quantities("x")
    async with connect(url(server), fields=["x"]) as client:
        await client.play(speed=2)
        for target in (2000, 100, 1500, 2900, 0):
            await anext(client)
            state = await client.seek(frame=target)
            frames = await anext(client)
            assert frames.generation == state.generation
            assert frames.numbers[0] <= target < frames.numbers[-1] + frames.stride
            np.testing.assert_array_equal(frames["x"], recorded[frames.numbers])


async def test_a_flood_of_seeks_is_no_flood_of_acknowledgements(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes a connection that says too much."""
    said: list[str] = []
    send = ReplayClient._send

    async def listen(client: ReplayClient, message: Mapping[str, Any]) -> None:
        said.append(message["action"])
        await send(client, message)

    monkeypatch.setattr(ReplayClient, "_send", listen)
    async with connect(url(server), fields=["x"], window=8) as client:
        await client.play(speed=2)
        for turn in range(50):
            await client.seek(frame=37 * turn)
            await anext(client)
    # What was taken, and half a window at a time what the seek has made old.
    assert said.count("ack") <= 50 * 3


async def test_a_pulled_range_arrives_while_paused(server: RunningServer) -> None:
    async with connect(url(server), fields=["rpm"]) as client:
        await anext(client)
        await client.request(frame=1200, frames=50)
        taken = await take(client, 50)
    assert set(range(1200, 1250)) <= set(numbers(taken))


async def test_a_room_sees_the_name_that_its_member_joined_with(server: RunningServer) -> None:
    rooms: list[Mapping[str, Any]] = []
    told = asyncio.Event()

    def listen(message: Mapping[str, Any]) -> None:
        if message["type"] == "room":
            rooms.append(message)
            told.set()

    async def until(*names: str) -> None:
        while not rooms or [person["name"] for person in rooms[-1]["people"]] != list(names):
            told.clear()
            await told.wait()

    async with connect(url(server), on_message=listen) as ann, connect(url(server)) as bob:
        await ann.join("clients", "Ann")
        await until("Ann")
        await bob.join("clients")
        await until("Ann", "viewer 1")
        await bob.join("clients", name="Bob")
        await until("Ann", "Bob")
        await bob.leave()
        await until("Ann")


async def test_missing_values_are_nan(server: RunningServer) -> None:
    async with connect(url(server, PLAY_SLUG)) as client:
        await client.seek(frame=120)
        frames = await anext(client)
        ball = client.schema.entities.index("ball")
        assert np.isnan(frames["x"][:, ball]).all()
        assert not np.isnan(frames["x"][:, 0]).any()


async def test_a_refused_command_changes_nothing(server: RunningServer) -> None:
    async with connect(url(server)) as client:
        before = await client.pause()
        with pytest.raises(CommandRefused, match="frame"):
            await client.seek(frame=10**8)
        assert (await client.pause()).frame == before.frame
        assert await client.ping() >= 0.0


async def test_no_such_session_is_final(server: RunningServer) -> None:
    with pytest.raises(ReplayClosed) as caught:
        async with connect(url(server, "nothing-of-that-name")):
            pass
    assert caught.value.code == 4404


async def test_a_message_that_is_far_too_large_is_final(server: RunningServer) -> None:
    with pytest.raises(ReplayClosed) as caught:
        async with connect(url(server), fields=["x" * (1 << 20)]):
            pass
    assert caught.value.code == 1009


async def test_a_refusal_may_be_quicker_than_hello(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed_already(*args: Any, **options: Any) -> ClientConnection:
        socket = await open_websocket(*args, **options)
        await socket.wait_closed()
        return socket

    monkeypatch.setattr("streaming.client.client.open_websocket", closed_already)
    with pytest.raises(ReplayClosed) as caught:
        async with connect(url(server, "nothing-of-that-name")):
            pass
    assert caught.value.code == 4404


@pytest.fixture
async def line(server: RunningServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


async def no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_broken_line_is_taken_up_at_the_same_playhead(line: FaultProxy) -> None:
    address = f"ws://127.0.0.1:{line.port}/ws/sessions/{RACE_SLUG}/"
    async with connect(address, fields=["rpm"], sleep=no_wait) as client:
        state = await client.seek(frame=1000)
        await client.play(speed=0.5)
        await anext(client)
        line.reset()
        frames = await anext(client)
        while client.reconnects == 0:
            frames = await anext(client)
        assert frames.generation >= state.generation
        # Not the beginning, where a new viewer starts; the playhead went on by moments at most.
        assert 950 <= frames.numbers[0] <= 1250
        assert (await client.pause()).speed == 0.5


async def test_after_enough_attempts_it_gives_up(line: FaultProxy) -> None:
    address = f"ws://127.0.0.1:{line.port}/ws/sessions/{RACE_SLUG}/"
    async with connect(address, sleep=no_wait, max_retries=3) as client:
        await client.play()
        line.refusing = True
        line.reset()
        with pytest.raises(ReplayClosed, match="gave up after 3"):
            await take(client, 1_000_000)
    assert line.connections == 4


async def test_it_stays_away_for_as_long_as_the_server_has_asked() -> None:
    waits: list[float] = []

    async def record(seconds: float) -> None:
        waits.append(seconds)

    client = ReplayClient("ws://127.0.0.1:1/ws/sessions/none/", sleep=record, max_retries=2)
    client._on_control({"type": "bye", "reason": "restarting", "retry_after": 2.0})
    with pytest.raises(ReplayClosed):
        await client._reopen(CloseCode.RESTARTING, "restarting")
    first, second = waits
    assert first == 2.0
    assert 0 <= second <= 2 * FIRST_BACKOFF


async def test_a_slow_reader_is_never_sent_more_than_its_window(server: RunningServer) -> None:
    async with connect(url(server), window=2, lead=30) as client:
        await client.play(speed=16)
        await anext(client)
        # Two in flight, none acknowledged but those taken: what waits here is the window.
        await client.ping()
        assert len(client._data) <= 2


def test_row_values_are_arrays_over_the_entities() -> None:
    row = {
        "frame_index": 7,
        "lap": 3,
        "drivers": {"B": {"x": 5, "lap": 2, "status": "track", "lap_time": None}},
        "weather": {"air_temp": 20.5, "rain_state": "DRY"},
    }
    values = row_values(row, ("A", "B"))
    np.testing.assert_array_equal(values["x"], [[np.nan, 5.0]])
    np.testing.assert_array_equal(values["leader_lap"], [[3.0]])
    np.testing.assert_array_equal(values["air_temp"], [[20.5]])
    assert "status" not in values
    assert "lap_time" not in values
