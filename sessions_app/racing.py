"""The fields of a motor race and their enumerations: one definition for every importer.

Units follow OpenF1: positions in decimetres of the circuit's own coordinates, speed in km/h,
pedals in percent. `progress` counts laps of the line that laps are timed at, so that distance,
fraction of the lap and race progress all follow from it.
"""

from __future__ import annotations

import enum
import re

from .recording import Field, FieldKind, Scope

FRAME_RATE = 25.0
SEGMENT_SECONDS = 12.0
"""Of a race in one segment. Each segment begins with absolute values, and has the samples on both
sides of its borders: longer ones are smaller, but take longer to come when somebody seeks. Twelve
seconds of a race are 6 kB; two were 3 kB while every frame was stored."""


class Tyre(enum.IntEnum):
    """Compounds, numbered as the plain dialect numbers them."""

    SOFT = 0
    MEDIUM = 1
    HARD = 2
    INTERMEDIATE = 3
    WET = 4


class CarStatus(enum.IntEnum):
    """What a car is doing, as far as the data tells."""

    UNSEEN = 0
    GRID = 1
    TRACK = 2
    PIT = 3
    RETIRED = 4
    FINISHED = 5


class TrackStatus(enum.IntEnum):
    """The state of the whole track, worst first shown."""

    CLEAR = 0
    YELLOW = 1
    DOUBLE_YELLOW = 2
    SAFETY_CAR = 3
    VIRTUAL_SAFETY_CAR = 4
    RED = 5
    CHEQUERED = 6


class SectorMark(enum.IntEnum):
    """How a car's latest time of a sector compares, as the timing colours it: yellow, green for
    its own best, purple for the best of all."""

    SLOWER = 0
    PERSONAL_BEST = 1
    OVERALL_BEST = 2


class SessionKind(enum.StrEnum):
    """The sessions of a race weekend."""

    RACE = "race"
    SPRINT = "sprint"
    QUALIFYING = "qualifying"
    SPRINT_QUALIFYING = "sprint_qualifying"
    PRACTICE = "practice"

    @property
    def is_race(self) -> bool:
        """Whether cars race each other; else they are ordered by their best laps."""
        return self in (SessionKind.RACE, SessionKind.SPRINT)

    def part_name(self, number: int) -> str:
        """ "Q1" of a qualifying's part 1, "SQ1" of a sprint's; "" for a practice."""
        prefix = {SessionKind.QUALIFYING: "Q", SessionKind.SPRINT_QUALIFYING: "SQ"}.get(self)
        return f"{prefix}{number}" if prefix else ""


def session_kind(name: str) -> SessionKind:
    """The kind of a session by its name in the feeds: "Practice 2", "Sprint Shootout"…; a race
    where the name says nothing."""
    name = name.strip().lower()
    if "practice" in name or "testing" in name or re.fullmatch(r"(fp|day) ?\d", name):
        return SessionKind.PRACTICE
    if "sprint" in name and ("qualifying" in name or "shootout" in name):
        return SessionKind.SPRINT_QUALIFYING
    if "qualifying" in name:
        return SessionKind.QUALIFYING
    return SessionKind.SPRINT if name == "sprint" else SessionKind.RACE


def session_type(name: str) -> str:
    """The short name that the field uses: R, S, Q, SQ, FP1…; "" where the name says nothing."""
    kind = session_kind(name)
    number = next((c for c in name if c.isdecimal()), "")
    if kind is SessionKind.PRACTICE:
        return f"FP{number}" if number else ""
    return {"race": "R", "sprint": "S", "qualifying": "Q", "sprint_qualifying": "SQ"}[kind]


def _names(values: type[enum.IntEnum]) -> tuple[str, ...]:
    return tuple(v.name.lower() for v in values)


ENTITY_FIELDS: tuple[Field, ...] = (
    Field("x", "dm", 1.0, FieldKind.CUBIC),
    Field("y", "dm", 1.0, FieldKind.CUBIC),
    Field("speed", "km/h", 1.0, FieldKind.LINEAR),
    Field("throttle", "%", 1.0, FieldKind.LINEAR),
    Field("brake", "%", 1.0, FieldKind.HELD),
    Field("rpm", "1/min", 50.0, FieldKind.LINEAR),
    Field("gear"),
    Field("drs"),
    Field("status", labels=_names(CarStatus)),
    Field("position"),
    Field("lap"),
    Field("progress", "laps", 1e-4, FieldKind.CUBIC),
    Field("gap_to_leader", "s", 0.01),
    Field("interval", "s", 0.01),
    Field("tyre", labels=_names(Tyre)),
    Field("tyre_age", "laps"),
    Field("pit_stops"),
    Field("last_lap_time", "s", 0.001),
    Field("best_lap_time", "s", 0.001),
    Field("sector1", "s", 0.001),
    Field("sector2", "s", 0.001),
    Field("sector3", "s", 0.001),
)
"""Per car. Steps are as fine as the feeds are right: positions come up to 0.1 s early or late, so a
gap between lines is good to some hundredths, and a finer step would only code the noise (6 bytes a
frame); rpm is read on a dial (3 bytes).
drs: the feed's code, below 8 shut, 8 and 9 allowed, 10 and above open. lap: 0 before the start.
gap_to_leader, interval: seconds behind at the same place, 0 for the leader; lap times and sectors:
of the last completed lap or sector, missing until there is one."""

SESSION_FIELDS: tuple[Field, ...] = (
    Field("track_status", scope=Scope.SESSION, labels=_names(TrackStatus)),
    Field("leader_lap", scope=Scope.SESSION),
    Field("air_temperature", "°C", 0.1, FieldKind.HELD, Scope.SESSION),
    Field("track_temperature", "°C", 0.1, FieldKind.HELD, Scope.SESSION),
    Field("humidity", "%", 0.1, FieldKind.HELD, Scope.SESSION),
    Field("wind_speed", "m/s", 0.1, FieldKind.HELD, Scope.SESSION),
    Field("wind_direction", "°", 1.0, FieldKind.HELD, Scope.SESSION),
    Field("rain", scope=Scope.SESSION),
)
"""One value per frame. rain: 0 dry, 1 rain."""

RACE_FIELDS = ENTITY_FIELDS + SESSION_FIELDS

TIMED_FIELDS = (
    ENTITY_FIELDS
    + tuple(Field(f"sector{n}_mark", labels=_names(SectorMark)) for n in (1, 2, 3))
    + SESSION_FIELDS
    + (
        Field("session_part", scope=Scope.SESSION),
        Field("session_clock", "s", 1.0, FieldKind.HELD, Scope.SESSION),
    )
)
"""Of practice and qualifying. position: by best lap; best_lap_time: of the part, of those that
count; gap_to_leader, interval: to the best lap of all and to that of the car ahead. session_part:
1, 2, 3 of a qualifying, 1 of a practice. session_clock: seconds left, missing where it is not
known."""
