"""Recording files that REST reads from: kept open, a bounded number of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from ..models import Session
from ..recording import Columns, RecordingError, Schema
from ..recording.file import Recording
from .errors import ApiError

MAX_OPEN = 16
"""Files open at once. Opening one costs its summary (some ms for two hours), an open one only
a descriptor."""


class OpenRecordings:
    """The recordings read last, by path; safe to use from several threads.

    One that drops out is not closed but let go: whoever still reads from it keeps it alive.
    """

    def __init__(self, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._open: OrderedDict[Path, Recording] = OrderedDict()
        self._lock = Lock()

    def get(self, path: Path) -> Recording:
        """The recording that is at `path` now, opened anew if that is another than before.

        Raises: FileNotFoundError; CorruptRecording. Blocks: call it in a thread.
        """
        with self._lock:
            recording = self._open.get(path)
            if recording is not None:
                self._open.move_to_end(path)
        if recording is not None and recording.is_current:
            return recording
        recording = Recording(path)
        with self._lock:
            self._open[path] = recording
            while len(self._open) > self._limit:
                self._open.popitem(last=False)
        return recording

    def __len__(self) -> int:
        return len(self._open)


_recordings = OpenRecordings()


async def schema_of(session: Session) -> Schema | None:
    """What the session's frames hold; None while it has no recording. Raises: ApiError 503."""
    if not session.version:
        return None
    return (await _opened(session)).schema


async def columns_of(session: Session, start: int, stop: int, entity: str | None = None) -> Columns:
    """Frames start … stop - 1 (of one entity, if given). Raises: ApiError 404, 503."""
    recording = await _opened(session)

    def read() -> Columns:
        columns = recording.columns(start, stop)
        if entity is None:
            return columns
        return columns.subset(recording.schema.subset(entities=[entity]))

    try:
        return await asyncio.to_thread(read)
    except IndexError as error:
        raise ApiError(404, str(error)) from error
    except (OSError, RecordingError) as error:
        raise _damaged(session, error) from error


async def _opened(session: Session) -> Recording:
    if not session.version:
        raise ApiError(404, f"Session {session.slug!r} has no recording yet: {session.state}.")
    try:
        return await asyncio.to_thread(_recordings.get, session.recording_path)
    except (OSError, RecordingError) as error:
        raise _damaged(session, error) from error


def _damaged(session: Session, error: Exception) -> ApiError:
    return ApiError(
        503,
        f"The recording of {session.slug!r} cannot be read; `manage.py verify_recording "
        f"{session.slug}` says why ({type(error).__name__}).",
        code="recording_unavailable",
    )
