"""REST for exports: a session as a file of another format."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Literal

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import Query, Router, Schema
from pydantic import Field

from sessions_app.access import Action
from sessions_app.api.caching import matches, set_revalidated
from sessions_app.api.errors import ApiError, ErrorOut
from sessions_app.exporting import FORMATS, ExportRefused
from sessions_app.exports import Export, export_of
from sessions_app.models import Session

from ..store.export_makers import TooManyExports
from ..worker import worker_of
from .files import FileChunks, file_answer
from .frames import found_session

router = Router(tags=["exports"])

WAIT_SECONDS = 2.0
"""How long a request waits for a small export before it is told to ask again."""
RETRY_SECONDS = 1

ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut, 503: ErrorOut}
_FILE = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}


class ExportOut(Schema):
    """An export that is being made; ask again for the file."""

    state: Literal["making"]
    progress: float = Field(description="0 to 1; 0 also while another export is being made.")
    format: str


@router.get(
    "sessions/{slug:slug}/export",
    response={200: None, 202: ExportOut, 206: None, **ERRORS, 416: ErrorOut},
    operation_id="get_export",
    summary="The session as a file of another format",
    openapi_extra={"responses": {200: _FILE, 206: _FILE}},
)
async def get_export(
    request: HttpRequest,
    slug: str,
    format: Annotated[
        Literal["mcap", "parquet", "csv", "json", "geojson"] | None,
        Query(description="Of the file; it must be given."),
    ] = None,
    rate: Annotated[
        float | None,
        Query(gt=0, le=1000, description="Moments a second; else what is usual of the format."),
    ] = None,
) -> HttpResponseBase:
    """The file, or the part that `Range` names; 202 and `Retry-After` while it is being made."""
    info = await found_session(request, slug, None, Action.EXPORT)
    session = await Session.objects.defer("report").filter(slug=slug).afirst()
    if session is None:
        raise ApiError(404, f"There is no session {slug!r}; /api/sessions lists them.")
    if format is None:
        raise ApiError(422, f"format: expected one of {', '.join(FORMATS)}.")
    try:
        export = export_of(session, format, rate)
    except ExportRefused as error:
        raise ApiError(422, f"{error}.", code="not_exportable") from error
    shared = info.access == Session.Access.PUBLIC
    tag = f'"{session.version}.{export.stride}.{format}"'
    chunks = await asyncio.to_thread(_opened, export)
    if chunks is None:
        answer = await _made(request, export, rate)
        if answer is not None:
            return answer
        chunks = await asyncio.to_thread(_opened, export)
        if chunks is None:
            raise ApiError(503, "The export was removed again; ask once more.", code="not_ready")
    if matches(request, tag):
        chunks.close()
        unchanged = HttpResponse(status=304)
        del unchanged["Content-Type"]
        set_revalidated(unchanged, tag, shared=shared)
        return unchanged
    response = file_answer(
        request, chunks, tag, content_type=export.format.media_type, name=export.file_name
    )
    set_revalidated(response, tag, shared=shared)
    return response


async def _made(request: HttpRequest, export: Export, rate: float | None) -> HttpResponse | None:
    """Have it made; None once it is there, else how far it has come. Raises: ApiError 422, 503."""
    arguments = [export.session.slug, "--format", export.format.name, "--keep"]
    if rate is not None:
        arguments += ["--rate", repr(rate)]
    try:
        makers = worker_of(request).exports
        ended = await makers.make(export.path.name, arguments, WAIT_SECONDS)
    except TooManyExports as error:
        raise ApiError(
            503,
            "Other exports are being made; ask again later.",
            code="busy",
            headers={"Retry-After": "10"},
        ) from error
    fraction, problem = await sync_to_async(_state)(export)
    if problem:
        raise ApiError(422, f"This export failed: {problem}.", code="not_exportable")
    if fraction is None:
        return None
    if ended:
        raise ApiError(503, "The export could not be made; the log says why.", code="export_failed")
    body = {"state": "making", "progress": fraction, "format": export.format.name}
    response = JsonResponse(body, status=202)
    response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def _opened(export: Export) -> FileChunks | None:
    """The file, if it has been made. That it is used now is noted in its time of change."""
    try:
        chunks = FileChunks(export.path)
        os.utime(export.path)
    except FileNotFoundError:
        return None
    return chunks


def _state(export: Export) -> tuple[float | None, str]:
    """(fraction done, or None if it is there; why it failed, said once)."""
    if export.path.exists():
        return None, ""
    fraction, problem = export.progress()
    if problem:
        export.progress_path.unlink(missing_ok=True)
    return fraction, problem
