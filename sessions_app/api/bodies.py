"""What REST says of one session: the bodies of its answers, made from the database.

Whoever asks, and what may be kept where, is the endpoints' affair; a static export writes the same
bodies into files.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet

from ..jobs import FAILED
from ..models import Event, Geometry, ImportJob, Session
from ..recording import Schema
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
    StintOut,
)

_SHAPES = (
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


def summary(session: Session, entity_count: int) -> dict[str, Any]:
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


async def detail(session: Session, schema: Schema | None, *, staff: bool) -> SessionDetail:
    """One session. schema: of its recording; staff: whether the reader may see why an import
    failed, which may show paths of this machine and values of the source."""
    entities = [
        EntityOut(**row)
        async for row in session.entities.values(
            "index", "code", "name", "number", "team", "colour", "kind", "attributes"
        ).order_by("index")
    ]
    job = await ImportJob.objects.filter(session=session).order_by("-created_at").afirst()
    metadata = await Session.objects.values_list("metadata", flat=True).aget(pk=session.pk)
    return SessionDetail(
        **summary(session, len(entities)),
        metadata=metadata,
        schema=None if schema is None else RecordingSchemaOut(**schema.as_dict()),
        entities=entities,
        job=None if job is None else _job(job, staff),
        links=_links(session),
    )


def _job(job: ImportJob, staff: bool) -> JobOut:
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


async def geometry(session: Session) -> GeometryOut | None:
    """The ground, in the unit of x and y; None where there is none."""
    row = await Geometry.objects.filter(session=session).afirst()
    if row is None:
        return None
    return GeometryOut(
        kind=row.kind,
        unit=row.unit,
        bounds=BoundsOut(x_min=row.x_min, y_min=row.y_min, x_max=row.x_max, y_max=row.y_max),
        rotation=row.rotation,
        length=row.length,
        origin=row.shapes.get("origin"),
        **{name: row.shapes.get(name, []) for name in _SHAPES},
    )


async def events(session: Session, chosen: QuerySet[Event]) -> EventsOut:
    """Some of the session's events, in the order of their frames."""
    rows = chosen.order_by("frame", "pk").values(
        "frame", "kind", "message", "entity", "value", "lap", "sector"
    )
    return EventsOut(
        events=[
            EventOut(**row, time=round(row["frame"] / session.frame_rate, 3)) async for row in rows
        ]
    )


async def laps(session: Session, entity: str | None = None) -> LapsOut:
    """Laps and stints by entity and number. entity: a code; None for all."""
    of_laps, of_stints = session.laps.all(), session.stints.all()
    if entity is not None:
        of_laps = of_laps.filter(entity__code=entity)
        of_stints = of_stints.filter(entity__code=entity)
    order = ("entity__index", "number")
    return LapsOut(
        laps=[
            LapOut(entity=row.pop("code"), **row)
            async for row in of_laps.order_by(*order).values(
                *(name for name in LapOut.model_fields if name != "entity"),
                code=F("entity__code"),
            )
        ],
        stints=[
            StintOut(entity=row.pop("code"), **row)
            async for row in of_stints.order_by(*order).values(
                *(name for name in StintOut.model_fields if name != "entity"),
                code=F("entity__code"),
            )
        ],
    )


async def classification(session: Session) -> ClassificationOut:
    """The final order; empty where there is none."""
    metadata = await Session.objects.values_list("metadata", flat=True).aget(pk=session.pk)
    found = metadata.get("classification") or {"source": "", "order": []}
    return ClassificationOut(**found)


async def report(session: Session, *, staff: bool) -> ImportReportOut | None:
    """The import's report; None where there is none. Its examples, which name files and values of
    the source, are for staff only."""
    found = await Session.objects.values_list("report", flat=True).aget(pk=session.pk)
    if not found:
        return None
    if not staff:
        findings = [{**finding, "examples": []} for finding in found["findings"]]
        found = {**found, "findings": findings}
    return ImportReportOut(**found)
