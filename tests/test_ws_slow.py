"""Close code 4408: who lets frames wait for too long is sent away, and only who."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from streaming.playback.protocol import CloseCode

from .conftest import RunningServer, start_serving
from .deaf_client import RECEIVE_BUFFER, DeafClient
from .samples import ADMIN, PASSWORD, RACE_SLUG
from .websocket_client import Wire, open_wire

pytestmark = pytest.mark.server

PATH = f"/ws/sessions/{RACE_SLUG}/"
CLOSED = "/admin/streaming/liveconnection/closed/"


@pytest.fixture(scope="module")
def impatient(
    sample_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server that waits two seconds for an acknowledgement."""
    folder = tmp_path_factory.mktemp("impatient") / "data"
    shutil.copytree(sample_data, folder)
    running = start_serving(
        folder,
        ACK_TIMEOUT="2",
        API_TOKENS="test-token",
        MESSAGES_PER_SECOND="100000",
    )
    yield running
    running.stop()


class Watcher:
    """Another viewer of the same worker, which reads all the time and acknowledges at once. Its
    frames are a test's clock too."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._arrived = asyncio.Condition()

    async def read_on(self) -> None:
        """Until cancelled."""
        while True:
            await self._wire.until_data()
            async with self._arrived:
                self._arrived.notify_all()

    async def second(self) -> None:
        """Wait for the next segment."""
        until = len(self._wire.data) + 1
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self._wire.data) >= until)

    async def assert_served_as_if_alone(self) -> None:
        """Nothing was dropped, left out or sent twice."""
        assert (await self._wire.ask("pause"))["dropped"] == 0
        firsts = [d[3] for d in self._wire.data]
        assert firsts == list(range(0, 25 * len(firsts), 25))


@asynccontextmanager
async def watching(server: RunningServer) -> AsyncIterator[Watcher]:
    """Watch at 1x, a segment in each second, until the end of the block."""
    async with open_wire(server.websocket(PATH)) as wire:
        await wire.ask("hello", lead=1, fields=["x"], entities=["C00"])
        await wire.until_data()
        await wire.say("play", speed=1)
        watcher = Watcher(wire)
        reading = asyncio.create_task(watcher.read_on())
        try:
            yield watcher
            assert not reading.done()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await watcher.assert_served_as_if_alone()


async def slow_ones(server: RunningServer) -> int:
    """How many the server has closed with 4408, by its metrics."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        text = (await client.get("/metrics", headers={"Authorization": "Bearer test-token"})).text
    found = re.findall(r'replay_connections_closed_total\{code="4408".*?\} ([\d.]+)', text)
    return round(sum(map(float, found)))


async def until_closed(
    server: RunningServer, watcher: Watcher, before: int, more: int
) -> list[str]:
    """The admin's pages of the connections that are closed with 4408, as texts.

    They are looked for with each segment of the other viewer.
    """
    while await slow_ones(server) < before + more:
        await watcher.second()
    assert await slow_ones(server) == before + more
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as admin:
        page = await admin.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token
        form = {"username": ADMIN, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        assert (await admin.post("/admin/login/", data=form)).status_code == 302
        while True:
            # Newest first; what has just ended is listed within a second.
            rows = re.findall(rf'{CLOSED}\w+/">.*?</tr>', (await admin.get(CLOSED)).text)
            slow = [row.split('"')[0] for row in rows if "4408" in row]
            if len(slow) == before + more:
                pages = [(await admin.get(address)).text for address in slow[:more]]
                return [" ".join(re.sub(r"<[^>]+>", " ", page).split()) for page in pages]
            await watcher.second()


async def reads_only(server: RunningServer, encoding: str) -> str:
    """Read and acknowledge nothing until it is closed for that. Returns: the connection's id."""
    async with open_wire(server.websocket(PATH), acknowledge=False) as wire:
        welcome = await wire.ask("hello", encoding=encoding, window=2)
        await wire.say("play", speed=8)
        bye = await wire.until_type("bye")
        assert "acknowledgement" in bye["reason"]
        assert await wire.close_code() == CloseCode.SLOW
        assert wire.said[-1] is bye, "the last that was said"
        assert len(wire.data) == 2
        return str(welcome["connection"])


async def test_who_reads_but_does_not_acknowledge(impatient: RunningServer) -> None:
    before = await slow_ones(impatient)
    async with watching(impatient) as watcher:
        names = await asyncio.gather(
            *(reads_only(impatient, encoding) for encoding in ("segments", "rows"))
        )
        pages = await until_closed(impatient, watcher, before, len(names))
        assert all("slow, no acknowledgement, code 4408" in page for page in pages)
        assert all(any(name in page for page in pages) for name in names)


async def test_who_acknowledges_within_the_time_stays(impatient: RunningServer) -> None:
    async with (
        watching(impatient) as watcher,
        open_wire(impatient.websocket(PATH), acknowledge=False) as wire,
    ):
        await wire.ask("hello", encoding="rows", window=1)
        await wire.say("play", speed=1)
        for _ in range(5):
            data = await wire.until_data()
            await watcher.second()
            await wire.say("ack", seq=data[2])
        # More than twice the time has passed; it took what was due and hears of the rest.
        assert (await wire.ask("pause"))["dropped"] > 25


DEAF: dict[str, dict[str, Any]] = {
    "rows": {"encoding": "rows", "window": 32},
    "segments": {"encoding": "segments", "window": 32, "lead": 60},
    "plain": {},
}


def deaf_client(server: RunningServer, dialect: str) -> DeafClient:
    """Has said that it plays."""
    plain = dialect == "plain"
    subprotocol = None if plain else "replay.v1"
    path = f"/ws/replay/{RACE_SLUG}" if plain else PATH
    deaf = DeafClient(server.port, path, subprotocol=subprotocol)
    if subprotocol:
        deaf.say("hello", **DEAF[dialect])
    deaf.say("play", speed=1)
    return deaf


async def test_who_reads_nothing_at_all(impatient: RunningServer) -> None:
    """The socket is full, so that neither `bye` nor the close can be seen: it ends all the same."""
    before = await slow_ones(impatient)
    with ExitStack() as stack:
        async with watching(impatient) as watcher:
            crowd = {
                dialect: stack.enter_context(deaf_client(impatient, dialect)) for dialect in DEAF
            }
            for burst in range(3):
                # Each is answered by a row, or once the window is full by words: the socket fills.
                for dialect, deaf in crowd.items():
                    for frame in range(200):
                        deaf.say(
                            "seek", frame=frame, **({} if dialect == "plain" else {"id": frame})
                        )
                if burst:
                    await watcher.second()
            pages = await until_closed(impatient, watcher, before, len(crowd))
            assert all("slow, no acknowledgement, code 4408" in page for page in pages)
        for dialect, deaf in crowd.items():
            assert len(deaf.read_to_the_end()) > RECEIVE_BUFFER, dialect
