"""A session that is imported while clients wait for it."""

from __future__ import annotations

from collections.abc import Callable

from .conftest import RunningServer
from .samples import LOADING_SLUG, RACE_SLUG
from .websocket_client import open_wire

CHANGE = """
from sessions_app.models import Session
session = Session.objects.get(slug={slug!r})
race = Session.objects.get(slug={race!r})
{change}
session.save()
"""
BECOME_READY = """
for name in ("recording", "version", "frame_count", "frame_rate", "metadata"):
    setattr(session, name, getattr(race, name))
session.state, session.progress = "ready", 100
"""


def change(server: RunningServer, change: str) -> None:
    """Do to the session in the server's database what an import does."""
    server.shell(CHANGE.format(slug=LOADING_SLUG, race=RACE_SLUG, change=change))


async def test_everyone_who_waits_is_told_and_then_served(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server()
    url = server.websocket(f"/ws/sessions/{LOADING_SLUG}/")
    async with open_wire(url) as wire, open_wire(url, subprotocol=None) as plain:
        await wire.say("hello")
        await wire.say("seek", frame=500)
        await wire.say("play")
        await plain.say("play")
        assert (await wire.until_type("loading_progress"))["progress"] == 40.0
        assert (await plain.until_type("loading_progress"))["progress"] == 40.0

        change(server, "session.progress, session.message = 70, 'writing'")
        assert (await wire.until_type("loading_progress"))["progress"] == 70.0
        assert (await plain.until_type("loading_progress"))["message"] == "writing"
        async with open_wire(url, subprotocol=None) as late:
            assert (await late.until_type("loading_progress"))["progress"] == 70.0

        change(server, "session.state, session.message = 'failed', 'row 7: no time'")
        assert (await wire.until_type("loading_error"))["message"] == "row 7: no time"
        assert (await plain.until_type("loading_error"))["message"] == "row 7: no time"

        change(server, BECOME_READY)
        assert (await wire.until_type("loading_complete"))["frames"] == 3000
        assert (await wire.until_type("welcome"))["session"]["frame_count"] == 3000
        assert (await wire.until_type("state", generation=1))["frame"] >= 500
        assert (await wire.until_data())[1] == 1
        assert (await plain.until_type("loading_complete"))["frames"] == 3000
        await plain.until(lambda m: m.get("frame_index", 0) > 5)
