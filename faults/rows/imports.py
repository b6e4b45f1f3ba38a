"""Imports: their process is killed, they collide, the service restarts in between."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..report import Promise, Seen
from ..service import ROOT, Service, kill, seconds_until
from ..stage import HEAL_SECONDS, Skip, Stage

PLAY = "play"
RACE = "openf1-csv-2024-austria-2cars"
"""A folder of real recordings that is small enough to be imported again and again."""

MAPPING = "time: {column: t, unit: s}\nentity: who\nfields: {x: x, y: y}\nrate: 10\n"
ROWS_OF_TABLE = 60_000
"""An import that takes about a second."""

ENDED = ("done", "failed")
WORKER_LOCK = ".imports.worker.lock"
"""Stays as long as an import worker runs; it is no leftover."""

LEFT_SECONDS = 10.0
"""In which the next start of the import worker has removed what a killed one left."""


@dataclass
class Imports:
    """A service that imports `source` as session `PLAY`, which is there from a first import.

    lasted: seconds that the first import took, from the request to its end. frames: of the session.
    """

    service: Service
    source: str
    lasted: float = 0.0
    frames: int = 0

    async def ask(self) -> dict[str, Any]:
        """Ask for the import. Returns: the answer. Raises: RuntimeError if it is refused."""
        wanted = {"source": self.source, "slug": PLAY, "access": "public", "refresh": True}
        status, text = await self.service.ask("POST", "/api/sessions", json=wanted)
        if status != 202:
            raise RuntimeError(f"POST /api/sessions answered {status}: {text[:200]}")
        return dict(json.loads(text))

    async def session(self) -> dict[str, Any]:
        """As REST shows it to staff; {} if it does not."""
        status, text = await self.service.get(f"/api/sessions/{PLAY}")
        return dict(json.loads(text)) if status == 200 else {}

    async def job(self) -> dict[str, Any]:
        """The session's last job."""
        return (await self.session()).get("job") or {}

    async def wait(self, *states: str) -> dict[str, Any]:
        """Until the job is in one of these states. Raises: RuntimeError if it never is."""

        async def there() -> bool:
            return (await self.job()).get("state") in states

        if await seconds_until(there, HEAL_SECONDS) > HEAL_SECONDS:
            raise RuntimeError(f"no job became {' or '.join(states)}: {await self.job()}")
        return await self.job()

    def worker(self) -> psutil.Process | None:
        """The process that imports."""
        return next((p for p in self.service.family() if "import_worker" in _arguments(p)), None)

    def left(self) -> list[str]:
        """Files beside those that the database names."""
        named = {name for (name,) in self._select("recording FROM sessions_app_session")}
        files = {p.name for p in (self.service.data_dir / "recordings").iterdir()}
        return sorted(files - named - {WORKER_LOCK})

    def attempt(self) -> tuple[str, int]:
        """The last job's state, and how often it was begun."""
        rows = self._select("state, attempts FROM sessions_app_importjob ORDER BY id DESC LIMIT 1")
        return (str(rows[0][0]), int(rows[0][1]))

    def _select(self, rest: str) -> list[Any]:
        path = self.service.data_dir / "db.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(f"SELECT {rest}").fetchall()

    async def faults(self, job: dict[str, Any]) -> list[str]:
        """What of a job's end is not as promised."""
        broken = []
        if job["state"] == "failed" and not job["error"]:
            broken.append("a job failed without a reason")

        async def clean() -> bool:
            return not self.left()

        if await seconds_until(clean, LEFT_SECONDS) > LEFT_SECONDS:
            broken.append(f"left behind: {', '.join(self.left())}")
        session = await self.session()
        if session.get("state") != "ready" or session.get("frame_count") != self.frames:
            broken.append(
                f"the session is {session.get('state')} with {session.get('frame_count')} frames, "
                f"and had {self.frames}"
            )
        return broken


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def table_source(folder: Path, rows: int = ROWS_OF_TABLE) -> Path:
    """A folder with a table and the mapping that it needs."""
    folder.mkdir(parents=True)
    (folder / "mapping.yaml").write_text(MAPPING)
    with (folder / "play.csv").open("w") as stream:
        stream.write("t,who,x,y\n")
        for i in range(rows // 2):
            stream.write(f"{i / 10},a,{i % 500},{i % 77}\n{i / 10},b,{i % 400},{i % 55}\n")
    return folder


def race_source() -> Path:
    """Raises: Skip where the real recordings are not."""
    folder = Path(os.environ.get("REPLAY_REALDATA", ROOT.parent / "shared" / "realdata")) / RACE
    if not folder.is_dir():
        raise Skip(f"no {RACE} in the folder that REPLAY_REALDATA names")
    return folder


@asynccontextmanager
async def importing(
    stage: Stage, source: Path, *, room: int = 0, workers: int = 1
) -> AsyncIterator[Imports]:
    """A service in which the session is there."""
    named = f"{source.name}={source}"
    async with stage.service(workers=workers, room=room, IMPORT_SOURCES=named) as service:
        imports = Imports(service, source.name)
        began = time.monotonic()
        await imports.ask()
        job = await imports.wait(*ENDED)
        if job["state"] != "done":
            raise RuntimeError(f"the first import failed: {job['error']}")
        imports.lasted = time.monotonic() - began
        imports.frames = (await imports.session())["frame_count"]
        yield imports


def _killed(source: Callable[[Stage], Path]) -> Callable[[Stage], Awaitable[Seen]]:
    async def run(stage: Stage) -> Seen:
        """At random moments of an import that takes the place of a session; then twice in one."""
        chance = random.Random(7)
        ends: list[str] = []
        broken: list[str] = []
        async with (
            importing(stage, source(stage)) as imports,
            stage.watched(imports.service, segments=20, rows=4) as people,
        ):
            for _ in range(stage.count(10, 2)):
                await imports.ask()
                await asyncio.sleep(chance.uniform(0, imports.lasted))
                if (worker := imports.worker()) is not None:
                    kill(worker)
                job = await imports.wait(*ENDED)
                ends.append(job["state"])
                broken += await imports.faults(job)
            await imports.ask()
            error = await _killed_while_running(imports, times=2)
            broken += await imports.faults(await imports.job())
            seen = await stage.after(people, imports.service.ready, broken=broken)
            seen.told = (
                f"{ends.count('done')} of {len(ends)} killed once were done the second time; "
                f"killed twice: “{error}”"
            )
            return seen

    return run


async def _killed_while_running(imports: Imports, *, times: int) -> str:
    """Kill the worker over each of the job's first attempts. Returns: the job's last word."""
    for attempt in range(1, times + 1):

        async def begun(attempt: int = attempt) -> bool:
            return imports.attempt() == ("running", attempt)

        await seconds_until(begun, HEAL_SECONDS)
        if (worker := imports.worker()) is not None:
            kill(worker)
    job = await imports.wait(*ENDED)
    return str(job["error"] or job["state"])


async def two_at_once(stage: Stage) -> Seen:
    """Two requests and two commands for one session, all at the same moment."""
    source = table_source(stage.fresh("sources"))
    async with (
        importing(stage, source) as imports,
        stage.watched(imports.service, segments=20, rows=4) as people,
    ):
        command = (
            "import_session", "table", str(source / "play.csv"), "--mapping",
            str(source / "mapping.yaml"), "--slug", PLAY, "--replace",
        )  # fmt: skip
        first, second, *commands = await asyncio.gather(
            imports.ask(),
            imports.ask(),
            imports.service.manage(*command),
            imports.service.manage(*command),
        )
        broken = []
        if first["job_id"] != second["job_id"]:
            broken.append("two requests started two jobs")
        refused = [said for status, said in commands if status]
        if any("Traceback" in said or "another process" not in said for said in refused):
            broken.append(f"a command said: {refused[0][-200:]}")
        job = await imports.wait(*ENDED)
        broken += await imports.faults(job)
        seen = await stage.after(people, imports.service.ready, broken=broken)
        last = refused[0].strip().splitlines()[-1] if refused else ""
        seen.told = (
            f"one job for two requests, {job['state']}; {len(refused)} of 2 commands refused"
        )
        seen.told += f": “{last[:160]}”" if last else ""
        return seen


async def restarted(stage: Stage) -> Seen:
    """The service is ended in the middle of an import, as an operator does; then killed."""
    told = []
    broken: list[str] = []
    healed = 0.0
    async with importing(stage, table_source(stage.fresh("sources"))) as imports:
        service = imports.service
        for how in ("ended", "killed"):
            await imports.ask()
            await imports.wait("running")
            if how == "ended":
                await service.stop()
            else:
                kill(psutil.Process(service.pid))
            await service.start()
            began = time.monotonic()
            job = await imports.wait(*ENDED)
            healed = max(healed, time.monotonic() - began)
            told.append(f"{how}: {job['state']}, “{job['error']}”")
            broken += await imports.faults(job)
        # What was cut off can be asked for again.
        await imports.ask()
        job = await imports.wait(*ENDED)
        if job["state"] != "done":
            broken.append(f"the import after it: {job['error']}")
    return Seen(healthy=healed, told="; ".join(told), broken=broken)


def _small_table(stage: Stage) -> Path:
    return table_source(stage.fresh("sources"))


def _race(stage: Stage) -> Path:
    return race_source()


ROWS = {
    "import worker killed": (_killed(_small_table), Promise(healthy=2.0)),
    "import of a race, worker killed": (_killed(_race), Promise(healthy=2.0)),
    "two imports of one session": (two_at_once, Promise(healthy=2.0)),
    "service restarted while importing": (restarted, Promise(healthy=15.0)),
}
