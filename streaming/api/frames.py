"""REST for what was recorded frame by frame: frame ranges, segments, the recording file.

Segments and recordings have the recording's version in their address and never change, so that
browsers and CDNs may keep them for good.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import msgpack
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from ninja import Query, Router, Schema
from pydantic import Field

from sessions_app.access import Action
from sessions_app.api.caching import JSON, entity_tag, matches, revalidated, set_immutable
from sessions_app.api.errors import ApiError, ErrorOut
from sessions_app.api.visitors import require_for
from sessions_app.models import Session
from sessions_app.recording import InvalidColumns, RecordingError

from ..store.catalogue import SessionInfo
from ..store.frame_store import SegmentKey
from ..store.open_recordings import StaleVersion
from ..store.subset import subset_key
from ..store.thinning import STRIDES
from ..worker import worker_of
from .files import FileChunks, file_answer

router = Router(tags=["frames"])

MAX_FRAMES = 1_000
DEFAULT_FRAMES = 100
MAX_FRAME = 2**31 - 1
BINARY = "application/octet-stream"
MSGPACK = "application/msgpack"
_MSGPACK_NAMES = (MSGPACK, "application/x-msgpack", "application/vnd.msgpack")
_LIVE_CACHE = "no-store"
"""The last segment of a live session still grows."""

ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut, 503: ErrorOut}
_BYTES = {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}


class FramesOut(Schema):
    """Frames from, from + stride, … before to; each as docs/protocol.md describes a row."""

    first: int = Field(alias="from")
    end: int = Field(alias="to", description="Exclusive; less than asked for at the end.")
    stride: int
    frames: list[dict[str, object]]


class FrameRange(Schema):
    """Which frames."""

    first: int = Field(0, ge=0, le=MAX_FRAME, alias="from")
    end: int | None = Field(
        None,
        ge=1,
        le=MAX_FRAME,
        alias="to",
        description=f"Exclusive; {DEFAULT_FRAMES} frames if not given.",
    )
    stride: int = Field(1, ge=1, le=max(STRIDES), description=f"One of {list(STRIDES)}.")
    fields: str | None = Field(None, max_length=500, description="Field names with commas.")
    entities: str | None = Field(None, max_length=2000, description="Codes with commas.")

    def count(self, frame_count: int) -> int:
        """Frames asked for. Raises: ApiError 422, 404."""
        if self.stride not in STRIDES:
            raise ApiError(422, f"stride {self.stride}: expected one of {list(STRIDES)}.")
        if self.first >= frame_count:
            raise ApiError(
                404, f"from {self.first}: the session has frames 0 to {frame_count - 1}."
            )
        end = self.first + DEFAULT_FRAMES * self.stride if self.end is None else self.end
        if end <= self.first:
            raise ApiError(422, f"to {end}: expected more than from ({self.first}).")
        count = -(-(end - self.first) // self.stride)
        if count > MAX_FRAMES:
            raise ApiError(
                422,
                f"{count} frames: at most {MAX_FRAMES} at once; ask for fewer, or a larger stride.",
            )
        return min(count, -(-(frame_count - self.first) // self.stride))


@router.get(
    "sessions/{slug:slug}/frames",
    response={200: FramesOut, **ERRORS, 406: ErrorOut},
    operation_id="get_frames",
    summary="A range of frames",
    by_alias=True,
    openapi_extra={
        "responses": {200: {"content": {MSGPACK: {"schema": {"type": "string"}}}}},
    },
)
async def get_frames(
    request: HttpRequest, slug: str, wanted: Annotated[FrameRange, Query()]
) -> HttpResponse:
    """At most 1,000 frames as JSON or, by `Accept`, msgpack: the same map either way."""
    info = await found_session(request, slug)
    _require_recording(info)
    count = wanted.count(info.frame_count)
    content_type = _negotiated(request)
    tag = entity_tag(
        "frames", info.version, info.lap_length, info.frame_count, content_type,
        wanted.model_dump_json(),
    )  # fmt: skip

    async def build() -> bytes:
        store = worker_of(request).frames
        try:
            schema = await store.schema(info)
            subset = subset_key(schema, _names(wanted.fields), _names(wanted.entities))
            rows = await store.rows(info, wanted.first, count, wanted.stride, subset)
        except InvalidColumns as error:
            raise ApiError(422, f"{error}.") from error
        except (OSError, RecordingError, StaleVersion) as error:
            raise _unreadable(request, info, error) from error
        end = min(wanted.first + count * wanted.stride, info.frame_count)
        head = {"from": wanted.first, "to": end, "stride": wanted.stride}
        if content_type == JSON:
            return await asyncio.to_thread(_as_json, head, rows)
        return _as_msgpack(head, rows)

    response = await revalidated(
        request,
        tag,
        build,
        shared=info.access == Session.Access.PUBLIC,
        content_type=content_type,
    )
    patch_vary_headers(response, ("Accept",))
    return response


def _negotiated(request: HttpRequest) -> str:
    """JSON or msgpack, as the client prefers. Raises: ApiError 406."""
    preferred = request.get_preferred_type([JSON, *_MSGPACK_NAMES])
    if preferred is None:
        raise ApiError(406, f"Accept: expected {JSON} or {MSGPACK}.")
    return JSON if preferred == JSON else MSGPACK


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _as_json(head: dict[str, int], rows: list[bytes]) -> bytes:
    body = {**head, "frames": [msgpack.unpackb(row) for row in rows]}
    return json.dumps(body, separators=(",", ":")).encode()


def _as_msgpack(head: dict[str, int], rows: list[bytes]) -> bytes:
    """The rows are copied in as they are: they were encoded once for all clients."""
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(head) + 1)
    for name, value in head.items():
        packer.pack(name)
        packer.pack(value)
    packer.pack("frames")
    packer.pack_array_header(len(rows))
    return b"".join((packer.bytes(), *rows))


@router.get(
    "sessions/{slug:slug}/{slug:version}/segments/{int:stride}/{int:index}",
    response={200: None, **ERRORS},
    operation_id="get_segment",
    summary="The bytes of a segment",
    openapi_extra={"responses": {200: _BYTES}},
)
async def get_segment(
    request: HttpRequest, slug: str, version: str, stride: int, index: int
) -> HttpResponse:
    """Raw deflate of the layout in docs/recording-format.md; never changes."""
    info = await found_session(request, slug, version)
    if stride not in STRIDES:
        raise ApiError(404, f"stride {stride}: expected one of {list(STRIDES)}.")
    key = SegmentKey(version, stride, index)
    tag = f'"{version}-{stride}-{index}"'
    if matches(request, tag) and not info.is_live:
        response = HttpResponse(status=304)
        del response["Content-Type"]
    else:
        store = worker_of(request).frames
        try:
            response = HttpResponse(await store.segment(info, key), content_type=BINARY)
        except (IndexError, OverflowError) as error:
            raise ApiError(
                404, f"segment {index} of stride {stride}: {info.frame_count} frames end before it."
            ) from error
        except (OSError, RecordingError, StaleVersion) as error:
            raise _unreadable(request, info, error) from error
    _set_caching(response, info, tag)
    return response


@router.get(
    "sessions/{slug:slug}/{slug:version}/recording",
    response={200: None, 206: None, **ERRORS, 416: ErrorOut},
    operation_id="get_recording",
    summary="The recording file",
    openapi_extra={"responses": {200: _BYTES, 206: _BYTES}},
)
async def get_recording(request: HttpRequest, slug: str, version: str) -> HttpResponseBase:
    """The whole file (MCAP), or the part that `Range` names."""
    info = await found_session(request, slug, version, Action.EXPORT)
    tag = f'"{version}"'
    try:
        chunks = await asyncio.to_thread(FileChunks, info.path)
    except OSError as error:
        raise _unreadable(request, info, error) from error
    if matches(request, tag) and not info.is_live:
        chunks.close()
        unchanged = HttpResponse(status=304)
        del unchanged["Content-Type"]
        _set_caching(unchanged, info, tag)
        return unchanged
    response = file_answer(request, chunks, tag, content_type=BINARY, name=f"{slug}-{version}.mcap")
    _set_caching(response, info, tag)
    return response


async def found_session(
    request: HttpRequest, slug: str, version: str | None = None, action: Action = Action.WATCH
) -> SessionInfo:
    """The session, of that version if one is given. Raises: ApiError 404, 401, 403."""
    catalogue = worker_of(request).catalogue
    info = await catalogue.find(slug)
    if info is not None and version is not None and info.version != version:
        # A recording that has just been made may be newer than what is remembered.
        catalogue.forget(slug)
        catalogue = worker_of(request).catalogue
    info = await catalogue.find(slug)
    if info is None:
        raise ApiError(404, f"There is no session {slug!r}; /api/sessions lists them.")
    await require_for(request, info.facts, action)
    if version is not None:
        _require_recording(info)
        if info.version != version:
            raise ApiError(
                404,
                f"Session {slug!r} is now version {info.version}, no longer {version}: "
                f"/api/sessions/{slug}/{info.version}/… has it.",
                code="version_gone",
            )
    return info


def _require_recording(info: SessionInfo) -> None:
    if not info.version or not info.frame_count:
        raise ApiError(
            404,
            f"Session {info.slug!r} has no recording yet: {info.state}, {info.progress:g} %.",
            code="not_ready",
        )


def _set_caching(response: HttpResponseBase, info: SessionInfo, tag: str) -> None:
    if info.is_live:
        response["Cache-Control"] = _LIVE_CACHE
    else:
        set_immutable(response, tag, shared=info.access == Session.Access.PUBLIC)


def _unreadable(request: HttpRequest, info: SessionInfo, error: Exception) -> ApiError:
    worker_of(request).catalogue.forget(info.slug)
    if isinstance(error, StaleVersion):
        return ApiError(503, f"{error}.", code="version_gone", headers={"Retry-After": "1"})
    return ApiError(
        503,
        f"The recording of {info.slug!r} cannot be read; `manage.py verify_recording {info.slug}` "
        f"says why ({type(error).__name__}).",
        code="recording_unavailable",
    )
