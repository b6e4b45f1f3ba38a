"""Notifies connections of changes of unfinished sessions: progress of an import, a live edge.

One task per session, however many viewers it has, and none for finished sessions.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from ..store.catalogue import Catalogue, CatalogueUnavailable, SessionInfo
from ..store.frame_store import FrameStore

POLL_SECONDS = 0.5
"""The catalogue queries the database once a second at most."""


class Watcher(Protocol):
    """Is notified of changes."""

    def session_changed(self, info: SessionInfo) -> None:
        """info: as it is now; called at once and after each change."""

    def event_came(self, message: dict[str, Any]) -> None:
        """message: `event`, of a live session."""


class SessionWatch:
    """Watchers by slug. Belongs to one event loop."""

    def __init__(self, catalogue: Catalogue, frames: FrameStore) -> None:
        self._catalogue = catalogue
        self._frames = frames
        self._watchers: dict[str, set[Watcher]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, SessionInfo] = {}

    def add(self, slug: str, watcher: Watcher) -> None:
        """Notify `watcher` of changes until `remove`."""
        self._watchers.setdefault(slug, set()).add(watcher)
        if slug not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._watch(slug))
            self._tasks[slug] = task
            task.add_done_callback(lambda _: self._tasks.pop(slug, None))

    def remove(self, slug: str, watcher: Watcher) -> None:
        """Stop notifying `watcher`. Safe to call for one that was never added."""
        watchers = self._watchers.get(slug)
        if watchers is None:
            return
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[slug]
            self._known.pop(slug, None)
            if slug in self._tasks:
                self._tasks[slug].cancel()

    def watched(self, slug: str) -> bool:
        """Whether anybody here watches a session."""
        return slug in self._watchers

    def grew(self, slug: str) -> None:
        """A live session has more frames than a moment ago: tell its watchers now."""
        info = self._known.get(slug)
        if info is not None and info.is_live:
            for watcher in list(self._watchers.get(slug, ())):
                watcher.session_changed(info)

    def happened(self, slug: str, message: dict[str, Any]) -> None:
        """Something has happened in a live session."""
        for watcher in list(self._watchers.get(slug, ())):
            watcher.event_came(message)

    async def _watch(self, slug: str) -> None:
        before: tuple[SessionInfo, int] | None = None
        while slug in self._watchers:
            await asyncio.sleep(POLL_SECONDS)
            try:
                info = await self._catalogue.find(slug)
            except CatalogueUnavailable:
                # Tried again in the next round.
                continue
            if info is None:
                continue
            self._known[slug] = info
            if (info, self._frames.frame_count(info)) == before:
                continue
            before = (info, self._frames.frame_count(info))
            for watcher in list(self._watchers.get(slug, ())):
                watcher.session_changed(info)
