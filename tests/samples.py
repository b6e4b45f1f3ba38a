"""Small sessions with known content, for tests that need something to play.

`python -m tests.samples` fills the database and the recordings folder that the environment names.
"""

from __future__ import annotations

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
from sessions_app.racing import RACE_FIELDS, CarStatus
from sessions_app.recording import Columns, Field, FieldKind, Schema

RACE_SLUG = "small-race"
PLAY_SLUG = "small-play"
STAFF_SLUG = "staff-only"
LOADING_SLUG = "still-loading"
ADMIN, PASSWORD = "admin", "correct horse battery"

LAP_SECONDS = 20.0
RADIUS = 5000.0  # dm


def small_race(seconds: float = 120.0, cars: int = 20) -> ImportResult:
    """Cars on a circle, car i always i × 0.01 laps behind the leader; rpm is the frame number."""
    rate = 25.0
    frames = round(seconds * rate)
    codes = tuple(f"C{i:02d}" for i in range(cars))
    schema = Schema(RACE_FIELDS, codes, rate, 25)
    t = np.arange(frames) / rate
    progress = t[:, None] / LAP_SECONDS - 0.01 * np.arange(cars)[None, :]
    angle = 2 * np.pi * progress
    each = np.ones((frames, cars))
    values: dict[str, np.ndarray] = {
        "x": RADIUS * np.cos(angle),
        "y": RADIUS * np.sin(angle),
        "speed": 250 * each,
        "throttle": 80 * each,
        "brake": 0 * each,
        "rpm": 10.0 * np.arange(frames)[:, None] * each,
        "gear": 7 * each,
        "drs": 0 * each,
        "status": CarStatus.TRACK * each,
        "position": (1 + np.arange(cars)) * each,
        "lap": np.floor(progress) + 1,
        "progress": progress,
        "gap_to_leader": 0.01 * LAP_SECONDS * np.arange(cars) * each,
        "interval": np.where(np.arange(cars) == 0, 0, 0.01 * LAP_SECONDS) * each,
        "tyre": (np.arange(cars) % 3) * each,
        "tyre_age": np.maximum(0, np.floor(progress)),
        "pit_stops": 0 * each,
        "last_lap_time": np.where(progress >= 1, LAP_SECONDS, np.nan),
        "best_lap_time": np.where(progress >= 1, LAP_SECONDS, np.nan),
        "sector1": np.where(progress >= 1 / 3, LAP_SECONDS / 3, np.nan),
        "sector2": np.where(progress >= 2 / 3, LAP_SECONDS / 3, np.nan),
        "sector3": np.where(progress >= 1, LAP_SECONDS / 3, np.nan),
        "track_status": np.zeros(frames),
        "leader_lap": np.floor(progress[:, 0]) + 1,
        "air_temperature": np.full(frames, 21.5),
        "track_temperature": np.full(frames, 34.0),
        "humidity": np.full(frames, 55.0),
        "wind_speed": np.full(frames, 2.5),
        "wind_direction": np.full(frames, 180.0),
        "rain": np.zeros(frames),
    }
    ring = np.linspace(0, 2 * np.pi, 180, endpoint=False)

    def circle(radius: float) -> list[tuple[float, float]]:
        return [(round(radius * np.cos(a), 1), round(radius * np.sin(a), 1)) for a in ring]

    lap_frames = round(LAP_SECONDS * rate)
    third = LAP_SECONDS / 3
    return ImportResult(
        title="Small race",
        kind="race",
        source="tests",
        samples=Columns.from_quantities(schema, values),
        entities=[
            EntityRecord(
                code,
                name=f"Driver {i}",
                number=str(i + 1),
                team=f"Team {i // 2}",
                colour=f"#{(37 * i + 40) % 256:02x}8c{(53 * i + 140) % 256:02x}",
                kind="car",
            )
            for i, code in enumerate(codes)
        ],
        geometry=GeometryRecord(
            kind="circuit",
            unit="dm",
            bounds=(-RADIUS - 60, -RADIUS - 60, RADIUS + 60, RADIUS + 60),
            length=2 * np.pi * RADIUS / 10,
            centre_line=circle(RADIUS),
            inner_edge=circle(RADIUS - 60),
            outer_edge=circle(RADIUS + 60),
            sectors=(1 / 3, 2 / 3),
            drs_zones=((0.1, 0.2),),
            corners=(Corner("1", RADIUS, 0.0, 0.0, 0.0), Corner("2", -RADIUS, 0.0, 180.0, 0.5)),
        ),
        events=[
            EventRecord(0, "flag", "GREEN LIGHT", value="GREEN"),
            EventRecord(
                round(frames * 0.4), "flag", "YELLOW IN SECTOR 2", value="YELLOW", sector=2
            ),
            EventRecord(round(frames * 0.6), "pit", "C05 IN THE PIT", entity="C05", lap=3),
            EventRecord(frames - 1, "finish", "CHEQUERED FLAG", value="CHEQUERED"),
        ],
        laps=[
            LapRecord(
                code,
                n + 1,
                start := round((n + 0.01 * i) * lap_frames),
                start + lap_frames,
                LAP_SECONDS,
                (third, third, third),
                position=i + 1,
            )
            for i, code in enumerate(codes)
            for n in range(int(seconds / LAP_SECONDS) - 1)
        ],
        stints=[
            StintRecord(c, 1, 1, 5, ("SOFT", "MEDIUM", "HARD")[i % 3], 0)
            for i, c in enumerate(codes)
        ],
        start_time=datetime(2024, 6, 30, 13, 0, tzinfo=UTC),
        year=2024,
        round=11,
        metadata={
            "total_laps": int(seconds / LAP_SECONDS),
            "circuit": "Circle",
            "race_start_frame": 0,
        },
    )


