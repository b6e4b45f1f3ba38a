"""A recording file that is truncated, damaged, deleted or replaced while it is played."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from streaming.client import connect

from ..report import Promise, Seen
from ..service import Service
from ..stage import SLUG, Stage
from ..viewers import Truth, audience

OTHER = "other"
Damage = Callable[[Path], None]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(share: float) -> Damage:
    """One bit at that share of the file's length."""

    def damage(path: Path) -> None:
        at = int(path.stat().st_size * share)
        with path.open("r+b") as stream:
            stream.seek(at)
            byte = stream.read(1)[0]
            stream.seek(at)
            stream.write(bytes([byte ^ 0x10]))

    return damage


def _delete(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    """Another session's recording takes its name."""
    stranger = next(path.parent.glob(f"{OTHER}.*.mcap"))
    copy = path.with_suffix(".copy")
    shutil.copy2(stranger, copy)
    copy.replace(path)


def _row(damage: Damage) -> Callable[[Stage], Awaitable[Seen]]:
    async def run(stage: Stage) -> Seen:
        async with stage.service(workers=2) as service:
            path = stage.recording(service)
            kept = path.with_suffix(".kept")
            shutil.copy2(path, kept)
            truth = Truth(kept)
            other = await _another(service)
            url = service.websocket(SLUG)
            async with (
                audience(url, truth, segments=10, rows=2, lead=2) as people,
                audience(service.websocket(OTHER), other, segments=10, rows=2) as others,
            ):
                await people.play(apart=2000)
                await others.play()
                await asyncio.sleep(3)
                people.forget()
                others.forget()
                workers = {p.pid for p in service.workers()}
                damage(path)
                await asyncio.sleep(stage.seconds(10, 4))
                errors = sorted({e for v in people.viewers for e in v.errors})
                survived = workers == {p.pid for p in service.workers()}
                wrong = people.wrong
                shutil.copy2(kept, path)

                async def healthy() -> bool:
                    async with connect(url, fields=["x"]) as newcomer:
                        await newcomer.seek(frame=20_000)
                        async with asyncio.timeout(2):
                            frames = await anext(newcomer)
                        return truth.agrees(frames)

                seen = await stage.after(others, _quietly(healthy))
                seen.wrong += wrong
                seen.told = errors[0] if errors else "no viewer was told"
                if not survived:
                    seen.broken.append("a worker ended")
                return seen

    return run


def _quietly(healthy: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    """Not healthy as long as it fails."""

    async def look() -> bool:
        try:
            return await healthy()
        except Exception:
            return False

    return look


async def _another(service: Service) -> Truth:
    """A second session beside the one that is damaged."""
    status, said = await service.manage("demo", "--slug", OTHER, "--minutes", "5")
    if status:
        raise RuntimeError(said)
    return Truth(next((service.data_dir / "recordings").glob(f"{OTHER}.*.mcap")))


ROWS = {
    "recording truncated": (_row(_truncate), Promise(healthy=5.0)),
    "one bit flipped, first third": (_row(_flip(0.2)), Promise(healthy=5.0)),
    "one bit flipped, middle": (_row(_flip(0.5)), Promise(healthy=5.0)),
    "one bit flipped, at the end": (_row(_flip(0.995)), Promise(healthy=5.0)),
    "recording replaced while playing": (_row(_replace), Promise(healthy=5.0)),
    "recording deleted": (_row(_delete), Promise(healthy=5.0)),
}
