"""Old recordings go: those older than some days, and the oldest while all take too much room.

A session that somebody pinned stays, whatever its age and size, and counts towards the room. What
is being imported, is live or has failed is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from .locks import SessionBusy, SessionLock
from .models import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A session with a recording. stored_at: when its file was written; size: of it, in bytes."""

    slug: str
    stored_at: datetime
    size: int
    pinned: bool = False


def outdated(
    sessions: Iterable[Stored], now: datetime, *, days: int = 0, most_bytes: int = 0
) -> list[Stored]:
    """Which sessions are to go, oldest first.

    Args:
        sessions: all with a recording.
        days: how long one is kept; 0: for ever.
        most_bytes: that all recordings may take together; 0: any number.
    """
    everything = sorted(sessions, key=lambda stored: (stored.stored_at, stored.slug))
    room = sum(stored.size for stored in everything)
    gone: list[Stored] = []
    for stored in everything:
        too_old = days > 0 and now - stored.stored_at > timedelta(days=days)
        too_much = 0 < most_bytes < room
        if not stored.pinned and (too_old or too_much):
            gone.append(stored)
            room -= stored.size
    return gone


def stored_sessions() -> list[Stored]:
    """All sessions that can be watched, and when and how large their files were written."""
    found = []
    for session in Session.objects.filter(state=Session.State.READY).defer("metadata", "report"):
        try:
            about = session.recording_path.stat()
        except FileNotFoundError:
            # What is there to be kept? `manage.py doctor` names it.
            continue
        written = datetime.fromtimestamp(about.st_mtime, UTC)
        found.append(Stored(session.slug, written, about.st_size, session.pinned))
    return found


def remove(sessions: Sequence[Stored]) -> list[str]:
    """Delete sessions, file and rows. Whoever watches one is told so, as for any deleted session.

    One that was pinned meanwhile, or that is being imported again, stays. Returns: the slugs of
    those that are gone. Raises: OSError, if the recordings folder cannot be written; DatabaseError.
    """
    gone = []
    for stored in sessions:
        try:
            with SessionLock(stored.slug) as lock, transaction.atomic():
                session = Session.objects.filter(
                    slug=stored.slug, pinned=False, state=Session.State.READY
                ).first()
                if session is None:
                    continue
                # The lock removes the file, also after a kill, once the database names it no more.
                lock.add_leftover(session.recording)
                session.delete()
        except SessionBusy:
            continue
        logger.info("session %s was removed: retention", stored.slug)
        gone.append(stored.slug)
    return gone