def small_play() -> ImportResult:
    """Four players and a ball on a field in yards at 10 Hz; the ball vanishes for a while."""
    codes = ("QB", "WR", "CB", "LB", "ball")
    schema = Schema(
        (
            Field("x", "yd", 0.01, FieldKind.CUBIC),
            Field("y", "yd", 0.01, FieldKind.CUBIC),
            Field("speed", "yd/s", 0.01, FieldKind.LINEAR),
            Field("direction", "°", 0.1, FieldKind.ANGLE),
        ),
        codes,
        10.0,
        10,
    )
    t = np.arange(300)[:, None] / 10
    lane = np.arange(5)[None, :]
    values = {
        "x": 20 + 2 * t + 0 * lane,
        "y": 10 + 6 * lane + np.sin(t),
        "speed": 2 + 0 * t + 0 * lane,
        "direction": (30 * t + 40 * lane) % 360,
    }
    for name in values:
        values[name] = values[name].astype(float)
        values[name][100:150, 4] = np.nan
    return ImportResult(
        title="Small play",
        kind="play",
        source="tests",
        samples=Columns.from_quantities(schema, values),
        entities=[EntityRecord(c, name=c, kind="ball" if c == "ball" else "player") for c in codes],
        geometry=GeometryRecord(kind="field", unit="yd", bounds=(0.0, 0.0, 120.0, 53.3)),
    )


def fill() -> None:
    """Store the samples, an admin, and a session whose import goes on."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from sessions_app.models import Session
    from sessions_app.storing import store_result

    call_command("migrate", verbosity=0, interactive=False)
    get_user_model().objects.create_superuser(ADMIN, password=PASSWORD)
    store_result(small_race(), slug=RACE_SLUG)
    store_result(small_play(), slug=PLAY_SLUG)
    store_result(small_race(30, 3), slug=STAFF_SLUG, access=Session.Access.PRIVATE)
    Session.objects.create(
        slug=LOADING_SLUG,
        title="Still loading",
        state=Session.State.IMPORTING,
        progress=40,
        message="reading positions",
    )


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")
    django.setup()
    fill()
