"""What REST reads from recording files."""

from __future__ import annotations

import asyncio

from django.http import HttpRequest

from ..models import Session
from ..recording import Columns, Field, RecordingError, Schema
from ..recording.fields import default_segment_frames
from ..recording.file import Recording
from .errors import ApiError
from .kept import kept_of


async def schema_of(request: HttpRequest, session: Session) -> Schema | None:
    """What the session's frames hold; None while it has no recording. Raises: ApiError 503."""
    if not session.version:
        return None
    if session.state == Session.State.LIVE:
        return await _live_schema(session)
    return (await _opened(request, session)).schema


async def _live_schema(session: Session) -> Schema | None:
    """Of the frames that its producer sends; None of pictures."""
    fields = session.live.get("fields")
    if not fields:
        return None
    rows = session.entities.order_by("index").values_list("code", flat=True)
    return Schema(
        tuple(Field.from_dict(field) for field in fields),
        tuple([code async for code in rows]),
        session.frame_rate,
        default_segment_frames(session.frame_rate),
    )


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
    if not session.version or session.state == Session.State.LIVE:
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
