"""Files as HTTP answers: read as fast as they are sent, whole or the part that `Range` names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from django.http import HttpRequest, StreamingHttpResponse

from sessions_app.api.errors import ApiError

from .byte_ranges import Unsatisfiable, requested_range

CHUNK_BYTES = 256 * 1024
"""Read at once while a file is downloaded: a few wake-ups a second at 10 Mbit/s."""


class FileChunks:
    """A part of a file, read in threads as fast as it is sent. Holds the file open, so that a new
    import cannot take it away half-way. Raises: OSError when made."""

    def __init__(self, path: Path) -> None:
        """Blocking. All of the file, until `limit` says less."""
        self._stream: BinaryIO = path.open("rb")
        self.size = self._stream.seek(0, 2)
        self._at, self._stop = 0, self.size

    def limit(self, start: int, stop: int) -> None:
        """Only bytes start … stop - 1."""
        self._at, self._stop = start, stop

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while chunk := await asyncio.to_thread(self._read):
                yield chunk
        finally:
            self.close()

    def _read(self) -> bytes:
        self._stream.seek(self._at)
        chunk = self._stream.read(min(CHUNK_BYTES, self._stop - self._at))
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        """Called by Django too, when the client has gone or only asked for the head."""
        self._stream.close()


def file_answer(
    request: HttpRequest, chunks: FileChunks, tag: str, *, content_type: str, name: str
) -> StreamingHttpResponse:
    """The whole file, or with 206 the part that `Range` names.

    Args:
        request: with `Range` and `If-Range`, or without.
        chunks: of the file; closed when the answer is.
        tag: the file's strong ETag, quoted.
        content_type: of the file.
        name: under which a browser saves it.

    Raises: ApiError 416 for a part behind its end.
    """
    header = request.headers.get("Range", "")
    if request.headers.get("If-Range", tag) != tag:
        header = ""
    try:
        part = requested_range(header, chunks.size)
    except Unsatisfiable as error:
        chunks.close()
        raise ApiError(
            416,
            f"Range {header!r}: {name} has {chunks.size} bytes.",
            headers={"Content-Range": f"bytes */{chunks.size}"},
        ) from error
    start, stop = part or (0, chunks.size)
    chunks.limit(start, stop)
    response = StreamingHttpResponse(
        chunks, status=200 if part is None else 206, content_type=content_type
    )
    if part is not None:
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{chunks.size}"
    response["Accept-Ranges"] = "bytes"
    response["Content-Length"] = str(stop - start)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
