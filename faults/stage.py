"""What every fault needs: a race to play, a service to break, an audience that looks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import race_data

from .report import Seen
from .service import Service, seconds_until
from .viewers import Audience, Truth, audience

SLUG = "bench"
RACE_MINUTES = 20
SETTLE_SECONDS = 3.0
"""Of undisturbed playing before a fault, and after it is over."""

HEAL_SECONDS = 60.0
"""After which a fault that has not healed counts as one that never does."""


class Skip(Exception):
    """This fault cannot be made here; the message says why."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes, in memory, on a folder. Raises: Skip if that is refused."""
    if os.getuid() != 0:
        raise Skip("only root may mount a disk small enough to fill")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Skip(f"no disk small enough to fill: {made.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a process that is still ending may have a file open.
        subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """short: the form for continuous integration, with fewer viewers and shorter faults."""

    short: bool
    folder: Path

    def seconds(self, long: float, short: float) -> float:
        return short if self.short else long

    def count(self, long: int, short: int) -> int:
        return short if self.short else long

    def fresh(self, name: str) -> Path:
        """A path for a folder that is not there yet."""
        return Path(tempfile.mkdtemp(prefix="fresh-", dir=self.folder)) / name

    @asynccontextmanager
    async def service(
        self, *, workers: int = 1, prepare: bool = False, room: int = 0, **environ: str
    ) -> AsyncIterator[Service]:
        """A service of its own on a copy of the race's data.

        prepare: simulate the race anew, because the database is not the copied one. room: bytes of
        a disk of its own for that data; 0 for a folder like any other. Raises: Skip if it may not
        have one.
        """
        data = Path(tempfile.mkdtemp(prefix="data-", dir=self.folder))
        with contextlib.ExitStack() as disks:
            if room:
                disks.enter_context(small_disk(data, room))
            async with self._serving(data, workers, prepare, environ) as service:
                yield service

    @asynccontextmanager
    async def _serving(
        self, data: Path, workers: int, prepare: bool, environ: dict[str, str]
    ) -> AsyncIterator[Service]:
        try:
            if not prepare:
                shutil.copytree(race_data(RACE_MINUTES), data, dirs_exist_ok=True)
            service = Service(data, workers=workers, port=0, **environ)
            if prepare:
                demo = ("demo", "--slug", SLUG, "--minutes", str(RACE_MINUTES))
                for arguments in (("migrate", "-v0"), demo):
                    status, said = await service.manage(*arguments)
                    if status:
                        raise RuntimeError(said)
            async with service:
                yield service
        finally:
            shutil.rmtree(data, ignore_errors=True)

    @staticmethod
    def recording(service: Service) -> Path:
        """The file of the race that is played."""
        return next((service.data_dir / "recordings").glob(f"{SLUG}.*.mcap"))

    @asynccontextmanager
    async def watched(
        self, service: Service, *, segments: int = 40, rows: int = 4
    ) -> AsyncIterator[Audience]:
        """An audience that has played for a while when the block begins."""
        truth = Truth(self.recording(service))
        url = service.websocket(SLUG)
        async with audience(url, truth, segments=segments, rows=rows) as people:
            await people.play()
            await asyncio.sleep(SETTLE_SECONDS)
            people.forget()
            yield people

    async def after(
        self,
        people: Audience,
        healthy: Callable[[], Awaitable[bool]],
        *,
        told: str = "",
        broken: list[str] | None = None,
    ) -> Seen:
        """What was seen of a fault that has just ended. healthy: whether all is as before."""
        healed = await seconds_until(healthy, HEAL_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        people.stop()
        return Seen(
            still_segments=people.still("segments"),
            still_rows=people.still("rows"),
            wrong=people.wrong,
            lost=await people.lost(),
            healthy=healed,
            told=told,
            broken=broken or [],
        )
