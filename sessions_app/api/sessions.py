"""Sessions: the list, one of them, its geometry, events and laps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from ..access import listing
from ..jobs import FAILED
from ..models import Entity, Geometry, ImportJob, Session
from ..visitors import listed
from .caching import about_session, entity_tag, revalidated
from .errors import ApiError, ErrorOut
from .recordings import schema_of
from .schemas import (
    BoundsOut,
    ClassificationOut,
    EntityOut,
    EventOut,
    EventsOut,
    GeometryOut,
    ImportReportOut,
    JobOut,
    LapOut,
    LapsOut,
    RecordingSchemaOut,
    SessionDetail,
    SessionLinks,
    SessionOut,
    SessionPage,
    StintOut,
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
                SessionOut(**_summary(s, s.entity_count))
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


def _summary(session: Session, entity_count: int) -> dict[str, Any]:
    """The fields of `SessionOut`."""
    return {
        "slug": session.slug,
        "title": session.title,
        "kind": session.kind,
        "state": session.state,
        "access": session.access,
        "loading": session.loading,
        "progress": session.progress,
        "message": session.message,
        "year": session.year,
        "round": session.round,
        "start_time": session.start_time,
        "duration": session.duration,
        "frame_rate": session.frame_rate,
        "frame_count": session.frame_count,
        "version": session.version,
        "entity_count": entity_count,
    }


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
        entities = [
            EntityOut(**row)
            async for row in session.entities.values(
                "index", "code", "name", "number", "team", "colour", "kind", "attributes"
            ).order_by("index")
        ]
        job = await ImportJob.objects.filter(session=session).order_by("-created_at").afirst()
        metadata = await Session.objects.values_list("metadata", flat=True).aget(pk=session.pk)
        schema = await schema_of(request, session)
        return SessionDetail(
            **_summary(session, len(entities)),
            metadata=metadata,
            schema=None if schema is None else RecordingSchemaOut(**schema.as_dict()),
            entities=entities,
            job=None if job is None else _job(job, staff),
            links=_links(session),
        )

    names = ("session", "staff") if staff else ("session",)
    return await about_session(request, session, build, *names, personal=staff)


def _job(job: ImportJob, staff: bool) -> JobOut:
    """Why an import failed may show paths of this machine and values of the source."""
    out = JobOut.from_orm(job)
    if job.error and not staff:
        out.error = out.message = FAILED
    return out


def _links(session: Session) -> SessionLinks:
    base = f"/api/sessions/{session.slug}"
    versioned = f"{base}/{session.version}" if session.version else None
    return SessionLinks(
        page=f"/sessions/{session.slug}/",
        socket=f"/ws/sessions/{session.slug}/",
        geometry=f"{base}/geometry",
        events=f"{base}/events",
        laps=f"{base}/laps",
        standings=f"{base}/standings",
        classification=f"{base}/classification",
        report=f"{base}/report",
        frames=f"{base}/frames",
        segments=versioned and f"{versioned}/segments",
        recording=versioned and f"{versioned}/recording",
    )


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
        geometry = await Geometry.objects.filter(session=session).afirst()
        if geometry is None:
            raise ApiError(404, f"Session {slug!r} has no geometry.", code="no_geometry")
        shapes = geometry.shapes
        return GeometryOut(
            kind=geometry.kind,
            unit=geometry.unit,
            bounds=BoundsOut(
                x_min=geometry.x_min,
                y_min=geometry.y_min,
                x_max=geometry.x_max,
                y_max=geometry.y_max,
            ),
            rotation=geometry.rotation,
            length=geometry.length,
            origin=shapes.get("origin"),
            **{
                name: shapes.get(name, [])
                for name in (
                    "centre_line",
                    "inner_edge",
                    "outer_edge",
                    "pit_lane",
                    "lines",
                    "sectors",
                    "marshal_sectors",
                    "drs_zones",
                    "corners",
                )
            },
        )

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
        rows = events.order_by("frame", "pk").values(
            "frame", "kind", "message", "entity", "value", "lap", "sector"
        )
        return EventsOut(
            events=[
                EventOut(**row, time=round(row["frame"] / session.frame_rate, 3))
                async for row in rows
            ]
        )

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
        laps, stints = session.laps.all(), session.stints.all()
        if entity is not None:
            laps, stints = laps.filter(entity__code=entity), stints.filter(entity__code=entity)
        order = ("entity__index", "number")
        return LapsOut(
            laps=[
                LapOut(entity=row.pop("code"), **row)
                async for row in laps.order_by(*order).values(
                    *(name for name in LapOut.model_fields if name != "entity"),
                    code=F("entity__code"),
                )
            ],
            stints=[
                StintOut(entity=row.pop("code"), **row)
                async for row in stints.order_by(*order).values(
                    *(name for name in StintOut.model_fields if name != "entity"),
                    code=F("entity__code"),
                )
            ],
        )

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
        metadata = await Session.objects.values_list("metadata", flat=True).aget(pk=session.pk)
        found = metadata.get("classification") or {"source": "", "order": []}
        return ClassificationOut(**found)

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
        report = await Session.objects.values_list("report", flat=True).aget(pk=session.pk)
        if not report:
            raise ApiError(404, f"Session {slug!r} has no import report.", code="no_report")
        if not staff:
            findings = [{**finding, "examples": []} for finding in report["findings"]]
            report = {**report, "findings": findings}
        return ImportReportOut(**report)

    name = "staff" if staff else ""
    return await about_session(request, session, build, "report", name, personal=True)
