"""What is exported: a whole session, as every format takes it. No database, no HTTP."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..importers.result import EntityRecord, EventRecord, GeometryRecord, LapRecord, StintRecord
from ..lap_telemetry import METRES
from ..recording import MISSING, Columns, Field, Schema, Scope

Progress = Callable[[float], None]
"""Called with the fraction done, 0…1."""
Value = int | float | str | None

EARTH = 6_371_008.8
"""Mean radius, metres, as the importers project with."""


class ExportRefused(Exception):
    """The session cannot be exported so; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A session and its frames.

    Attributes:
        slug, version: of the session and its recording.
        title, kind: as shown.
        start: Unix time of frame 0 in seconds, None if unknown.
        schema: of the recording.
        frame_count: frames of the recording.
        entities: in the order of the schema.
        geometry: the ground, or None.
        events, laps, stints: as they are stored.
        read: frames start … stop - 1 of the recording.
        stride: frames from one exported moment to the next.
        metadata: of the session, JSON-able.
    """

    slug: str
    version: str
    title: str
    kind: str
    start: float | None
    schema: Schema
    frame_count: int
    entities: Sequence[EntityRecord]
    geometry: GeometryRecord | None
    events: Sequence[EventRecord]
    laps: Sequence[LapRecord]
    stints: Sequence[StintRecord]
    read: Callable[[int, int], Columns]
    stride: int = 1
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entity_fields(self) -> list[Field]:
        return [f for f in self.schema.fields if f.scope is Scope.ENTITY]

    @property
    def session_fields(self) -> list[Field]:
        return [f for f in self.schema.fields if f.scope is Scope.SESSION]

    @property
    def rate(self) -> float:
        """Exported moments a second."""
        return self.schema.frame_rate / self.stride

    def seconds(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Since frame 0."""
        return frames / self.schema.frame_rate

    def nanoseconds(self, frame: int) -> int:
        """Unix time of a frame, counted from 0 if the start is not known."""
        begin = 0 if self.start is None else round(self.start * 1_000_000) * 1_000
        return begin + round(frame * 1_000_000_000 / self.schema.frame_rate)

    def blocks(self, progress: Progress) -> Iterator[tuple[NDArray[np.int64], Columns]]:
        """(frame numbers, columns) of every `stride`-th frame, some hundred at a time."""
        size = max(1, BLOCK_SAMPLES // max(1, len(self.entities) * len(self.schema.fields)))
        step = max(self.stride, size // self.stride * self.stride)
        for first in range(0, self.frame_count, step):
            stop = min(first + step, self.frame_count)
            columns = self.read(first, stop).slice(0, stop - first, self.stride)
            yield np.arange(first, stop, self.stride), columns
            progress(stop / self.frame_count)


BLOCK_SAMPLES = 500_000
"""Read and written at once: some megabytes, whatever the number of entities."""


def stride_of(frame_rate: float, rate: float | None, usual: float | None) -> int:
    """Frames from one exported moment to the next.

    Args:
        frame_rate: of the recording.
        rate: moments a second that were asked for; None for the usual.
        usual: the most that a format exports unasked; None for every frame.
    """
    if rate is None:
        return 1 if usual is None else max(1, math.ceil(frame_rate / usual - 1e-9))
    if not 0 < rate <= frame_rate * 1.001:
        raise ExportRefused(f"rate {rate:g}: expected more than 0, at most {frame_rate:g}")
    return max(1, round(frame_rate / rate))


def decimals(field: Field) -> int:
    """Digits after the point that the field's scale can fill."""
    return max(0, math.ceil(-math.log10(field.scale)))


def plain(field: Field, samples: NDArray[np.int32]) -> list[Value]:
    """Samples of one field, shape (n,), as JSON shows them: labels, or quantities to the field's
    precision; None where missing."""
    missing = samples == MISSING
    if field.labels:
        names = [*field.labels]
        return [names[s] if 0 <= s < len(names) else None for s in samples.tolist()]
    if field.scale == 1:
        values: list[Value] = samples.tolist()
    else:
        values = np.round(samples * field.scale, decimals(field)).tolist()
    if missing.any():
        for index in np.flatnonzero(missing).tolist():
            values[index] = None
    return values


def metres(source: ExportSource) -> float:
    """Metres in one unit of x and y; 1 where the unit is none of length."""
    unit = source.schema["x"].unit if "x" in source.schema else ""
    return METRES.get(unit, METRES.get(source.geometry.unit, 1.0) if source.geometry else 1.0)


def degrees(
    x: NDArray[np.float64], y: NDArray[np.float64], origin: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(latitude, longitude) of places in metres east and north of the origin, as the importers
    project them, the other way round."""
    latitude = origin[0] + np.degrees(y / EARTH)
    longitude = origin[1] + np.degrees(x / (EARTH * math.cos(math.radians(origin[0]))))
    return latitude, (longitude + 180.0) % 360.0 - 180.0


def require_places(source: ExportSource, what: str) -> None:
    """Raises: ExportRefused for a recording without x and y."""
    if "x" not in source.schema or "y" not in source.schema:
        raise ExportRefused(f"{what} shows places: expected a recording with x and y")
