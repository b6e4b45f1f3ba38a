"""`replay.v1` over a real server: what a client sees from hello to bye."""

from __future__ import annotations

import itertools

import pytest

from sessions_app.recording import Schema, decode_segment
from streaming.playback.protocol import DataKind

from .conftest import RunningServer
from .samples import LOADING_SLUG, RACE_SLUG
from .websocket_client import open_wire

FRAMES = 3000


def address(server: RunningServer, slug: str = RACE_SLUG) -> str:
    return server.websocket(f"/ws/sessions/{slug}/")


def schema_of(welcome: dict) -> Schema:
    return Schema.from_dict(
        {
            **welcome["schema"],
            "frame_rate": welcome["session"]["frame_rate"],
            "segment_frames": welcome["segment_frames"],
        }
    )


async def test_it_works(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        welcome = await wire.ask("hello", window=4)
        assert welcome["protocol"] == "replay.v1"
        assert welcome["session"]["frame_count"] == FRAMES
        assert welcome["window"] == 4
        state = await wire.ask("play", speed=2)
        assert (state["status"], state["speed"]) == ("playing", 2.0)
        kind, generation, _, first, count, _, payload = await wire.until_data()
        assert (kind, generation, count) == (DataKind.SEGMENT, 0, 25)
        header, columns = decode_segment(payload, schema_of(welcome))
        assert (header.first_frame, columns.frame_count) == (first, 25)
        # The sample race counts its frames in rpm.
        assert columns.quantities("rpm")[0, 0] == 10.0 * first
        await wire.say("bye")
        assert await wire.close_code() == 1000


async def test_seeks_are_confirmed_and_nothing_older_follows(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        await wire.ask("play", speed=4)
        for target in (2000, 10, 1500, 2999, 0, 700):
            state = await wire.ask("seek", frame=target)
            assert state["frame"] == target
            data = await wire.until_data()
            assert data[1] == state["generation"]
            assert data[3] <= target < data[3] + data[4] * abs(data[5])
    confirmed = 0
    assert all(d[1] >= confirmed for d in wire.data)
    generations = [d[1] for d in wire.data]
    assert generations == sorted(generations)


async def test_rows_come_one_by_one_from_the_frame_sought(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", encoding="rows")
        await wire.ask("seek", frame=1001)
        await wire.say("play")
        before = len(wire.data)
        while len(wire.data) < before + 6:
            await wire.next()
        dropped = (await wire.ask("pause"))["dropped"]
        rows = wire.data[before:]
        assert {row[1] for row in rows} == {1}
        # One by one, but for those of which a busy server says that it has passed over them.
        frames = [row[3] for row in rows]
        steps = [later - earlier for earlier, later in itertools.pairwise(frames)]
        assert frames[0] == 1001
        assert min(steps) >= 1
        assert sum(steps) - len(steps) == dropped
        assert rows[-1][6]["frame_index"] == rows[-1][3]
        assert set(rows[-1][6]["drivers"]) == {f"C{i:02d}" for i in range(20)}


async def test_backwards_the_segments_descend(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        await wire.ask("seek", frame=1000)
        await wire.ask("play", speed=-4)
        played: list[int] = []
        while len(played) < 4:
            data = await wire.until_data()
            if data[5] < 0:
                played.append(data[3])
        assert played == sorted(played, reverse=True)


async def test_no_credit_no_data(server: RunningServer) -> None:
    async with open_wire(address(server), acknowledge=False) as wire:
        await wire.ask("hello", window=3)
        await wire.ask("play", speed=16)
        while len(wire.data) < 3:
            await wire.next()
        # A pong comes after any data that might have been sent in spite of it.
        await wire.say("seek", frame=2500)
        await wire.until_type("state", generation=1)
        await wire.ask("ping", t=1)
        assert len(wire.data) == 3
        await wire.say("ack", seq=3)
        data = await wire.until_data()
        assert (data[1], data[2]) == (1, 4)


async def test_a_seek_that_waits_for_credit_says_so(server: RunningServer) -> None:
    async with open_wire(address(server), acknowledge=False) as wire:
        await wire.ask("hello", window=1)
        await wire.until_data()
        await wire.ask("seek", frame=100)
        assert (await wire.until_type("state", status="buffering"))["generation"] == 1
        await wire.say("ack", seq=1)
        assert (await wire.until_data())[1] == 1
        await wire.until_type("state", status="paused")


async def test_a_request_brings_exactly_that_range(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", encoding="rows")
        await wire.until_data()
        done = await wire.ask("request", frame=100, frames=5, stride=4)
        assert done["type"] == "state"
        assert [d[3] for d in wire.data[1:]] == [100, 104, 108, 112, 116]


async def test_only_the_wanted_fields_and_entities_come(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        welcome = await wire.ask("hello", fields=["x", "rpm"], entities=["C03", "C01"])
        assert welcome["schema"]["entities"] == ["C01", "C03"]
        assert [f["name"] for f in welcome["schema"]["fields"]] == ["x", "rpm"]
        data = await wire.until_data()
        _, columns = decode_segment(data[6], schema_of(welcome))
        assert columns.quantities("rpm").shape == (25, 2)


async def test_an_unknown_field_is_named_and_hello_can_be_said_again(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        error = await wire.ask("hello", fields=["warp"])
        assert error["code"] == "bad_value"
        assert "warp" in error["message"]
        assert (await wire.ask("hello"))["type"] == "welcome"


@pytest.mark.parametrize(
    ("action", "fields", "code"),
    [
        ("play", {}, "out_of_turn"),
        ("seek", {"frame": 1}, "out_of_turn"),
    ],
)
async def test_hello_comes_first(
    server: RunningServer, action: str, fields: dict, code: str
) -> None:
    async with open_wire(address(server)) as wire:
        assert (await wire.ask(action, **fields))["code"] == code
        assert (await wire.ask("ping", t="x"))["t"] == "x"
        assert (await wire.ask("hello"))["type"] == "welcome"
        assert (await wire.ask("hello"))["code"] == "out_of_turn"


async def test_the_end_is_told_and_a_seek_goes_on(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        await wire.ask("seek", frame=FRAMES - 5)
        await wire.say("play")
        ended = await wire.until_type("state", status="ended")
        assert ended["frame"] == FRAMES - 1
        assert (await wire.ask("seek", frame=10))["status"] == "playing"


async def test_out_of_range_changes_nothing(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        before = await wire.ask("seek", frame=50)
        error = await wire.ask("seek", frame=FRAMES)
        assert f"0…{FRAMES - 1}" in error["message"]
        assert (await wire.ask("seek", frame=60, generation=1))["code"] == "bad_value"
        assert (await wire.ask("live"))["code"] == "not_live"
        assert (await wire.ask("leave"))["code"] == "no_room"
        assert (await wire.ask("ack", seq=10**6))["code"] == "bad_value"
        # Until then it may be told that it buffers.
        await wire.first_data(generation=1)
        after = await wire.ask("pause")
        assert {**before, "dropped": 0} == {**after, "dropped": 0}


async def test_who_comes_back_continues_where_it_was(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        token = (await wire.ask("hello"))["resume"]
        await wire.ask("seek", frame=1200)
        await wire.ask("speed", speed=0.5)
        before = await wire.ask("pause")
        wire.socket.transport.abort()
    async with open_wire(address(server)) as wire:
        welcome = await wire.ask("hello", resume=token)
        assert welcome["resumed"]
        state = await wire.until_type("state")
        for name in ("frame", "speed", "generation", "status"):
            assert state[name] == before[name]
        data = await wire.until_data()
        assert data[1] == before["generation"]
        assert data[3] <= 1200 < data[3] + 25


async def test_a_forged_token_opens_at_the_beginning(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.say("hello", resume="forged")
        assert (await wire.until_type("error"))["code"] == "bad_value"
        assert not (await wire.until_type("welcome"))["resumed"]


async def test_a_room_shares_one_timeline(server: RunningServer) -> None:
    async with open_wire(address(server)) as ann, open_wire(address(server)) as bob:
        await ann.ask("hello")
        await bob.ask("hello", encoding="rows")
        await ann.ask("seek", frame=400)
        assert (await ann.ask("join", room="friends"))["room"] == "friends"
        assert (await bob.ask("join", room="friends"))["frame"] == 400
        await bob.ask("seek", frame=900)
        assert (await ann.until_type("state", frame=900))["status"] == "paused"
        await ann.ask("play", speed=2)
        seen = await bob.until_type("state", status="playing")
        assert seen["speed"] == 2.0
        stopped = await bob.ask("pause")
        assert stopped["status"] == "paused"
        # Each is told when its turn comes; where they are does not depend on that.
        assert (await ann.until_type("state", status="paused"))["frame"] == stopped["frame"]
        await ann.ask("play")
        await bob.until_type("state", status="playing")
        await ann.ask("leave")
        assert (await bob.ask("pause"))["status"] == "paused"
        assert (await ann.ask("speed", speed=2))["status"] == "playing"
        assert (await ann.ask("pause"))["frame"] >= stopped["frame"] >= 900


async def test_a_room_says_who_is_in_it_and_who_leads(server: RunningServer) -> None:
    async with open_wire(address(server)) as ann, open_wire(address(server)) as bob:
        await ann.ask("hello", name="Ann")
        await bob.ask("hello")
        await ann.say("join", room="names")
        alone = await ann.until_type("room")
        assert [person["name"] for person in alone["people"]] == ["Ann"]
        assert (alone["led_by"], alone["members"]) == (None, 1)
        await bob.ask("join", room="names", name="Bob")
        both = await ann.until_type("room", members=2)
        assert [person["name"] for person in both["people"]] == ["Ann", "Bob"]
        assert both["you"] == both["people"][0]["id"]
        await bob.ask("seek", frame=30)
        led = await ann.until(lambda m: isinstance(m, dict) and bool(m.get("led_by")))
        assert led["led_by"] == {**both["people"][1], "action": "seek"}


async def test_a_session_that_loads_says_how_far_it_is(server: RunningServer) -> None:
    async with open_wire(address(server, LOADING_SLUG)) as wire:
        welcome = await wire.ask("hello")
        assert welcome["schema"] is None
        progress = await wire.until_type("loading_progress")
        assert progress["progress"] == 40.0
        # What needs frames waits for them, up to a point.
        for _ in range(64):
            await wire.say("play")
        assert (await wire.ask("pause"))["code"] == "not_ready"


async def test_sixty_seeks_a_second_end_at_the_last(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello")
        for i in range(120):
            await wire.say("seek", frame=i * 20, generation=i + 1)
        state = await wire.until_type("state", generation=120)
        assert state["frame"] == 119 * 20
        data = await wire.until(lambda m: isinstance(m, list) and m[1] == 120)
        assert data[3] <= 119 * 20 < data[3] + 25


async def test_a_silent_client_does_not_disturb_another(server: RunningServer) -> None:
    async with open_wire(address(server), acknowledge=False) as deaf:
        await deaf.ask("hello", encoding="rows", window=32)
        await deaf.ask("play", speed=4)
        while len(deaf.data) < 32:
            await deaf.next()
        async with open_wire(address(server)) as wire:
            await wire.ask("hello", encoding="rows")
            await wire.ask("play")
            while len(wire.data) < 20:
                await wire.next()
            dropped = (await wire.ask("pause"))["dropped"]
            # Every frame comes, but for those of which a busy server says that it left them out.
            frames = [row[3] for row in wire.data]
            assert frames == sorted(set(frames))
            assert frames[-1] - frames[0] + 1 == len(frames) + dropped
        await deaf.ask("ping")
        assert len(deaf.data) == 32, "no more than it may have unacknowledged"


async def test_everything_may_be_said_at_once(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.say("hello", encoding="rows")
        await wire.say("seek", frame=300)
        await wire.say("play", speed=2)
        state = await wire.until_type("state", status="playing")
        assert state["frame"] >= 300
        assert (await wire.first_data(generation=1))[3] == 300


async def test_events_are_told_as_the_playhead_passes_them(server: RunningServer) -> None:
    async with open_wire(address(server)) as wire:
        await wire.ask("hello", events=True)
        await wire.ask("seek", frame=1795)
        await wire.say("play", speed=4)
        event = await wire.until_type("event")
        assert (event["frame"], event["kind"], event["entity"]) == (1800, "pit", "C05")
