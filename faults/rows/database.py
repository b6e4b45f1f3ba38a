"""The database: locked, gone, without room."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from streaming.client import connect

from ..postgres import Postgres, postgres
from ..report import Promise, Seen
from ..service import Service
from ..stage import SLUG, Stage

OPEN_SECONDS = 1.0
"""In which a session that is known opens, database or not; five in the short form, on machines that
do other work."""


@contextmanager
def _locked(service: Service) -> Iterator[None]:
    """Nobody else can write, and who has to begin anew cannot read either."""
    database = sqlite3.connect(service.data_dir / "db.sqlite3", timeout=5, isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        database.close()


async def look(service: Service, seconds: float, *, opens: float = OPEN_SECONDS) -> list[str]:
    """What new viewers and REST get while the database is away; promises that were not kept."""
    broken = []
    slowest = 0.0
    statuses: set[int] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            async with asyncio.timeout(10), connect(service.websocket(SLUG), fields=["x"]):
                slowest = max(slowest, time.monotonic() - began)
        except Exception as error:
            broken.append(f"a known session did not open: {type(error).__name__} {error}"[:120])
            break
        statuses.add((await service.get(f"/api/sessions/{SLUG}"))[0])
        await asyncio.sleep(0.5)
    if slowest > opens:
        broken.append(f"a known session opened after {slowest:.1f} s")
    if not statuses <= {200, 304, 503}:
        broken.append(f"REST answered {sorted(statuses)}")
    return broken


async def sqlite_locked(stage: Stage) -> Seen:
    async with (
        stage.service(workers=2) as service,
        stage.watched(service, segments=20, rows=4) as people,
    ):
        with _locked(service):
            broken = await look(service, stage.seconds(30, 5), opens=stage.seconds(OPEN_SECONDS, 5))
            _, text = await service.get("/readyz")
        return await stage.after(
            people, service.ready, told=" ".join(text.split())[:120], broken=broken
        )


async def postgres_gone(stage: Stage) -> Seen:
    with postgres(stage.folder) as server:
        return await _without_postgres(stage, server)


async def _without_postgres(stage: Stage, server: Postgres) -> Seen:
    async with (
        stage.service(workers=2, prepare=True, DATABASE_URL=server.url) as service,
        stage.watched(service, segments=20, rows=4) as people,
    ):
        await asyncio.to_thread(server.stop)
        broken = await look(service, stage.seconds(30, 5), opens=stage.seconds(OPEN_SECONDS, 5))
        _, text = await service.get("/readyz")
        await asyncio.to_thread(server.start)
        return await stage.after(
            people, service.ready, told=" ".join(text.split())[:120], broken=broken
        )


ROWS = {
    "SQLite locked 30 s": (sqlite_locked, Promise(still_rows=0.0, healthy=3.0)),
    "PostgreSQL gone 30 s": (postgres_gone, Promise(still_rows=0.0, healthy=5.0)),
}
