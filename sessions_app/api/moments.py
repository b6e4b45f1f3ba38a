"""Standings at a frame and telemetry over a lap, read from the recording."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router

from ..lap_telemetry import LapTelemetry, NoDistance, channel_names, lap_telemetry
from ..models import Geometry, Lap, Session
from ..recording import MISSING, Columns, Field, FieldKind
from .caching import about_session
from .errors import ApiError, ErrorOut
from .recordings import columns_of, schema_of
from .schemas import StandingOut, StandingsOut, TelemetryOut
from .sessions import ERRORS, MAX_FRAME
from .visitors import session_for

router = Router(tags=["moments"])

CLOCK_MARGIN_SECONDS = 2.0
"""How far a source's lap times and its positions may disagree on when the line was crossed; OpenF1
differs by up to half a second."""
_NO_POSITION = 2**31
"""Sorts those without a position last."""


@router.get(
    "sessions/{slug:slug}/standings",
    response={200: StandingsOut, **ERRORS, 503: ErrorOut},
    operation_id="get_standings",
    summary="Order and gaps at a frame",
)
async def get_standings(
    request: HttpRequest,
    slug: str,
    frame: Annotated[
        int | None, Query(ge=0, le=MAX_FRAME, description="From 0; the last if not given.")
    ] = None,
) -> HttpResponse:
    """Everybody's position, gaps, laps and tyres at one frame, first first."""
    session = await session_for(request, slug)
    if frame is not None and session.version and frame >= session.frame_count:
        raise ApiError(
            404, f"Frame {frame}: session {slug!r} has frames 0 to {session.frame_count - 1}."
        )

    async def build() -> StandingsOut:
        at = max(0, session.frame_count - 1) if frame is None else frame
        columns = await columns_of(request, session, at, at + 1)
        found = standings_of(columns, at)
        if found is None:
            raise ApiError(404, f"Session {slug!r} has no standings.", code="no_standings")
        return found

    return await about_session(request, session, build, f"standings {frame}")


def standings_of(columns: Columns, frame: int) -> StandingsOut | None:
    """Order and gaps; None where the recording has no positions. columns: of that one frame."""
    if "position" not in columns.schema:
        return None
    time = round(frame / columns.schema.frame_rate, 3)
    return StandingsOut(frame=frame, time=time, standings=_standings(columns))


def _standings(columns: Columns) -> list[StandingOut]:
    """columns: one frame."""
    rows: list[StandingOut] = []
    known = [columns.schema[n] for n in StandingOut.model_fields if n in columns.schema]
    for index, code in enumerate(columns.schema.entities):
        values: dict[str, Any] = dict.fromkeys(StandingOut.model_fields)
        for field in known:
            values[field.name] = _shown(field, int(columns.values[field.name][0, index]))
        values["entity"] = code
        rows.append(StandingOut(**values))
    return sorted(rows, key=lambda row: row.position or _NO_POSITION)


def _shown(field: Field, sample: int) -> int | float | str | None:
    """A sample as JSON shows it: its label, or its quantity to the field's precision."""
    if sample == MISSING:
        return None
    if field.labels:
        return field.labels[sample] if 0 <= sample < len(field.labels) else None
    return sample if field.scale == 1 else round(sample * field.scale, decimals_of(field))


def decimals_of(field: Field) -> int:
    """Digits after the point that the field's scale can fill."""
    return max(0, math.ceil(-math.log10(field.scale)))


@router.get(
    "sessions/{slug:slug}/laps/{entity}/{int:lap}/telemetry",
    response={200: TelemetryOut, **ERRORS, 503: ErrorOut},
    operation_id="get_lap_telemetry",
    summary="One lap over distance",
)
async def get_lap_telemetry(
    request: HttpRequest,
    slug: str,
    entity: Annotated[str, Path(max_length=40, description="Code.")],
    lap: Annotated[int, Path(ge=0, le=32_767)],
    step: Annotated[float, Query(ge=1, le=1000, description="Metres between two points.")] = 5,
    fields: Annotated[
        str | None, Query(max_length=500, description="Field names with commas; else the usual.")
    ] = None,
) -> HttpResponse:
    """Speed, pedals, gear and the like at every `step` metres of one lap, for comparing laps."""
    session = await session_for(request, slug)

    async def build() -> TelemetryOut:
        return await read_lap_telemetry(request, session, entity, lap, step=step, fields=fields)

    name = f"telemetry {entity} {lap} {step} {fields}"
    return await about_session(request, session, build, name)


async def read_lap_telemetry(
    request: HttpRequest,
    session: Session,
    entity: str,
    lap: int,
    *,
    step: float,
    fields: str | None = None,
) -> TelemetryOut:
    """One lap over distance; the arguments are those of the operation above.

    Raises: ApiError 404, 422, 503.
    """
    row, start_frame, end_frame = await lap_of(session, entity, lap)
    schema = await schema_of(request, session)
    if schema is None:
        raise ApiError(404, f"Session {session.slug!r} has no recording yet: {session.state}.")
    wanted = None if fields is None else [name.strip() for name in fields.split(",")]
    try:
        channels = channel_names(schema, wanted)
    except KeyError as error:
        raise ApiError(422, str(error.args[0])) from error
    margin = round(CLOCK_MARGIN_SECONDS * session.frame_rate)
    begin = max(0, start_frame - margin)
    # One frame more closes the lap: its first sample is the next lap's start.
    end = min(end_frame + 1, session.frame_count)
    columns = await columns_of(
        request, session, begin, min(end + margin, session.frame_count), entity
    )
    length = await Geometry.objects.filter(session=session).values_list("length").afirst()
    try:
        result = await asyncio.to_thread(
            lap_telemetry,
            columns,
            length=None if length is None else length[0],
            step=step,
            channels=channels,
            lap=(start_frame - begin, end - begin),
            standing_start=lap == 1,
        )
    except NoDistance as error:
        raise ApiError(404, f"Lap {lap} of {entity!r}: {error}.", code="no_telemetry") from error
    return _telemetry(row, result, columns)


async def lap_of(session: Session, entity: str, number: int) -> tuple[Lap, int, int]:
    """The lap, its first frame and the one after its last. Raises: ApiError 404."""
    known = "\x00" not in entity
    row = (
        await Lap.objects.filter(session=session, entity__code=entity, number=number).afirst()
        if known
        else None
    )
    if row is None:
        raise ApiError(404, f"Session {session.slug!r} has no lap {number} of {entity!r}.")
    if row.start_frame is None or row.end_frame is None or row.end_frame <= row.start_frame:
        raise ApiError(
            404,
            f"Lap {number} of {entity!r}: its source does not say when it began and ended.",
            code="no_telemetry",
        )
    return row, row.start_frame, row.end_frame


def _telemetry(lap: Lap, result: LapTelemetry, columns: Columns) -> TelemetryOut:
    channels: dict[str, list[float | None]] = {}
    for name, values in result.channels.items():
        field = columns.schema[name]
        # Between two frames there is one digit more to tell, but not of what is held.
        digits = decimals_of(field) + (field.kind is not FieldKind.HELD) or None
        channels[name] = [None if math.isnan(v) else round(v, digits) for v in values.tolist()]
    return TelemetryOut(
        entity=columns.schema.entities[0],
        lap=lap.number,
        duration=lap.duration,
        sectors=[lap.sector1, lap.sector2, lap.sector3],
        measured_by=result.measured_by,
        length=round(result.length, 1),
        distance=[round(d, 2) for d in result.distance.tolist()],
        time=[round(t, 3) for t in result.time.tolist()],
        channels=channels,
        units=dict(result.units),
    )
