"""A race of three cars and three laps round a circle, small enough to check by hand.

Car i laps in LAP_SECONDS * (1 + i / 100) at a constant speed, so that where it is at any time, and
what its telemetry over distance must be, follow from a division.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np

from sessions_app.importers.result import (
    Corner,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    ImportResult,
    LapRecord,
    StintRecord,
)
from sessions_app.models import Session
from sessions_app.racing import FRAME_RATE, RACE_FIELDS
from sessions_app.recording import Columns, Schema
from sessions_app.storing import store_result

CODES = ("AAA", "BBB", "CCC")
LAP_METRES = 1000.0
LAP_SECONDS = 20.0
LAPS = 3
FRAMES = int(LAP_SECONDS * LAPS * FRAME_RATE)
RADIUS_DM = LAP_METRES * 10 / (2 * math.pi)


def lap_seconds(car: int) -> float:
    return LAP_SECONDS * (1 + car / 100)


def small_race(title: str = "Small race", year: int | None = 2025) -> ImportResult:
    """1,500 frames. Car 2 is never seen in the last second."""
    schema = Schema(RACE_FIELDS, CODES, FRAME_RATE, 25)
    time = np.arange(FRAMES) / FRAME_RATE
    cars = np.arange(len(CODES))
    seconds = np.array([lap_seconds(car) for car in range(len(CODES))])
    progress = time[:, None] / seconds
    angle = 2 * np.pi * progress
    speeds = LAP_METRES / seconds * 3.6
    shape = progress.shape
    values = {
        "x": RADIUS_DM * np.cos(angle),
        "y": RADIUS_DM * np.sin(angle),
        "speed": np.broadcast_to(speeds, shape),
        "throttle": 100 * (progress % 1),
        "gear": np.floor(1 + 8 * (progress % 1)),
        "position": np.broadcast_to(cars + 1.0, shape),
        "lap": np.floor(progress) + 1,
        "progress": progress,
        "gap_to_leader": progress[:, :1] * (seconds - LAP_SECONDS),
        "status": np.full(shape, 2.0),
        "tyre": np.broadcast_to(cars % 3, shape).astype(float),
    }
    for field in schema.fields:
        width = schema.width(field)
        values.setdefault(field.name, np.zeros((FRAMES, width)))
    values["last_lap_time"] = np.full(shape, np.nan)
    values["x"] = np.array(values["x"])
    values["x"][-25:, 2] = np.nan
    columns = Columns.from_quantities(schema, values)
    laps = [
        LapRecord(
            entity=code,
            number=n + 1,
            start_frame=round(n * lap_seconds(c) * FRAME_RATE),
            end_frame=min(FRAMES, round((n + 1) * lap_seconds(c) * FRAME_RATE)),
            duration=lap_seconds(c),
            sectors=(None, None, lap_seconds(c) / 3),
            position=c + 1,
        )
        for c, code in enumerate(CODES)
        for n in range(LAPS)
    ]
    laps.append(LapRecord(entity="CCC", number=9, start_frame=None, end_frame=None))
    circle = [
        (RADIUS_DM * math.cos(2 * math.pi * k / 60), RADIUS_DM * math.sin(2 * math.pi * k / 60))
        for k in range(60)
    ]
    return ImportResult(
        title=title,
        kind="race",
        source="tests",
        samples=columns,
        entities=[
            EntityRecord(code, f"Driver {code}", str(i + 1), "Team", "#102030", "car", {"i": i})
            for i, code in enumerate(CODES)
        ],
        geometry=GeometryRecord(
            kind="circuit",
            unit="dm",
            bounds=(-RADIUS_DM, -RADIUS_DM, RADIUS_DM, RADIUS_DM),
            rotation=30.0,
            length=LAP_METRES,
            centre_line=circle,
            sectors=(0.33, 0.66),
            drs_zones=((0.1, 0.2),),
            corners=(Corner("1", 1.0, 2.0, 90.0, 0.25),),
        ),
        events=[
            EventRecord(0, "start", "Lights out"),
            EventRecord(250, "flag", "Yellow in sector 2", value="yellow", lap=1, sector=2),
            EventRecord(500, "pit", "AAA pits", entity="AAA", lap=2),
            EventRecord(1499, "finish", "Chequered flag"),
        ],
        laps=laps,
        stints=[StintRecord("AAA", 1, 1, 2, "soft", 0), StintRecord("AAA", 2, 3, 3, "hard", 2)],
        start_time=datetime(2025, 3, 16, 4, 0, tzinfo=UTC),
        year=year,
        round=1,
        metadata={"total_laps": LAPS, "circuit": "Circle"},
    )


def store_small_race(slug: str = "small", access: str = "public", **about: object) -> Session:
    """The race, in the database and on disk."""
    return store_result(small_race(**about), slug=slug, access=access)  # type: ignore[arg-type]
