"""What REST reads from recording files."""

from __future__ import annotations

import asyncio

from django.http import HttpRequest

from ..models import Session
from ..recording import Columns, RecordingError, Schema
from ..recording.file import Recording
from .errors import ApiError
from .kept import kept_of


async def schema_of(request: HttpRequest, session: Session) -> Schema | None:
    """What the session's frames hold; None while it has no recording. Raises: ApiError 503."""
    if not session.version:
        return None
    return (await _opened(request, session)).schema


async def columns_of(
    request: HttpRequest, session: Session, start: int, stop: int, entity: str | None = None
) -> Columns:
    """Frames start … stop - 1 (of one entity, if given). Raises: ApiError 404, 503."""
    recording = await _opened(request, session)

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


async def _opened(request: HttpRequest, session: Session) -> Recording:
    if not session.version:
        raise ApiError(404, f"Session {session.slug!r} has no recording yet: {session.state}.")
    try:
        recordings = kept_of(request).recordings
        return await asyncio.to_thread(recordings.get, session.recording_path)
    except (OSError, RecordingError) as error:
        raise _damaged(session, error) from error


def _damaged(session: Session, error: Exception) -> ApiError:
    return ApiError(
        503,
        f"The recording of {session.slug!r} cannot be read; `manage.py verify_recording "
        f"{session.slug}` says why ({type(error).__name__}).",
        code="recording_unavailable",
    )
