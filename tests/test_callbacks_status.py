"""The statistics know of a pause when it begins, however seldom they are looked at."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streaming.connections.dialects.replay import ReplayConnection
from streaming.playback.command_parser import parse_command
from streaming.playback.commands import Command
from streaming.playback.playhead import Playhead
from streaming.playback.protocol import Encoding
from streaming.playback.viewer import Viewer
from streaming.worker import Worker


async def nobody_hears(_message: dict[str, Any]) -> None:
    return


@pytest.fixture
async def connection() -> AsyncIterator[ReplayConnection]:
    worker = Worker()
    opened = ReplayConnection(worker, {}, nobody_hears, "demo")
    opened.pump.viewer = Viewer(
        frame_count=1_000,
        frame_rate=25.0,
        segment_frames=25,
        now=time.monotonic(),
        encoding=Encoding.ROWS,
        lead=8.0,
        window=8,
    )
    yield opened
    await worker.registry.stop()
    await worker.close()


def command(action: str) -> Command:
    return parse_command(f'{{"action": "{action}"}}')


async def test_a_command_sets_the_status_at_once(connection: ReplayConnection) -> None:
    viewer = connection.viewer
    assert viewer is not None
    connection.apply_held(viewer)
    assert connection.statistics.status == "paused"
    for action, status in (("play", "playing"), ("pause", "paused"), ("play", "playing")):
        connection.apply(viewer, command(action))
        assert connection.statistics.status == status


async def test_an_operators_pause_sets_the_status_at_once(connection: ReplayConnection) -> None:
    viewer = connection.viewer
    assert viewer is not None
    connection.apply(viewer, command("play"))
    assert connection.statistics.on_command is not None
    connection.statistics.on_command("pause")
    assert connection.statistics.status == "paused"


async def test_a_rooms_pause_sets_the_status_at_once(connection: ReplayConnection) -> None:
    viewer = connection.viewer
    assert viewer is not None
    connection.apply(viewer, command("play"))
    viewer.room = "friends"
    now = time.monotonic()
    connection.follow_room("friends", Playhead(10.0, 1.0, False), now, sought=False)
    assert connection.statistics.status == "paused"
