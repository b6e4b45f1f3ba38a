"""HTTP caching: the entity tag is computed first, and the body built only if it is new.

Answers whose address carries the recording's version never change: `set_immutable`. All others
carry a weak ETag made from the session's version and its last change, and are revalidated each
time: `revalidated`, `about_session`. The bodies asked for last are kept, packed, so that the
thousands who open a page at the same moment cost one building and one packing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from ninja import Schema

from ..models import Session
from .compression import MIN_COMPRESSED, accepts_gzip, gzipped
from .kept import kept_of

BODY_FORMAT = 1
"""Raise it when the shape of any body changes: clients then fetch bodies that they have again."""
YEAR_SECONDS = 31_536_000
JSON = "application/json"

Build = Callable[[], Awaitable[Schema | bytes]]


def entity_tag(*parts: object) -> str:
    """A weak ETag (the body may be sent gzipped or plain) of everything that the body shows."""
    text = "\x1f".join(str(part) for part in (BODY_FORMAT, *parts))
    return f'W/"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def session_tag(session: Session, *parts: object) -> str:
    """The ETag of a body made from one session's rows or recording."""
    return entity_tag(
        session.pk,
        session.version,
        session.updated_at.isoformat(),
        session.state,
        session.progress,
        *parts,
    )


def matches(request: HttpRequest, tag: str) -> bool:
    """Whether If-None-Match names the tag (weak comparison, RFC 9110 section 13.1.2)."""
    header = request.headers.get("If-None-Match", "")
    if not header:
        return False
    known = parse_etags(header)
    return "*" in known or tag.removeprefix("W/") in {t.removeprefix("W/") for t in known}


def set_revalidated(response: HttpResponseBase, tag: str, *, shared: bool) -> None:
    """To be kept, but asked about before each use. shared: by proxies too."""
    response["ETag"] = tag
    response["Cache-Control"] = "public, no-cache" if shared else "private, no-cache"
    if not shared:
        patch_vary_headers(response, ("Cookie", "Authorization"))


def set_immutable(response: HttpResponseBase, tag: str, *, shared: bool) -> None:
    """To be kept for good: the address names the content.

    Only where everybody may see it: a browser that need not ask would show a session to whoever
    may not watch it any more.
    """
    if not shared:
        set_revalidated(response, tag, shared=False)
        return
    response["ETag"] = tag
    response["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"


async def about_session(
    request: HttpRequest, session: Session, build: Build, *names: str, personal: bool = False
) -> HttpResponse:
    """`revalidated`, for a body made from one session's rows or recording.

    Args:
        request: the client's.
        session: what the body is about.
        build: makes it.
        names: tell it from the session's other bodies.
        personal: not everybody who may see the session gets the same.
    """
    shared = session.access == Session.Access.PUBLIC and not personal
    return await revalidated(request, session_tag(session, *names), build, shared=shared)


async def revalidated(
    request: HttpRequest,
    tag: str,
    build: Build,
    *,
    shared: bool,
    content_type: str = JSON,
) -> HttpResponse:
    """304 if the client has the body already, else the body that `build` makes, or made before.

    tag: names everything that the body depends on. build: returns a schema (sent as JSON) or the
    bytes themselves. shared: whether all clients get the same answer.
    """
    if matches(request, tag):
        response = HttpResponse(status=304)
        del response["Content-Type"]
        set_revalidated(response, tag, shared=shared)
        return response
    bodies = kept_of(request).bodies
    known = bodies.get(tag)
    if known is None:
        body = await build()
        plain = body if isinstance(body, bytes) else body.model_dump_json(by_alias=True).encode()
        packed = await gzipped(plain) if len(plain) >= MIN_COMPRESSED else b""
        bodies.put(tag, plain, packed)
    else:
        plain, packed = known
    if packed and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        response = HttpResponse(packed, content_type=content_type)
        response["Content-Encoding"] = "gzip"
    else:
        response = HttpResponse(plain, content_type=content_type)
    patch_vary_headers(response, ("Accept-Encoding",))
    set_revalidated(response, tag, shared=shared)
    return response
