"""REST for live sessions of pictures: a stream for whatever shows MJPEG, and the newest picture.

The newest wins here as on the socket: while the client takes nothing, pictures are passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Query, Router
from pydantic import Field

from sessions_app.api.errors import ApiError, ErrorOut

from ..store.catalogue import SessionInfo
from ..store.source import PictureSource
from ..worker import Worker, worker_of
from .frames import found_session

router = Router(tags=["pictures"])

BOUNDARY = "picture"
REVIEW_SECONDS = 2.0
"""Between two checks whether the client may still watch."""

ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}
_PICTURE = {
    "content": {
        name: {"schema": {"type": "string", "format": "binary"}}
        for name in ("image/jpeg", "image/png", "image/webp")
    }
}
_STREAM = {
    "content": {"multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}}
}


class _Waiting:
    """Is told when there may be another picture."""

    def __init__(self) -> None:
        self.more = asyncio.Event()

    def session_changed(self, _info: SessionInfo) -> None:
        self.more.set()

    def event_came(self, _message: dict[str, Any]) -> None:
        """Pictures have no events."""


@router.get(
    "sessions/{slug:slug}/stream.mjpeg",
    response={200: None, **ERRORS},
    operation_id="stream_pictures",
    summary="The pictures of a live session, for <img> and other clients",
    openapi_extra={"responses": {200: _STREAM}},
)
async def stream_pictures(
    request: HttpRequest,
    slug: str,
    max_fps: Annotated[float, Query(gt=0, le=240, description="Pictures a second.")] = 60.0,
    quality: Annotated[
        int | None, Field(ge=1, le=100, description="Hint to the producer, of JPEG.")
    ] = None,
) -> StreamingHttpResponse:
    """One picture after the other as `multipart/x-mixed-replace`, until the session ends."""
    info = await found_session(request, slug)
    await _source(worker_of(request), info)
    response = StreamingHttpResponse(
        _parts(request, info, 1.0 / max_fps, quality),
        content_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}",
    )
    response["Cache-Control"] = "no-store"
    # A proxy that collects would be the queue that there must not be.
    response["X-Accel-Buffering"] = "no"
    return response


@router.get(
    "sessions/{slug:slug}/snapshot.jpg",
    response={200: None, **ERRORS},
    operation_id="get_snapshot",
    summary="The newest picture of a live session",
    openapi_extra={"responses": {200: _PICTURE}},
)
async def get_snapshot(request: HttpRequest, slug: str) -> HttpResponse:
    """The newest picture, in the type that its producer sends."""
    info = await found_session(request, slug)
    source = await _source(worker_of(request), info)
    if source.newest is None:
        raise ApiError(404, f"Session {slug!r} has no picture yet.", code="not_ready")
    number, taken_at, picture = source.newest
    response = HttpResponse(picture, content_type=source.content_type)
    response["Cache-Control"] = "no-store"
    response["X-Frame"] = str(number)
    response["X-Time"] = f"{taken_at:.3f}"
    return response


async def _source(worker: Worker, info: SessionInfo) -> PictureSource:
    source = await worker.frames.pictures(info)
    if source is None:
        raise ApiError(
            404, f"Session {info.slug!r} has no pictures: expected a live session of kind media."
        )
    return source


async def _parts(
    request: HttpRequest, info: SessionInfo, pause: float, quality: int | None
) -> AsyncIterator[bytes]:
    """Parts of the stream; each is made when the client has taken the one before."""
    worker = worker_of(request)
    waiting = _Waiting()
    loop = asyncio.get_running_loop()
    last, review_at = -1, loop.time() + REVIEW_SECONDS
    worker.watch.add(info.slug, waiting)
    if quality is not None:
        worker.live.hints[waiting] = (info.slug, quality)
    try:
        while True:
            if loop.time() >= review_at:
                review_at = loop.time() + REVIEW_SECONDS
                try:
                    info = await found_session(request, info.slug)
                except ApiError:
                    return
            source = await worker.frames.pictures(info)
            if source is None:
                return
            waiting.more.clear()
            if source.newest is None or source.newest[0] <= last:
                try:
                    async with asyncio.timeout(REVIEW_SECONDS):
                        await waiting.more.wait()
                except TimeoutError:
                    pass
                continue
            last, _, picture = source.newest
            head = (
                f"--{BOUNDARY}\r\nContent-Type: {source.content_type}\r\n"
                f"Content-Length: {len(picture)}\r\n\r\n"
            )
            yield head.encode() + picture + b"\r\n"
            await asyncio.sleep(pause)
    finally:
        worker.watch.remove(info.slug, waiting)
        worker.live.hints.pop(waiting, None)
