"""What every importer returns: one complete session, in memory, that no one has stored yet.

An importer is a pure function `(source, options, progress) -> ImportResult`; it touches neither
the database nor the recordings folder. `sessions_app/storing.py` stores a result, whole or not
at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..recording import Columns, Schema
from .errors import ImportSourceError as ImportSourceError
from .report import Report
from .samples import SourceSamples
from .text import MESSAGE_LENGTH, cleaned, is_clean, shown

MAX_CODE = 40
"""Characters of an entity's code: it heads columns and stands in addresses."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

Progress = Callable[[float, str], None]
"""Called with the fraction done (0…1) and what is being done, for a progress bar."""


def no_progress(_fraction: float, _message: str) -> None:
    """A `Progress` for callers that show none."""


def _clean(record: object, **lengths: int) -> None:
    """Make texts of a new record safe to show, and as short as the database keeps them."""
    for name, most in lengths.items():
        text = getattr(record, name)
        if text:
            object.__setattr__(record, name, cleaned(text, most))


@dataclass(frozen=True, slots=True)
class EntityRecord:
    """Who or what moves. code: as in the schema; colour: "#rrggbb", anything else becomes "".

    Raises: ImportSourceError for a code that is empty, too long, or has control characters; other
    texts are cleaned and cut, here and in the other records."""

    code: str
    name: str = ""
    number: str = ""
    team: str = ""
    colour: str = ""
    kind: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_clean(self.code) or not 0 < len(self.code) <= MAX_CODE:
            raise ImportSourceError(
                f"entity code {shown(self.code)} found: expected 1 to {MAX_CODE} characters, none "
                "of them a control character"
            )
        _clean(self, name=120, number=10, team=120, kind=20)
        if not _COLOUR.fullmatch(self.colour):
            object.__setattr__(self, "colour", "")


@dataclass(frozen=True, slots=True)
class Corner:
    """A numbered corner. x, y: in the geometry's unit; label: "1", "7A"; angle: degrees, where
    the number is best drawn, seen from the corner; fraction: of the lap, 0…1, or None."""

    label: str
    x: float
    y: float
    angle: float = 0.0
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class GeometryRecord:
    """The ground that entities move on, in the same unit as the fields x and y.

    centre_line, inner_edge, outer_edge, pit_lane: sequences of (x, y); the first three are closed
    without repeating the first point when kind is "circuit". The centre line starts at the start
    line and runs in driving direction.
    bounds: (x_min, y_min, x_max, y_max). rotation: degrees counter-clockwise as broadcast.
    sectors: fractions of the lap at which sector 2, 3… begin. drs_zones: (from, to) fractions.
    marshal_sectors: fractions at which marshal sector 1, 2, 3… begin, which events count by; the
    last one ends where the first begins, and one of them may lie across the start line.
    origin: (latitude, longitude) of (0, 0) where x is east and y is north, else None.
    """

    kind: str  # "circuit" | "field" | "map"
    unit: str
    bounds: tuple[float, float, float, float]
    rotation: float = 0.0
    length: float | None = None
    centre_line: Sequence[tuple[float, float]] = ()
    inner_edge: Sequence[tuple[float, float]] = ()
    outer_edge: Sequence[tuple[float, float]] = ()
    pit_lane: Sequence[tuple[float, float]] = ()
    sectors: Sequence[float] = ()
    marshal_sectors: Sequence[float] = ()
    drs_zones: Sequence[tuple[float, float]] = ()
    corners: Sequence[Corner] = ()
    lines: Sequence[Sequence[tuple[float, float]]] = ()
    origin: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened. frame: number; kind: "flag", "safety_car", "pit", "retirement",
    "overtake", "race_control", "weather", "start", "finish", "fastest_lap" or a source's own;
    entity: code or ""; value: flag colour and the like."""

    frame: int
    kind: str
    message: str = ""
    entity: str = ""
    value: str = ""
    lap: int | None = None
    sector: int | None = None

    def __post_init__(self) -> None:
        _clean(self, kind=30, message=MESSAGE_LENGTH, value=60)


@dataclass(frozen=True, slots=True)
class LapRecord:
    """One lap of one entity. start_frame, end_frame: end exclusive, None where unknown; times in
    seconds, None where unknown."""

    entity: str
    number: int
    start_frame: int | None
    end_frame: int | None
    duration: float | None = None
    sectors: tuple[float | None, float | None, float | None] = (None, None, None)
    position: int | None = None
    pit_in: bool = False
    pit_out: bool = False


@dataclass(frozen=True, slots=True)
class StintRecord:
    """Laps lap_start … lap_end (inclusive) on one set of tyres."""

    entity: str
    number: int
    lap_start: int
    lap_end: int
    compound: str = ""
    tyre_age_at_start: int | None = None

    def __post_init__(self) -> None:
        _clean(self, compound=20)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A whole session, as an importer or the simulation makes it.

    Attributes:
        title: at most 200 characters.
        kind: "race", "sprint", "qualifying", "sprint_qualifying", "practice", "play", "match",
            "regatta", "track", "flight" or "other".
        source: where it came from, at most 255 characters.
        samples: what was measured; or all frames, from a source that has frames.
        entities: in the order of `schema.entities`.
        geometry: the ground that entities move on, or None.
        events: in the order of their frames.
        laps: of any entity; empty where there are none.
        stints: likewise.
        start_time: of frame 0, aware (UTC); None if unknown.
        year: of the season; None if unknown.
        round: of the season; None if unknown.
        metadata: JSON-able, such as circuit, total_laps, race_start_frame.
        report: what was left out; None for a result that is no import.
    """

    title: str
    kind: str
    source: str
    samples: SourceSamples | Columns
    entities: Sequence[EntityRecord]
    geometry: GeometryRecord | None = None
    events: Sequence[EventRecord] = ()
    laps: Sequence[LapRecord] = ()
    stints: Sequence[StintRecord] = ()
    start_time: datetime | None = None
    year: int | None = None
    round: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    report: Report | None = None

    def __post_init__(self) -> None:
        _clean(self, title=200, kind=20, source=255)

    @property
    def schema(self) -> Schema:
        return self.samples.schema

    @property
    def frame_count(self) -> int:
        return self.samples.frame_count

    @property
    def columns(self) -> Columns:
        """All frames; made of the samples when they are first asked for."""
        return self.samples if isinstance(self.samples, Columns) else self.samples.whole
