"""Laps of any sessions, laid on each other: what the page of ghosts shows."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from ..comparing import (
    LEAST,
    LEAST_STEP,
    MOST,
    USUAL_STEP,
    Circuit,
    Comparison,
    LapToCompare,
    NotComparable,
    compare,
    require_one_circuit,
)
from ..lap_telemetry import DEFAULT_CHANNELS
from ..models import Entity, Geometry, Lap, Session
from ..recording import FieldKind, Scope
from .caching import entity_tag, revalidated
from .errors import ApiError
from .moments import CLOCK_MARGIN_SECONDS, decimals_of, lap_of
from .recordings import columns_of, schema_of
from .schemas import ComparedLapOut, ComparisonOut
from .sessions import ERRORS
from .visitors import session_for

router = Router(tags=["moments"])

Wanted = tuple[str, str, int]


@router.get(
    "compare",
    response={200: ComparisonOut, **ERRORS},
    operation_id="get_compare",
    summary="Laps of any sessions, laid on each other",
)
async def get_compare(
    request: HttpRequest,
    laps: Annotated[
        str,
        Query(
            min_length=1,
            max_length=1200,
            description="2 to 8 of SLUG:ENTITY:LAP with commas; all of one circuit.",
        ),
    ],
    by: Annotated[
        Literal["distance", "time"], Query(description="What the points have in common.")
    ] = "distance",
    step: Annotated[
        float | None,
        Query(gt=0, le=1000, description="Metres (5) or seconds (0.1) between two points."),
    ] = None,
) -> HttpResponse:
    """Speed, pedals, gear and place of each lap at common points, and how far it is behind the
    first. 422 with the reason if the laps cannot be compared."""
    wanted = _wanted(laps)
    pace = USUAL_STEP[by] if step is None else step
    if pace < LEAST_STEP[by]:
        raise ApiError(422, f"step {pace:g}: expected at least {LEAST_STEP[by]:g}.")
    sessions = {slug: await session_for(request, slug) for slug in {w[0]: None for w in wanted}}
    shared = all(s.access == Session.Access.PUBLIC for s in sessions.values())

    async def build() -> ComparisonOut:
        circuits = {slug: await _circuit(session) for slug, session in sessions.items()}
        rows, ready = [], []
        try:
            require_one_circuit([circuits[slug] for slug, _, _ in wanted])
            for slug, entity, number in wanted:
                row, lap = await _lap(request, sessions[slug], entity, number, circuits[slug])
                rows.append(row)
                ready.append(lap)
            channels = [
                name
                for name in DEFAULT_CHANNELS
                if any(
                    name in lap.columns.schema and lap.columns.schema[name].scope is Scope.ENTITY
                    for lap in ready
                )
            ]
            found = await asyncio.to_thread(compare, ready, by, pace, channels)
        except NotComparable as error:
            raise ApiError(422, f"{error}.", code="not_comparable") from error
        return await _comparison(wanted, sessions, rows, ready, found, by, pace)

    versions = [
        (session.pk, session.version, session.updated_at.isoformat(), session.state)
        for session in sessions.values()
    ]
    return await revalidated(
        request, entity_tag("compare", versions, wanted, by, pace), build, shared=shared
    )


def _wanted(text: str) -> list[Wanted]:
    """Raises: ApiError 422 for anything but 2 to 8 different laps."""
    wanted: list[Wanted] = []
    for part in text.split(","):
        slug, _, rest = part.partition(":")
        entity, _, number = rest.rpartition(":")
        plain = number.isascii() and number.isdecimal() and len(number) <= 5
        if not slug or not entity or not plain or "\x00" in part:
            raise ApiError(422, f"laps {part[:60]!r}: expected SLUG:ENTITY:LAP.")
        wanted.append((slug, entity, int(number)))
    if len(set(wanted)) != len(wanted):
        raise ApiError(422, "laps: one is there twice; expected different ones.")
    if not LEAST <= len(wanted) <= MOST:
        raise ApiError(422, f"laps: {len(wanted)} found; expected {LEAST} to {MOST}.")
    return wanted


async def _circuit(session: Session) -> Circuit:
    """Raises: ApiError 422 if the session has none."""
    ground = await Geometry.objects.filter(session=session).afirst()
    line = [] if ground is None else ground.shapes.get("centre_line") or []
    if ground is None or ground.kind != "circuit" or not ground.length or len(line) < 3:
        raise ApiError(
            422,
            f"Session {session.slug!r} has no circuit: expected laps of one.",
            code="not_comparable",
        )
    return Circuit(session.slug, ground.unit, ground.length, line)


async def _lap(
    request: HttpRequest, session: Session, entity: str, number: int, circuit: Circuit
) -> tuple[Lap, LapToCompare]:
    row, start_frame, end_frame = await lap_of(session, entity, number)
    if await schema_of(request, session) is None:
        raise ApiError(404, f"Session {session.slug!r} has no recording yet: {session.state}.")
    margin = round(CLOCK_MARGIN_SECONDS * session.frame_rate)
    begin = max(0, start_frame - margin)
    # One frame more closes the lap: its first sample is the next lap's start.
    end = min(end_frame + 1, session.frame_count)
    columns = await columns_of(
        request, session, begin, min(end + margin, session.frame_count), entity
    )
    return row, LapToCompare(
        name=f"{entity}, lap {number} of {session.slug}",
        columns=columns,
        frames=(start_frame - begin, end - begin),
        circuit=circuit,
        standing_start=number == 1,
        duration=row.duration,
    )


async def _comparison(
    wanted: Sequence[Wanted],
    sessions: dict[str, Session],
    rows: Sequence[Lap],
    laps: Sequence[LapToCompare],
    found: Comparison,
    by: Literal["distance", "time"],
    step: float,
) -> ComparisonOut:
    compared = []
    for (slug, code, number), row in zip(wanted, rows, strict=True):
        session = sessions[slug]
        entity = await Entity.objects.aget(pk=row.entity_id)
        compared.append(
            ComparedLapOut(
                session=slug,
                version=session.version,
                title=session.title,
                kind=session.kind,
                year=session.year,
                entity=code,
                name=entity.name,
                team=entity.team,
                colour=entity.colour,
                lap=number,
                duration=row.duration,
                sectors=[row.sector1, row.sector2, row.sector3],
                start_frame=row.start_frame or 0,
            )
        )
    digits = {"time": 3, "distance": 2}
    for lap in laps:
        for field in lap.columns.schema.fields:
            if field.name in found.samples and field.name not in digits:
                digits[field.name] = decimals_of(field) + (field.kind is not FieldKind.HELD)
    return ComparisonOut(
        by=by,
        step=step,
        axis=np.round(found.axis, 3).tolist(),
        laps=compared,
        samples={
            name: [_rounded(own, digits.get(name, 3)) for own in each]
            for name, each in found.samples.items()
        },
        units=dict(found.units),
        delta=[_rounded(own, 3) for own in found.delta],
    )


def _rounded(values: np.ndarray, digits: int) -> list[float | None]:
    return [None if math.isnan(v) else round(v, digits) for v in values.tolist()]
