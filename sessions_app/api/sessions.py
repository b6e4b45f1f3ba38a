"""Sessions: the list, one of them, its geometry, events and laps."""

from __future__ import annotations

from typing import Annotated, Literal

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from ..access import listing
from ..models import Entity, Session
from ..visitors import listed
from . import bodies
from .caching import about_session, entity_tag, revalidated
from .errors import ApiError, ErrorOut
from .recordings import schema_of
from .schemas import (
    ClassificationOut,
    EventsOut,
    GeometryOut,
    ImportReportOut,
    LapsOut,
    SessionDetail,
    SessionOut,
    SessionPage,
)
from .visitors import is_staff, session_for, visitor_of

router = Router(tags=["sessions"])

ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}
MAX_FRAME = 2**31 - 1
"""Frame numbers fit the database's integers."""
_TEXT = r"^[^\x00]*$"
"""PostgreSQL has no NUL in texts."""


class SessionFilter(Schema):
    """What to list."""

    kind: str | None = Field(None, max_length=20, pattern=_TEXT, description="race, play…")
    year: int | None = Field(None, ge=0, le=9999)
    state: Literal["pending", "importing", "ready", "failed", "live"] | None = None
    text: str | None = Field(
        None, max_length=100, pattern=_TEXT, description="In the title, the slug or an entity."
    )
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(50, ge=1, le=100)


