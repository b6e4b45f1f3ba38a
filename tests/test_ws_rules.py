"""The protocol's tables and numbered rules, each against a real server: docs/protocol.md.

What a rule says of many values is proven on the pure core, in test_viewer and
test_protocol_commands; here a few of them show that the wire keeps it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import RunningServer
from .samples import RACE_SLUG
from .websocket_client import open_wire

PATH = f"/ws/sessions/{RACE_SLUG}/"
FRAMES, RATE = 3000, 25.0

STATE = {"type", "status", "frame", "time", "speed", "generation", "dropped", "id"}
WELCOME = {
    "type", "protocol", "session", "schema", "segment_frames", "encoding", "window", "lead",
    "max_fps", "generation", "resumed", "resume", "connection", "id",
}  # fmt: skip


@pytest.mark.parametrize(
    ("action", "fields", "type_", "names"),
    [
        ("play", {}, "state", STATE),
        ("play", {"speed": -0.05}, "state", STATE),
        ("pause", {}, "state", STATE),
        ("seek", {"frame": FRAMES - 1}, "state", STATE),
        ("seek", {"time": 1.5, "generation": 7}, "state", STATE),
        ("speed", {"speed": 64}, "state", STATE),
        ("request", {"frame": 10, "frames": 3, "stride": 2}, "state", STATE),
        ("join", {"room": "table"}, "state", STATE | {"room"}),
        ("live", {}, "error", {"type", "code", "message", "id"}),
        ("leave", {}, "error", {"type", "code", "message", "id"}),
        ("hello", {}, "error", {"type", "code", "message", "id"}),
        ("ping", {"t": 1.5}, "pong", {"type", "t", "server_time", "id"}),
    ],
)
async def test_each_action_has_its_answer(
    server: RunningServer, action: str, fields: dict[str, Any], type_: str, names: set[str]
) -> None:
    async with open_wire(server.websocket(PATH)) as wire:
        welcome = await wire.ask("hello")
        assert (welcome["type"], set(welcome)) == ("welcome", WELCOME)
        assert set(welcome["session"]) >= {
            "slug", "version", "title", "state", "frame_rate", "frame_count", "duration",
        }  # fmt: skip
        answer = await wire.ask(action, **fields)
        assert (answer["type"], set(answer)) == (type_, names)


async def test_bye_is_answered_by_the_close_alone(server: RunningServer) -> None:
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello")
        await wire.say("bye")
        assert await wire.close_code() == 1000


async def test_rule_1_nothing_older_follows_a_state(server: RunningServer) -> None:
    """Also when seeks come faster than they are answered, by numbers of the client's own."""
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello", window=32)
        await wire.ask("play", speed=8)
        for number in range(1, 61):
            await wire.say("seek", frame=number * 37, generation=10 * number)
        confirmed = 0
        while confirmed < 600:
            message = await wire.next()
            if isinstance(message, list):
                assert message[1] >= confirmed
            elif message["type"] == "state":
                assert message["generation"] >= confirmed
                confirmed = message["generation"]
        data = await wire.until_data()
        assert data[1] == 600
        assert data[3] <= 60 * 37 < data[3] + data[4] * data[5]


@pytest.mark.parametrize("encoding", ["segments", "rows"])
@pytest.mark.parametrize("window", [1, 3, 32])
async def test_rule_2_never_more_than_window_in_flight(
    server: RunningServer, encoding: str, window: int
) -> None:
    async with open_wire(server.websocket(PATH), acknowledge=False) as wire:
        await wire.ask("hello", encoding=encoding, window=window, lead=60)
        await wire.say("request", frame=0, frames=1000)
        acknowledged = 0
        for share in (1, 2, 5):
            while len(wire.data) < acknowledged + window:
                await wire.next()
            # Whatever was sent beyond that would come before the pong.
            await wire.ask("ping", t=1)
            assert len(wire.data) == acknowledged + window
            acknowledged = min(acknowledged + share, len(wire.data))
            await wire.say("ack", seq=acknowledged)
        assert [d[2] for d in wire.data] == list(range(1, len(wire.data) + 1))


async def test_rule_3_a_seek_that_takes_long_is_told(server: RunningServer) -> None:
    async with open_wire(server.websocket(PATH), acknowledge=False) as wire:
        await wire.ask("hello", window=1)
        await wire.until_data()
        await wire.ask("seek", frame=2000)
        assert (await wire.until_type("state", status="buffering"))["frame"] == 2000


@pytest.mark.parametrize(
    ("encoding", "max_fps", "speed"),
    [("segments", None, -64.0), ("segments", 10.0, 5.0), ("rows", 2.0, 64.0)],
)
async def test_rule_4_max_fps_holds_at_every_speed(
    server: RunningServer, encoding: str, max_fps: float | None, speed: float
) -> None:
    async with open_wire(server.websocket(PATH)) as wire:
        hello = {"max_fps": max_fps} if max_fps else {}
        granted = (await wire.ask("hello", encoding=encoding, **hello))["max_fps"]
        assert granted == (max_fps or RATE)
        await wire.ask("speed", speed=speed)
        await wire.ask("play")
        # By the time it is confirmed nothing of the paused picture is on its way any more.
        await wire.ask("seek", frame=FRAMES // 2)
        stride = (await wire.until_data())[5]
        assert (stride < 0) == (speed < 0)
        assert abs(speed) * RATE / abs(stride) <= granted
        assert abs(stride) == 1 or abs(speed) * RATE / (abs(stride) / 2) > granted / 2


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('{"action": "seek", "frame": NaN}', "not_json", "NaN"),
        ('{"action": "pley"}', "unknown_action", "did you mean 'play'"),
        ('{"action": "seek", "frame": 3000}', "bad_value", "0…2999"),
    ],
)
async def test_rule_5_an_error_says_what_is_right_and_changes_nothing(
    server: RunningServer, text: str, code: str, hint: str
) -> None:
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello")
        before = await wire.ask("seek", frame=700, generation=3)
        await wire.socket.send(text)
        error = await wire.until_type("error")
        assert error["code"] == code
        assert hint in error["message"]
        # The answer to the seek is not lost; until it is there, "buffering" may be told.
        data = await wire.first_data(generation=3)
        assert data[3] <= 700 < data[3] + data[4]
        after = await wire.ask("pause")
        assert after == before


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (json.dumps({"action": "bye"}), 1000),
        ("x" * 65_537, 4413),
        (b"x" * 65_537, 4413),
        (json.dumps({"action": "ping", "t": "x" * 65_536}), 4413),
    ],
)
async def test_rule_6_close_codes(server: RunningServer, send: str | bytes, code: int) -> None:
    """1012: test_ws_restart; 4400 to 4404 and 4429: test_ws_refusals; 4408: test_ws_slow."""
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello")
        await wire.socket.send(send)
        assert await wire.close_code() == code
