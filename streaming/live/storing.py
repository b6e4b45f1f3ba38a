"""The end of a live session: its log becomes an ordinary recording. Blocking.

It runs in a process of its own (`manage.py store_live`), because making a recording of two hours
takes seconds and memory that viewers of this worker would miss.
"""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings

from sessions_app.live import is_live, withdraw_live
from sessions_app.locks import SessionBusy, SessionLock
from sessions_app.models import Session
from sessions_app.storing import store_result

from .log import FOLDER, LogReader, part_numbers, remove_log
from .state import LiveState, replayed

logger = logging.getLogger("streaming.live.storing")


def read_state(recordings: Path, slug: str) -> LiveState:
    """What the log on disk says. Raises: CorruptRecording; OSError."""
    return replayed(record for record, _ in LogReader(recordings, slug).read_new())


def store_live(slug: str) -> Session | None:
    """Store a live session that has ended, and remove its log.

    Args:
        slug: of the session.

    Returns:
        The session; None if there was nothing to store: no frame ever came, it was not to be
        recorded (the session is gone then), or it is stored already.

    Raises:
        SessionBusy: a producer is sending frames.
        CorruptRecording, ImportSourceError, OSError: it cannot be stored; the log stays.
    """
    recordings = Path(settings.RECORDINGS_DIR)
    with SessionLock(slug) as lock:
        if not is_live(slug):
            remove_log(recordings, slug)
            return None
        state = read_state(recordings, slug)
        about, growing = state.about, state.growing
        if about is None or not about.record or growing is None or not growing.frame_count:
            withdraw_live(slug)
            remove_log(recordings, slug)
            return None
        session = store_result(state.result(), slug=slug, replace=True, lock=lock)
        remove_log(recordings, slug)
        return session


def store_what_ended() -> list[str]:
    """After a start: store the sessions that had ended, and remove logs of sessions that are gone.

    A session whose producer may come back stays live. Returns: the slugs that were stored.
    """
    recordings = Path(settings.RECORDINGS_DIR)
    names = {path.name.rsplit(".", 2)[0] for path in (recordings / FOLDER).glob("*.log")}
    stored = []
    for slug in sorted(names):
        try:
            ended = read_state(recordings, slug).ended is not None
            if part_numbers(recordings, slug) and (ended or not is_live(slug)):
                stored += [slug] if store_live(slug) is not None else []
        except SessionBusy:
            continue
        except Exception:
            # One bad log must not keep the service from starting.
            logger.exception("the live session %s is not stored", slug)
    return stored
