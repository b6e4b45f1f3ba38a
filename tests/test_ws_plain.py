"""The plain dialect over a real server: what front ends of the F1 app and ten-line clients see."""

from __future__ import annotations

import json
import math
import time

import pytest

from .conftest import RunningServer
from .samples import LOADING_SLUG, RACE_SLUG
from .websocket_client import Wire, open_wire

DRIVER = {
    "x", "y", "speed", "gear", "lap", "position", "tyre", "throttle", "brake", "drs", "dist",
    "rel_dist", "race_progress", "gap_to_previous", "gap_to_leader", "lap_time", "sector1",
    "sector2", "sector3", "status",
}  # fmt: skip
METADATA = {
    "year", "round", "session_type", "total_frames", "total_laps", "driver_colors",
    "driver_numbers", "driver_teams", "track_geometry", "track_statuses", "race_start_time",
    "error",
}  # fmt: skip


def plain(server: RunningServer, path: str = f"/ws/replay/{RACE_SLUG}"):
    return open_wire(server.websocket(path), subprotocol=None)


async def next_row(wire: Wire) -> dict:
    row = await wire.until(lambda m: "frame_index" in m)
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("path", [f"/ws/replay/{RACE_SLUG}", f"/ws/sessions/{RACE_SLUG}/"])
async def test_it_works(server: RunningServer, path: str) -> None:
    async with plain(server, path) as wire:
        loaded = await wire.until_type("loading_complete")
        assert loaded["frames"] == 3000
        assert set(loaded["metadata"]) == METADATA
        colours = loaded["metadata"]["driver_colors"]
        assert len(colours) == 20
        assert all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in colours.values())
        track = loaded["metadata"]["track_geometry"]
        assert len(track["centerline_x"]) == len(track["centerline_y"]) == 180
        row = await next_row(wire)
        assert row["frame_index"] == 0
        assert set(row["drivers"]["C00"]) == DRIVER
        assert row["weather"]["rain_state"] == "DRY"


async def test_one_times_is_real_time(server: RunningServer) -> None:
    """Frames and the clock agree: 25 different frames for each second that has passed."""
    async with plain(server) as wire:
        await wire.until_type("loading_complete")
        asked = time.monotonic()
        await wire.say("play", speed=1)
        await wire.until(lambda m: m.get("frame_index", 0) > 0)
        seen: list[int] = []
        started, behind = math.inf, 0.0
        # A busy machine shows a frame late, but then one that its time calls for. At six tenths of
        # real time, as the F1 app plays, the fiftieth is 1.3 s behind, and those after it more.
        while len(seen) < 50 or behind > 0.25:
            seen.append((await next_row(wire))["frame_index"])
            now = time.monotonic()
            started = min(started, now - seen[-1] / 25)
            behind = now - seen[-1] / 25 - started
            assert started >= asked, "ahead of its time"
            assert len(seen) < 500, "behind its time, and does not catch up"
        assert seen == sorted(set(seen))


async def test_a_flood_of_seeks_ends_at_the_last(server: RunningServer) -> None:
    async with plain(server) as wire:
        await wire.until_type("loading_complete")
        for i in range(100):
            await wire.say("seek", frame=i * 10)
        row = await wire.until(lambda m: m.get("frame_index", 0) >= 990)
        assert row["frame_index"] == 990
        assert len(wire.rows) <= 101


async def test_a_frame_past_the_end_means_the_last(server: RunningServer) -> None:
    async with plain(server) as wire:
        await wire.until_type("loading_complete")
        await wire.say("seek", frame=10**6)
        assert (await wire.until(lambda m: m.get("frame_index", 0) > 0))["frame_index"] == 2999


async def test_a_negative_frame_means_the_first(server: RunningServer) -> None:
    async with plain(server) as wire:
        await wire.until_type("loading_complete")
        await wire.say("seek", frame=300)
        await wire.until(lambda m: m.get("frame_index") == 300)
        await wire.say("seek", frame=-5)
        assert (await wire.until(lambda m: m.get("frame_index") == 0))["drivers"]


async def test_an_unknown_session_fails_to_load_in_words(server: RunningServer) -> None:
    async with plain(server, "/ws/replay/2024_8_R") as wire:
        assert "2024_8_R" in (await wire.until_type("loading_error"))["message"]
        assert await wire.close_code() == 4404


async def test_it_hears_no_states_and_is_told_its_mistakes(server: RunningServer) -> None:
    async with plain(server) as wire:
        await wire.until_type("loading_complete")
        await wire.say("play")
        await wire.say("pause")
        await wire.socket.send("pause")
        assert (await wire.until_type("error"))["code"] == "not_json"
        await wire.say("join", room="x")
        assert "plain dialect" in (await wire.until_type("error"))["message"]
        await wire.socket.send(json.dumps({"action": "seek", "frame": 77}).encode())
        await wire.until(lambda m: m.get("frame_index") == 77)
        assert all(m["type"] != "state" for m in wire.said)


async def test_loading_is_shown(server: RunningServer) -> None:
    async with plain(server, f"/ws/replay/{LOADING_SLUG}") as wire:
        progress = await wire.until_type("loading_progress")
        assert progress["progress"] == 40.0
        assert progress["message"]


async def test_play_may_be_said_before_anything_was_heard(server: RunningServer) -> None:
    async with plain(server) as wire:
        await wire.say("seek", frame=300)
        await wire.say("play")
        rows = [await next_row(wire) for _ in range(5)]
        assert rows[-1]["frame_index"] > rows[0]["frame_index"] >= 0
        assert rows[-1]["frame_index"] >= 300
        assert all(m["type"] != "error" for m in wire.said)
