"""The one check of everything that reaches the database, whichever importer made it.

What breaks a rule of the database is left out and listed in the result's report; a strict import
refuses it. So no rule of the database is ever broken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from .report import Done, Report
from .result import (
    EventRecord,
    GeometryRecord,
    ImportResult,
    ImportSourceError,
    LapRecord,
    StintRecord,
)
from .text import shown

_Numbered = TypeVar("_Numbered", LapRecord, StintRecord)

MAX_SMALL = 32_767
"""The largest number that fits a small integer of every database."""


def validated(result: ImportResult) -> ImportResult:
    """The result with only records that the database takes, and the report of what was left out.

    Raises: ImportSourceError if there are no frames or no entities, if a code is there twice, or,
    strict, for the first record that is wrong.
    """
    report = result.report if result.report is not None else Report()
    codes = [e.code for e in result.entities]
    if not codes or not result.frame_count:
        raise ImportSourceError("no entities or no frames: expected at least one of each")
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise ImportSourceError(f"entity code {shown(twice)} found twice: expected it once")
    check = _Check(report, set(codes), result.frame_count)
    return replace(
        result,
        events=[event for event in map(check.event, result.events) if event is not None],
        laps=check.once("laps", [lap for lap in map(check.lap, result.laps) if lap is not None]),
        stints=check.once("stints", [s for s in map(check.stint, result.stints) if s is not None]),
        geometry=check.geometry(result.geometry),
        year=check.small("sessions", "year", result.year),
        round=check.small("sessions", "round", result.round),
        metadata=check.portable("metadata", dict(result.metadata)),
    )


class _Check:
    """Checks one record at a time against the entities and frames of the result."""

    def __init__(self, report: Report, codes: set[str], frames: int) -> None:
        self._report, self._codes, self._frames = report, codes, frames

    def _wrong(self, done: Done, table: str, column: str, found: object, expected: str) -> None:
        self._report.leave_out(done, expected, table=table, column=column, found=shown(found))

    def small(self, table: str, column: str, value: int | None) -> int | None:
        """A number that fits a small integer, else None."""
        if value is None or 0 <= value <= MAX_SMALL:
            return value
        self._wrong(Done.VALUE, table, column, value, f"0 to {MAX_SMALL}")
        return None

    def seconds(self, table: str, column: str, value: float | None) -> float | None:
        """A finite time, else None."""
        if value is None or (math.isfinite(value) and value >= 0):
            return value
        self._wrong(Done.VALUE, table, column, value, "seconds")
        return None

    def _known(self, table: str, code: str) -> bool:
        if code in self._codes:
            return True
        self._wrong(Done.RECORD, table, "entity", code, "the code of an entity")
        return False

    def frame(self, table: str, column: str, value: int | None, last: int) -> int | None:
        if value is None or 0 <= value <= last:
            return value
        self._wrong(Done.VALUE, table, column, value, "a frame of the recording")
        return None

    def event(self, event: EventRecord) -> EventRecord | None:
        """The event as the database takes it, None if it does not."""
        if self.frame("events", "frame", event.frame, self._frames - 1) is None:
            return None
        if event.entity and not self._known("events", event.entity):
            return None
        lap = self.small("events", "lap", event.lap)
        sector = self.small("events", "sector", event.sector)
        same = lap == event.lap and sector == event.sector
        return event if same else replace(event, lap=lap, sector=sector)

    def lap(self, lap: LapRecord) -> LapRecord | None:
        """The lap as the database takes it, None if it does not."""
        if not self._known("laps", lap.entity) or self.small("laps", "number", lap.number) is None:
            return None
        start = self.frame("laps", "start_frame", lap.start_frame, self._frames)
        end = self.frame("laps", "end_frame", lap.end_frame, self._frames)
        if start is not None and end is not None and end < start:
            found = f"lap {lap.number} of {lap.entity}, frames {start} to {end}"
            self._wrong(Done.VALUE, "laps", "end_frame", found, "a lap that ends after its start")
            start = end = None
        sectors = [
            self.seconds("laps", f"sector{i}", value) for i, value in enumerate(lap.sectors, 1)
        ]
        return replace(
            lap,
            start_frame=start,
            end_frame=end,
            duration=self.seconds("laps", "duration", lap.duration),
            sectors=(sectors[0], sectors[1], sectors[2]),
            position=self.small("laps", "position", lap.position),
        )

    def stint(self, stint: StintRecord) -> StintRecord | None:
        """The stint as the database takes it, None if it does not."""
        if not self._known("stints", stint.entity):
            return None
        for column in ("number", "lap_start", "lap_end"):
            if self.small("stints", column, getattr(stint, column)) is None:
                return None
        if stint.lap_end < stint.lap_start:
            found = f"laps {stint.lap_start} to {stint.lap_end}"
            self._wrong(Done.RECORD, "stints", "lap_end", found, "a lap not before lap_start")
            return None
        age = self.small("stints", "tyre_age_at_start", stint.tyre_age_at_start)
        return replace(stint, tyre_age_at_start=age)

    def once(self, table: str, records: Sequence[_Numbered]) -> list[_Numbered]:
        """The records without a second one of an entity and number."""
        kept: dict[tuple[str, int], _Numbered] = {}
        for record in records:
            key = (record.entity, record.number)
            if key in kept:
                found = f"{record.number} of {record.entity}"
                self._wrong(Done.RECORD, table, "number", found, "each number of an entity once")
                continue
            kept[key] = record
        return list(kept.values())

    def geometry(self, record: GeometryRecord | None) -> GeometryRecord | None:
        """The ground, None if it has no extent that can be drawn."""
        if record is None:
            return None
        low_x, low_y, high_x, high_y = record.bounds
        numbers = [*record.bounds, record.rotation, record.length or 0.0]
        if all(map(math.isfinite, numbers)) and low_x <= high_x and low_y <= high_y:
            return replace(
                record,
                **{
                    f.name: self.portable("geometry", getattr(record, f.name))
                    for f in fields(record)
                    if f.name not in ("bounds", "corners")
                },
            )
        self._wrong(Done.RECORD, "geometry", "bounds", record.bounds, "finite bounds in order")
        return None

    def portable(self, place: str, value: Any) -> Any:
        """JSON-able values: numbers that are not finite become None."""
        if isinstance(value, float) and not math.isfinite(value):
            self._wrong(Done.VALUE, place, "", value, "a finite number")
            return None
        if isinstance(value, dict):
            return {k: self.portable(place, v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.portable(place, v) for v in value]
        return value
