"""The sessions as streaming needs them, read from the database at most once a second.

A connecting viewer must not cost a query: ten thousand connect at once when a race starts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from sessions_app.access import SessionFacts
from sessions_app.models import Session

logger = logging.getLogger("streaming.store.catalogue")

MAX_AGE_SECONDS = 1.0
"""How old an answer may be: progress of an import moves once a second anyway."""

ANSWER_SECONDS = 0.5
"""How long an answer of the database is waited for where an older one is known."""

AWAY_SECONDS = 5.0
"""How long it is waited for where nothing is known."""

RETRY_SECONDS = 1.0
"""How long a database that has failed is not asked."""

MAX_REMEMBERED = 10_000
"""Slugs kept, unknown ones included, so that guessing slugs costs neither queries nor memory."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as it was at most a second ago.

    Attributes:
        slug: as in addresses.
        title: for viewers.
        kind: "race", "practice" and so on.
        state: a `Session.State`.
        version: of the recording; changes with each import.
        path: of the recording file, which exists once the session is ready.
        progress: of the import, 0…100.
        message: of the import.
        frame_rate: frames a second.
        frame_count: frames in the recording.
        access: one of `Visibility`.
        owner: primary key of the user who owns it, or None.
        groups: primary keys of the groups that may watch, where not everybody may.
        lap_length: metres; None where there are no laps.
        start_time: Unix time of frame 0 in seconds, or None.
        year: of the season, or None.
        round: of the season, or None.
        metadata: of the source.
    """

    slug: str
    title: str
    kind: str
    state: str
    version: str
    path: Path
    progress: float
    message: str
    frame_rate: float
    frame_count: int
    access: str
    lap_length: float | None = None
    start_time: float | None = None
    year: int | None = None
    round: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    owner: int | None = None
    groups: frozenset[int] = frozenset()

    @property
    def is_ready(self) -> bool:
        return self.state == Session.State.READY

    @property
    def is_live(self) -> bool:
        return self.state == Session.State.LIVE

    @property
    def facts(self) -> SessionFacts:
        """What the rule of access needs to know."""
        return SessionFacts(self.slug, self.access, self.owner, self.groups)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.frame_rate


class CatalogueUnavailable(Exception):
    """The database is away, and nothing is known of the session."""


class Catalogue:
    """Sessions by slug. One query a slug and second, however many ask at the same instant."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        read: Callable[[str], SessionInfo | None] | None = None,
    ) -> None:
        """Make an empty catalogue.

        Args:
            clock: monotonic seconds.
            read: slug → the session as it is now; blocking. The database by default.
        """
        self._clock = clock
        self._read = read or read_session
        self._failed_at = -math.inf
        self._known: dict[str, tuple[float, SessionInfo | None]] = {}
        self._running: dict[str, asyncio.Task[SessionInfo | None]] = {}
        self.queries = 0

    async def find(self, slug: str) -> SessionInfo | None:
        """Find a session, in the database only if what is known is older than a second.

        Args:
            slug: as in addresses.

        Returns:
            The session, or None if there is none of that slug; while the database is away, what
            was known of it last, however old.

        Raises:
            CatalogueUnavailable: the database is away, and nothing is known of this slug.
        """
        known = self._known.get(slug)
        if known is not None and self._clock() - known[0] < MAX_AGE_SECONDS:
            return known[1]
        if self._clock() - self._failed_at < RETRY_SECONDS:
            return _last_known(known)
        task = self._running.get(slug)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.get_running_loop().create_task(self._query(slug))
            self._running[slug] = task
            task.add_done_callback(lambda done: self._query_done(slug, done))
        try:
            # Shielded: a caller may be cancelled while others still wait for the answer.
            async with asyncio.timeout(AWAY_SECONDS if known is None else ANSWER_SECONDS):
                return await asyncio.shield(task)
        except (DatabaseError, OSError):
            # A time-out is an OSError too.
            return _last_known(known)

    def forget(self, slug: str) -> None:
        """Query the database at the next `find`, however recent the last answer is."""
        self._known.pop(slug, None)

    async def _query(self, slug: str) -> SessionInfo | None:
        self.queries += 1
        info: SessionInfo | None = await database_sync_to_async(self._read)(slug)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[slug] = (self._clock(), info)
        return info

    def _query_done(self, slug: str, task: asyncio.Task[SessionInfo | None]) -> None:
        if self._running.get(slug) is task:
            del self._running[slug]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed_at = self._clock()
            logger.warning("session %r cannot be looked up: %s", slug, type(error).__name__)


def _last_known(known: tuple[float, SessionInfo | None] | None) -> SessionInfo | None:
    if known is None:
        raise CatalogueUnavailable("the database is away: come back in a moment")
    return known[1]


def read_session(slug: str) -> SessionInfo | None:
    """The session as it stands in the database now; blocking."""
    session = Session.objects.select_related("geometry").filter(slug=slug).first()
    if session is None:
        return None
    geometry = getattr(session, "geometry", None)
    start = session.start_time
    return SessionInfo(
        slug=session.slug,
        title=session.title,
        kind=session.kind,
        state=session.state,
        version=session.version,
        path=session.recording_path,
        progress=session.progress,
        message=session.message,
        frame_rate=session.frame_rate,
        frame_count=session.frame_count,
        access=session.access,
        lap_length=None if geometry is None else geometry.length,
        start_time=None if start is None else start.timestamp(),
        year=session.year,
        round=session.round,
        metadata=dict(session.metadata),
        owner=session.owner_id,
        groups=session.facts().groups,
    )