@router.get(
    "sessions",
    response={200: SessionPage, 401: ErrorOut, 422: ErrorOut},
    operation_id="list_sessions",
    summary="List sessions",
    by_alias=True,
)
async def list_sessions(
    request: HttpRequest, filters: Annotated[SessionFilter, Query()]
) -> HttpResponse:
    """Sessions that the visitor may see, latest first, one page at a time."""
    allowed = listing(await visitor_of(request))
    sessions = _filtered(filters).filter(listed(allowed))
    about = await sessions.aaggregate(count=Count("pk"), newest=Max("updated_at"), ids=Sum("pk"))
    tag = entity_tag("sessions", allowed, filters.model_dump_json(), *about.values())

    async def build() -> SessionPage:
        count = about["count"]
        first = (filters.page - 1) * filters.page_size
        page = sessions.defer("metadata", "report").annotate(entity_count=Count("entities"))
        ordered = page.order_by(F("start_time").desc(nulls_last=True), "slug")
        return SessionPage(
            items=[
                SessionOut(**bodies.summary(s, s.entity_count))
                async for s in ordered[first : first + filters.page_size]
            ],
            count=count,
            page=filters.page,
            pages=max(1, -(-count // filters.page_size)),
            page_size=filters.page_size,
        )

    return await revalidated(request, tag, build, shared=False)


def _filtered(filters: SessionFilter) -> QuerySet[Session]:
    sessions = Session.objects.all()
    if filters.kind is not None:
        sessions = sessions.filter(kind=filters.kind)
    if filters.year is not None:
        sessions = sessions.filter(year=filters.year)
    if filters.state is not None:
        sessions = sessions.filter(state=filters.state)
    if filters.text:
        text = filters.text.strip()
        named = Entity.objects.filter(session=OuterRef("pk")).filter(
            Q(code__iexact=text) | Q(name__icontains=text)
        )
        sessions = sessions.filter(
            Q(title__icontains=text) | Q(slug__icontains=text) | Exists(named)
        )
    return sessions


@router.get(
    "sessions/{slug:slug}",
    response={200: SessionDetail, **ERRORS, 503: ErrorOut},
    operation_id="get_session",
    summary="One session",
    by_alias=True,
)
async def get_session(request: HttpRequest, slug: str) -> HttpResponse:
    """Metadata, schema, entities, state and progress; `loading` until it can be watched."""
    session = await session_for(request, slug)
    # Staff and others get different answers only where an import has a message.
    staff = bool(session.message) and await is_staff(request)

    async def build() -> SessionDetail:
        schema = await schema_of(request, session)
        return await bodies.detail(session, schema, staff=staff)

    names = ("session", "staff") if staff else ("session",)
    return await about_session(request, session, build, *names, personal=staff)


@router.get(
    "sessions/{slug:slug}/geometry",
    response={200: GeometryOut, **ERRORS},
    operation_id="get_geometry",
    summary="Geometry of a session",
)
async def get_geometry(request: HttpRequest, slug: str) -> HttpResponse:
    """Centre line, edges, sectors, corners, bounds and rotation, in the unit of x and y."""
    session = await session_for(request, slug)

    async def build() -> GeometryOut:
        found = await bodies.geometry(session)
        if found is None:
            raise ApiError(404, f"Session {slug!r} has no geometry.", code="no_geometry")
        return found

    return await about_session(request, session, build, "geometry")


class EventFilter(Schema):
    """Which events."""

    kind: str | None = Field(
        None, max_length=200, pattern=_TEXT, description="One kind, or several with commas."
    )
    entity: str | None = Field(None, max_length=40, pattern=_TEXT, description="Code.")
    from_frame: int = Field(0, ge=0, le=MAX_FRAME, alias="from")
    to_frame: int = Field(MAX_FRAME, ge=0, le=MAX_FRAME, alias="to", description="Exclusive.")


@router.get(
    "sessions/{slug:slug}/events",
    response={200: EventsOut, **ERRORS},
    operation_id="get_events",
    summary="Events of a session",
)
async def get_events(
    request: HttpRequest, slug: str, filters: Annotated[EventFilter, Query()]
) -> HttpResponse:
    """Flags, safety car, pit stops, retirements, race control… in the order of their frames."""
    session = await session_for(request, slug)

    async def build() -> EventsOut:
        events = session.events.filter(frame__gte=filters.from_frame, frame__lt=filters.to_frame)
        if filters.kind is not None:
            events = events.filter(kind__in=[k.strip() for k in filters.kind.split(",")])
        if filters.entity is not None:
            events = events.filter(entity=filters.entity)
        return await bodies.events(session, events)

    return await about_session(request, session, build, "events", filters.model_dump_json())


@router.get(
    "sessions/{slug:slug}/laps",
    response={200: LapsOut, **ERRORS},
    operation_id="get_laps",
    summary="Laps and stints of a session",
)
async def get_laps(
    request: HttpRequest,
    slug: str,
    entity: Annotated[
        str | None, Query(max_length=40, pattern=_TEXT, description="Code; else all.")
    ] = None,
) -> HttpResponse:
    """Lap and sector times, positions and pit stops by entity and number; stints beside them."""
    session = await session_for(request, slug)

    async def build() -> LapsOut:
        return await bodies.laps(session, entity)

    return await about_session(request, session, build, "laps", entity or "")


@router.get(
    "sessions/{slug:slug}/classification",
    response={200: ClassificationOut, **ERRORS},
    operation_id="get_classification",
    summary="Final classification of a session",
)
async def get_classification(request: HttpRequest, slug: str) -> HttpResponse:
    """The final order with time penalties and disqualifications, and the order on the road."""
    session = await session_for(request, slug)

    async def build() -> ClassificationOut:
        return await bodies.classification(session)

    return await about_session(request, session, build, "classification")


@router.get(
    "sessions/{slug:slug}/report",
    response={200: ImportReportOut, **ERRORS},
    operation_id="get_report",
    summary="Report of a session's import",
)
async def get_report(request: HttpRequest, slug: str) -> HttpResponse:
    """What the import left out and why, what it read and what is a guess. Examples name files and
    values of the source: for staff only."""
    session = await session_for(request, slug)
    staff = await is_staff(request)

    async def build() -> ImportReportOut:
        report = await bodies.report(session, staff=staff)
        if report is None:
            raise ApiError(404, f"Session {slug!r} has no import report.", code="no_report")
        return report

    name = "staff" if staff else ""
    return await about_session(request, session, build, "report", name, personal=True)
