"""POST uploads: files on their way to be imported, streamed to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from ninja import Router, Status

from ..access import Action
from ..unpacking import UnsafeArchive
from ..uploads import Incoming, Upload, remove_leftovers
from .allowances import upload_allowance
from .errors import ApiError, ErrorOut
from .schemas import UploadOut
from .streamed_body import BodyCutOff, body_of, leave_body
from .visitors import require, visitor_of

router = Router(tags=["sessions"])

REQUEST = ("POST", "/api/uploads")
"""The request whose body is streamed, and may be as large as UPLOAD_MB says."""
OVERHEAD = 4 * 1024 * 1024
"""Bytes of a body beside its files: boundaries and headers of 5,000 parts, some 500 each."""
MAX_PART_HEADER = 16 * 1024
"""Bytes: a path of nine names of 255 bytes, each written with up to four, and the rest."""


@router.post(
    "uploads",
    response={201: UploadOut, **dict.fromkeys((400, 401, 403, 413, 422, 429, 507), ErrorOut)},
    operation_id="upload",
    summary="Upload files to import",
    openapi_extra={
        "security": [{"token": []}, {"login": []}],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                                "description": "One archive (zip, tar, tar.gz), or the files of "
                                "a recording; a filename may have folders: race/laps.csv.",
                            }
                        },
                        "required": ["file"],
                    }
                }
            },
        },
    },
)
async def upload(request: HttpRequest) -> Status[UploadOut]:
    """Whoever may import may upload. The body is read after that is decided, and goes to disk as it
    comes; what is refused or cut off leaves nothing there. Import it with POST sessions."""
    leave_body(request)
    visitor = await visitor_of(request)
    require(visitor, request, Action.UPLOAD)
    spend = upload_allowance(request, visitor, _announced(request))
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise ApiError(422, "Content-Type: expected multipart/form-data with the files.")
    await sync_to_async(remove_leftovers)()
    try:
        incoming = await asyncio.to_thread(Incoming, settings.IMPORT_BOUNDS, settings.UPLOAD_BYTES)
        try:
            await _receive(request, options["boundary"], incoming, spend)
            whole = await asyncio.to_thread(incoming.finish)
        finally:
            await asyncio.shield(asyncio.to_thread(incoming.discard))
    except UnsafeArchive as error:
        raise ApiError(422, f"{error}.", code="upload_refused") from error
    except MultipartError as error:
        raise ApiError(400, f"{error}: expected multipart/form-data.") from error
    except BodyCutOff as error:
        raise ApiError(400, "The connection ended before the upload did.") from error
    except OSError as error:
        raise ApiError(
            507, f"The upload cannot be kept: {error.strerror}.", code="no_space"
        ) from error
    return Status(201, _answer(whole, incoming))


def _announced(request: HttpRequest) -> int:
    """Bytes that are to come, as the client says; 0 if it does not."""
    text = request.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else 0


async def _receive(
    request: HttpRequest, boundary: str, incoming: Incoming, spend: Callable[[int], None]
) -> None:
    with PushMultipartParser(
        boundary,
        max_header_size=MAX_PART_HEADER,
        # Beside the files a form may have a few fields, which count for nothing.
        max_segment_count=settings.IMPORT_BOUNDS.files + 100,
        strict=True,
    ) as parser:
        async for data in body_of(request):
            spend(len(data))
            await asyncio.to_thread(_take, parser, data, incoming)


def _take(parser: PushMultipartParser, data: bytes, incoming: Incoming) -> None:
    """In a thread, because a disk may be slow."""
    with incoming.writing() as wanted:
        if not wanted:
            return
        for event in parser.parse(data):
            if isinstance(event, MultipartSegment):
                if event.filename:
                    incoming.begin_file(event.filename)
            elif event is None:
                incoming.end_file()
            else:
                incoming.write(event)


def _answer(whole: Upload, incoming: Incoming) -> UploadOut:
    return UploadOut(
        upload=whole.id,
        name=whole.path.name,
        files=incoming.files,
        bytes=incoming.size,
        expires=datetime.fromtimestamp(whole.expires, UTC),
    )
