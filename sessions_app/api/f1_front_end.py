"""REST for the front end of the F1 replay app: see `sessions_app/f1_front_end.py`."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from ..f1_front_end import session_id
from ..models import Lap, Session
from .errors import ApiError, ErrorOut
from .moments import read_lap_telemetry
from .schemas import TelemetryOut
from .visitors import session_for

router = Router(tags=["F1 front end"])

ERRORS = dict.fromkeys((401, 403, 404, 422, 503), ErrorOut)
STEP = 5.0
"""Metres between two points of a lap."""
MAX_LAPS = 40
CHANNELS = ("speed", "throttle", "brake", "rpm", "gear", "x", "y")
SECURITY: dict[str, Any] = {"security": [{}, {"token": []}, {"login": []}]}

Code = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]


class LapsOfDrivers(Schema):
    """Laps of drivers: the first code with the first number, and so on."""

    model_config = ConfigDict(extra="ignore")

    year: Annotated[int, Field(ge=1950, le=2100)]
    round_num: Annotated[int, Field(ge=1, le=40)]
    session_type: Annotated[str, Field(pattern=r"^[A-Z]{1,2}\d?$")] = "R"
    driver_codes: Annotated[list[Code], Field(max_length=MAX_LAPS)]
    lap_numbers: Annotated[list[Annotated[int, Field(ge=0, le=32_767)]], Field(max_length=MAX_LAPS)]

    @model_validator(mode="after")
    def as_many_of_both(self) -> LapsOfDrivers:
        if len(self.driver_codes) != len(self.lap_numbers):
            raise ValueError(
                f"{len(self.driver_codes)} driver_codes and {len(self.lap_numbers)} lap_numbers: "
                "expected as many of both"
            )
        return self


class TelemetryPoint(Schema):
    """A place on a lap. distance: metres from its start; speed: km/h; throttle, brake: 0 to 100;
    x, y: 0.1 m. What is not known is 0."""

    distance: float
    speed: float
    throttle: float
    brake: float
    rpm: float
    gear: float
    x: float
    y: float


class TelemetryLap(Schema):
    """One lap. lap_time: seconds."""

    driver_code: str
    lap_number: int
    lap_time: float | None
    telemetry: list[TelemetryPoint]


class TelemetryLapsOut(Schema):
    """The laps that the session has, in the order of the request."""

    laps: list[TelemetryLap]


class SectorTimes(Schema):
    """Of one lap, in seconds."""

    driver_code: str
    lap_number: int
    sector_1: float | None
    sector_2: float | None
    sector_3: float | None
    lap_time: float | None


class SectorTimesOut(Schema):
    """The laps that the session has, in the order of the request."""

    sectors: list[SectorTimes]


@router.post(
    "telemetry/laps",
    response={200: TelemetryLapsOut, **ERRORS},
    operation_id="post_telemetry_laps",
    summary="Telemetry of laps by year, round and type",
    openapi_extra=SECURITY,
)
async def telemetry_laps(request: HttpRequest, wanted: LapsOfDrivers) -> TelemetryLapsOut:
    """For the F1 replay app's front end; others take `sessions/{slug}/laps/…/telemetry`. Laps that
    the session does not have, or of which nothing was measured, are left out."""
    session = await session_for(request, session_id(wanted.model_dump()))
    laps = []
    for code, number in zip(wanted.driver_codes, wanted.lap_numbers, strict=True):
        try:
            lap = await read_lap_telemetry(request, session, code, number, step=STEP)
        except ApiError as error:
            if error.status != 404:
                raise
            continue
        laps.append(
            TelemetryLap(
                driver_code=code, lap_number=number, lap_time=lap.duration, telemetry=_points(lap)
            )
        )
    return TelemetryLapsOut(laps=laps)


def _points(lap: TelemetryOut) -> list[TelemetryPoint]:
    nothing: list[float | None] = [None] * len(lap.distance)
    columns = [lap.channels.get(name, nothing) for name in CHANNELS]
    return [
        TelemetryPoint(
            distance=distance, **{n: v or 0.0 for n, v in zip(CHANNELS, values, strict=True)}
        )
        for distance, *values in zip(lap.distance, *columns, strict=True)
    ]


@router.post(
    "telemetry/sectors",
    response={200: SectorTimesOut, **ERRORS},
    operation_id="post_telemetry_sectors",
    summary="Sector times of laps by year, round and type",
    openapi_extra=SECURITY,
)
async def telemetry_sectors(request: HttpRequest, wanted: LapsOfDrivers) -> SectorTimesOut:
    """For the F1 replay app's front end; others take `sessions/{slug}/laps`."""
    session = await session_for(request, session_id(wanted.model_dump()))
    rows = await _laps(session, wanted)
    return SectorTimesOut(
        sectors=[
            SectorTimes(
                driver_code=code,
                lap_number=number,
                sector_1=lap.sector1,
                sector_2=lap.sector2,
                sector_3=lap.sector3,
                lap_time=lap.duration,
            )
            for code, number in zip(wanted.driver_codes, wanted.lap_numbers, strict=True)
            if (lap := rows.get((code, number))) is not None
        ]
    )


async def _laps(session: Session, wanted: LapsOfDrivers) -> dict[tuple[str, int], Lap]:
    found = Lap.objects.filter(
        session=session, entity__code__in=wanted.driver_codes, number__in=wanted.lap_numbers
    )
    return {(lap.entity.code, lap.number): lap async for lap in found.select_related("entity")}
