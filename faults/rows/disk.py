"""The disk: full while importing and while the database writes, or not to be written at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..report import Promise, Seen
from ..service import Service
from ..stage import Skip, Stage
from ..viewers import Audience
from .database import OPEN_SECONDS, look
from .imports import ENDED, PLAY, Imports, importing, table_source

ROOM = 24_000_000
LEFT = 300_000
"""Enough for the database to say what happened, too little for a recording."""

ANSWERS = {200, 202, 304, 503}


@contextmanager
def _filled(folder: Path, left: int) -> Iterator[None]:
    """A disk on which `left` bytes are free."""
    ballast = folder / "ballast"
    disk = os.statvfs(folder)
    with ballast.open("wb") as stream:
        stream.write(bytes(max(0, disk.f_bavail * disk.f_frsize - left)))
        if not left:
            with contextlib.suppress(OSError):
                while True:
                    os.write(stream.fileno(), bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


async def importing_on_a_full_disk(stage: Stage) -> Seen:
    source = table_source(stage.fresh("sources"), rows=400_000)
    async with (
        importing(stage, source, room=ROOM) as imports,
        stage.watched(imports.service, segments=20, rows=4) as people,
    ):
        with _filled(imports.service.data_dir, LEFT):
            await imports.ask()
            job = await imports.wait(*ENDED)
            broken = await imports.faults(job)
            if job["state"] != "failed":
                broken.append(f"the import was {job['state']} without room")
        broken += await _works_again(imports)
        return await stage.after(
            people, imports.service.ready, told=f"job failed: “{job['error']}”", broken=broken
        )


async def _works_again(imports: Imports) -> list[str]:
    await imports.ask()
    job = await imports.wait(*ENDED)
    return [] if job["state"] == "done" else [f"the import after it: {job['error']}"]


async def database_on_a_full_disk(stage: Stage) -> Seen:
    source = table_source(stage.fresh("sources"), rows=2_000)
    async with (
        importing(stage, source, room=ROOM) as imports,
        stage.watched(imports.service, segments=20, rows=4) as people,
    ):
        with _filled(imports.service.data_dir, 0):
            answers = await _write(imports.service, stage.count(12, 4))
            broken = await look(
                imports.service, stage.seconds(15, 4), opens=stage.seconds(OPEN_SECONDS, 5)
            )
        return await _healed(stage, people, imports, answers, broken)


async def read_only_database(stage: Stage) -> Seen:
    source = table_source(stage.fresh("sources"), rows=2_000)
    async with (
        importing(stage, source) as imports,
        stage.watched(imports.service, segments=20, rows=4) as people,
    ):
        with _immutable(imports.service.data_dir / "db.sqlite3"):
            answers = await _write(imports.service, stage.count(12, 4))
            broken = await look(
                imports.service, stage.seconds(15, 4), opens=stage.seconds(OPEN_SECONDS, 5)
            )
        return await _healed(stage, people, imports, answers, broken)


async def _write(service: Service, times: int) -> dict[int, str]:
    """Requests that need the database to write: what they are answered, by status."""
    answers = {}
    for _ in range(times):
        wanted = {"source": "sources", "slug": PLAY, "refresh": True}
        status, text = await service.ask("POST", "/api/sessions", json=wanted)
        answers[status] = " ".join(text.split())
        await asyncio.sleep(0.2)
    return answers


async def _healed(
    stage: Stage, people: Audience, imports: Imports, answers: dict[int, str], broken: list[str]
) -> Seen:
    if not answers.keys() <= ANSWERS:
        broken.append(f"REST answered {sorted(answers)}")
    seen = await stage.after(people, imports.service.ready, broken=broken)
    seen.broken += await _works_again(imports)
    database = sqlite3.connect(imports.service.data_dir / "db.sqlite3", timeout=10)
    try:
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    finally:
        database.close()
    if verdict != "ok":
        seen.broken.append(f"the database is damaged: {verdict}")
    worst = max(answers)
    seen.told = f"{worst}: {answers[worst][:160]}"
    return seen


@contextmanager
def _immutable(path: Path) -> Iterator[None]:
    """A file that not even root can write."""
    made = subprocess.run(["chattr", "+i", str(path)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Skip(f"no file can be made immutable here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)


ROWS = {
    "disk full while importing": (importing_on_a_full_disk, Promise(still_rows=0.2)),
    "disk full, SQLite writes": (database_on_a_full_disk, Promise(still_rows=0.2, healthy=5.0)),
    "SQLite read-only": (read_only_database, Promise(still_rows=0.2, healthy=5.0)),
}
