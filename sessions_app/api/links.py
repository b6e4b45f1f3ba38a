"""REST for share links: whoever may change a session lets others watch it for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import AwareDatetime, Field

from ..access import Action
from ..credentials import make_link
from ..models import ShareLink
from .errors import ApiError, ErrorOut
from .visitors import session_for, visitor_of

router = Router(tags=["links"])
ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}
USUAL = timedelta(days=7)
LONGEST = timedelta(days=366)
MOST = 1_000
"""Links of one session that still count."""


class LinkIn(Schema):
    """A link to be made."""

    expires: AwareDatetime | None = Field(
        None, description="At most 366 days from now; left out: in 7 days."
    )
    scope: Literal["watch"] = "watch"


class LinkOut(Schema):
    """A link, without its secret."""

    id: int
    scope: str
    created: datetime
    created_by: str = Field(description="User name; empty if made by a program.")
    expires: datetime
    last_used: datetime | None = Field(description="Exact to a minute.")
    revoked: datetime | None


class NewLinkOut(LinkOut):
    """A link that was just made."""

    link: str = Field(description="For ?link= of REST and sockets. Shown this once.")
    url: str = Field(description="The page, with the link in it. Shown this once.")


class LinksOut(Schema):
    """All links of a session."""

    links: list[LinkOut]


@router.get(
    "sessions/{slug:slug}/links",
    response={200: LinksOut, **ERRORS},
    operation_id="list_links",
    summary="Share links of a session",
    openapi_extra={"security": [{"token": []}, {"login": []}]},
)
async def list_links(request: HttpRequest, response: HttpResponse, slug: str) -> LinksOut:
    """Newest first, revoked and expired ones included."""
    session = await session_for(request, slug, Action.EDIT)
    response["Cache-Control"] = "private, no-store"
    rows = session.share_links.select_related("created_by").order_by("-created_at", "-pk")
    return LinksOut(links=[LinkOut(**_shown(row)) async for row in rows[: 2 * MOST]])


@router.post(
    "sessions/{slug:slug}/links",
    response={201: NewLinkOut, **ERRORS},
    operation_id="make_link",
    summary="Make a share link",
    openapi_extra={"security": [{"token": []}, {"login": []}]},
)
async def make(
    request: HttpRequest, response: HttpResponse, slug: str, wanted: LinkIn
) -> Status[NewLinkOut]:
    """Whoever has it may watch this session until it expires or is revoked."""
    session = await session_for(request, slug, Action.EDIT)
    response["Cache-Control"] = "private, no-store"
    now = timezone.now()
    expires = wanted.expires or now + USUAL
    if not now < expires <= now + LONGEST:
        raise ApiError(422, f"expires: expected a time within {LONGEST.days} days from now.")
    counting = session.share_links.filter(revoked_at=None, expires_at__gt=now)
    if await counting.acount() >= MOST:
        raise ApiError(422, f"Session {slug!r} has {MOST} links: revoke some first.")
    user = (await visitor_of(request)).user
    row, text = await sync_to_async(make_link)(session, expires, user)
    fresh = await ShareLink.objects.select_related("created_by").aget(pk=row.pk)
    url = request.build_absolute_uri(f"/sessions/{slug}/?link={quote(text)}")
    return Status(201, NewLinkOut(**_shown(fresh), link=text, url=url))


@router.delete(
    "sessions/{slug:slug}/links/{int:link_id}",
    response={204: None, **ERRORS},
    operation_id="revoke_link",
    summary="Revoke a share link",
    openapi_extra={"security": [{"token": []}, {"login": []}]},
)
async def revoke(
    request: HttpRequest, response: HttpResponse, slug: str, link_id: int
) -> Status[None]:
    """Whoever watches by it is told so and closed within five seconds."""
    session = await session_for(request, slug, Action.EDIT)
    response["Cache-Control"] = "private, no-store"
    rows = session.share_links.filter(pk=link_id) if link_id < 2**63 else ShareLink.objects.none()
    if not await rows.aexists():
        raise ApiError(404, f"Session {slug!r} has no link {link_id}.")
    await rows.filter(revoked_at=None).aupdate(revoked_at=timezone.now())
    return Status(204, None)


def _shown(row: ShareLink) -> dict[str, Any]:
    return {
        "id": row.pk,
        "scope": row.scope,
        "created": row.created_at,
        "created_by": "" if row.created_by is None else str(row.created_by),
        "expires": row.expires_at,
        "last_used": row.last_used_at,
        "revoked": row.revoked_at,
    }
