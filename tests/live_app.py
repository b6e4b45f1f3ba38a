"""The whole service with one live session, whose frames come as the test says:
`python -m tests.live_app`.

It prints `listening URL`. The session "live-race" is the sample race, 20 cars at 25 frames/s,
of which the first `LIVE_FRAMES` (environment, default 250) are there. What can be asked of it,
beside the service itself, each answering with the frames that there are then:

GET /live/grow/N    N more frames, at once
GET /live/run       from now on a frame every 40 ms, until the next of these
GET /live/lose      every WebSocket is closed
GET /live/end       the last frame has come: the session is ready, its frames are served as they are
GET /live/store     the same, stored as an import stores it: in a file, which has another version
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")

from channels.db import database_sync_to_async

from replayproject.asgi import application as service  # sets Django up
from sessions_app.importers.result import ImportResult
from sessions_app.models import Session
from sessions_app.recording import Columns, encode_segment
from sessions_app.storing import store_result
from streaming.server.daphne import run_server

from .samples import small_race

LIVE_SLUG = "live-race"
MOST_SECONDS = 300.0
STEP_SECONDS = 0.04


class LiveRace:
    """A frame source (streaming/store/open_recordings.py) of which there is more and more."""

    def __init__(self, race: ImportResult, frame_count: int) -> None:
        self.race = race
        self.schema = race.columns.schema
        self.frame_count = frame_count

    def columns(self, start: int, stop: int) -> Columns:
        if not 0 <= start < stop <= self.frame_count:
            raise IndexError(f"frames {start}…{stop - 1}: there are {self.frame_count}")
        return self.race.columns.slice(start, stop)

    def segment(self, index: int) -> bytes:
        first = index * self.schema.segment_frames
        stop = min(first + self.schema.segment_frames, self.frame_count)
        return encode_segment(self.columns(first, stop), first)

    def grow(self, frames: int) -> None:
        self.frame_count = min(self.frame_count + frames, self.race.columns.frame_count)

    def recorded(self) -> ImportResult:
        """What has come so far, as an import would bring it."""
        return dataclasses.replace(
            self.race,
            samples=self.columns(0, self.frame_count),
            events=[e for e in self.race.events if e.frame < self.frame_count],
            laps=[lap for lap in self.race.laps if (lap.end_frame or 0) < self.frame_count],
        )


class LiveApplication:
    """The service, and what comes into it."""

    def __init__(self, frame_count: int) -> None:
        race = small_race(MOST_SECONDS)
        # The rows beside the frames, and a version for what is cached of them.
        self.version = store_result(race, slug=LIVE_SLUG).version
        self.live = {"fields": [field.as_dict() for field in race.columns.schema.fields]}
        self.set_row(Session.State.LIVE, frame_count)
        self.source = LiveRace(race, frame_count)
        self.feeding: asyncio.Task[None] | None = None
        self.sockets: set[Any] = set()

    def set_row(self, state: str, frame_count: int) -> None:
        Session.objects.filter(slug=LIVE_SLUG).update(
            state=state, frame_count=frame_count, live=self.live
        )

    def start(self) -> None:
        """On the event loop that serves."""
        service.worker.frames.attach(self.version, self.source)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            self.sockets.add(send)
            await service(scope, receive, send)
            self.sockets.discard(send)
        elif path.startswith("/live/"):
            await self.act(*path.removeprefix("/live/").split("/"))
            body = json.dumps(self.source.frame_count).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        else:
            await service(scope, receive, send)

    async def act(self, what: str, *count: str) -> None:
        """Do what the path says."""
        if what == "lose":
            for send in list(self.sockets):
                await send({"type": "websocket.close", "code": 1012})
            return
        self.stop()
        if what == "grow":
            self.source.grow(int(count[0]))
        elif what == "run":
            self.feeding = asyncio.create_task(self.feed())
        elif what == "end":
            set_row = database_sync_to_async(self.set_row)
            await set_row(Session.State.READY, self.source.frame_count)
        elif what == "store":
            await database_sync_to_async(store_result)(
                self.source.recorded(), slug=LIVE_SLUG, replace=True
            )
            service.worker.frames.detach(self.version)

    def stop(self) -> None:
        """No more frames by themselves."""
        if self.feeding is not None:
            self.feeding.cancel()
            self.feeding = None

    async def feed(self) -> None:
        """As many frames as have been run by now: a late step is made up for by the next."""
        began, before = time.monotonic(), self.source.frame_count
        rate = self.source.schema.frame_rate
        while True:
            await asyncio.sleep(STEP_SECONDS)
            due = before + int((time.monotonic() - began) * rate)
            self.source.grow(due - self.source.frame_count)


def main() -> None:
    application = LiveApplication(int(os.environ.get("LIVE_FRAMES", "250")))

    def listening(port: int) -> None:
        loop = asyncio.get_event_loop()
        loop.call_soon(application.start)
        loop.call_soon(service.worker.start)
        print(f"listening http://127.0.0.1:{port}", flush=True)

    async def end() -> None:
        application.stop()
        await service.worker.drain()

    run_server(application, on_listening=listening, drain=end)


if __name__ == "__main__":
    main()
