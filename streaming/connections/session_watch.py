"""Tells connections how a session that is not finished changes: its import, or its live edge.

One task per session, however many watch it, and none for finished ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..store import catalogue
from ..store.catalogue import SessionInfo
from ..store.frame_store import get_frame_store

LOOK_EVERY = 0.5
"""Seconds. The catalogue asks the database once a second at most."""


class Watcher(Protocol):
    """Who is told."""

    def session_changed(self, info: SessionInfo) -> None:
        """info: as it is now; called at once and after each change."""


class SessionWatch:
    """Watchers by slug. Belongs to one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, slug: str, watcher: Watcher) -> None:
        """Tell `watcher` of changes until `remove`."""
        self._watchers.setdefault(slug, set()).add(watcher)
        if slug not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._watch(slug))
            self._tasks[slug] = task
            task.add_done_callback(lambda _: self._tasks.pop(slug, None))

    def remove(self, slug: str, watcher: Watcher) -> None:
        """Tell it no more. Safe to call for one that was never added."""
        watchers = self._watchers.get(slug)
        if watchers is None:
            return
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[slug]
            if slug in self._tasks:
                self._tasks[slug].cancel()

    async def _watch(self, slug: str) -> None:
        before: tuple[SessionInfo, int] | None = None
        while slug in self._watchers:
            await asyncio.sleep(LOOK_EVERY)
            info = await catalogue.find(slug)
            if info is None or (info, frame_count(info)) == before:
                continue
            before = (info, frame_count(info))
            for watcher in list(self._watchers.get(slug, ())):
                watcher.session_changed(info)


def frame_count(info: SessionInfo) -> int:
    """Frames that can be had now: of a live session what its producer here has published."""
    source = get_frame_store().files.peek(info.version) if info.is_live else None
    return info.frame_count if source is None else source.frame_count


def _one_per_loop(make: Callable[[], SessionWatch]) -> Callable[[], SessionWatch]:
    kept: list[tuple[asyncio.AbstractEventLoop, SessionWatch]] = []

    def get() -> SessionWatch:
        loop = asyncio.get_running_loop()
        if not kept or kept[0][0] is not loop:
            kept[:] = [(loop, make())]
        return kept[0][1]

    return get


session_watch = _one_per_loop(SessionWatch)
"""The running loop's watch."""
