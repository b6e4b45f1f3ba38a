"""What a viewer is told when the server fails, or has something else by now."""

from __future__ import annotations

from collections.abc import Callable

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer
from .samples import RACE_SLUG
from .websocket_client import open_wire

Start = Callable[..., RunningServer]
PATH = f"/ws/sessions/{RACE_SLUG}/"

IMPORT_AGAIN = f"""
import tests.samples
from sessions_app.storing import store_result
store_result(tests.samples.small_race(60.0), slug={RACE_SLUG!r}, replace=True)
"""


async def test_a_failure_while_sending_closes_with_1011_and_is_logged(start_server: Start) -> None:
    server = start_server(program=("-m", "tests.troubled_app"))
    async with open_wire(server.websocket(f"{PATH}?trouble=no-data")) as wire:
        await wire.ask("hello")
        assert await wire.close_code() == 1011
    server.wait_for_line("sending failed")
    server.wait_for_line("ValueError: as the test wants")
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello")
        await wire.until_data()


async def test_a_recording_that_was_replaced_and_one_that_is_missing(start_server: Start) -> None:
    server = start_server()
    address = server.websocket(PATH)
    async with open_wire(address) as wire:
        # Let in while the old version was there, of which nothing has been read yet.
        await wire.ask("ping")
        server.shell(IMPORT_AGAIN)
        await wire.say("hello")
        bye = await wire.until_type("bye")
        assert (bye["reason"], bye["retry_after"]) == ("the session was imported again", 1.0)
        assert await wire.close_code() == CloseCode.RESTARTING
    recording = next(server.data_dir.glob(f"recordings/{RACE_SLUG}.*"))
    elsewhere = recording.rename(server.data_dir / recording.name)
    async with open_wire(address) as wire:
        # Nothing has taken its place: coming back would not help. Its path is for the log alone.
        error = await wire.ask("hello")
        assert error["code"] == "unavailable"
        assert error["message"] == (
            "the session cannot be opened: the recording's file is missing; trying again"
        )
        server.wait_for_line(recording.name)
        elsewhere.rename(recording)
        # It is welcomed then without asking again.
        welcome = await wire.until_type("welcome")
        assert welcome["session"]["frame_count"] == 1500
        await wire.until_data()
