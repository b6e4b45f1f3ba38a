"""What a source measured, as it measured it; and the one place where frames are made of it.

A source gives each entity values at its own times: a feed of positions, another of speeds, a tyre
that changes three times in a race. An importer hands these over as `Series`, and nobody but this
module turns them into the frames of a recording (`resample.py` has the arithmetic).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import MISSING, Columns, Field, FieldKind, InvalidColumns, Schema, Scope
from .resample import MAX_GAP, Resampling, forward

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Series:
    """Fields of one entity, or of the session, that were measured at the same times.

    Attributes:
        entity: code as in the schema; None for fields of scope `session`.
        times: seconds since the session's start, strictly increasing, shape (samples,).
        values: by field name, in the field's unit, shape (samples,). NaN says that there is no
            value from then until the next sample; what glides has none from the sample before.
        max_gap: seconds. Between samples farther apart there is no value, and none after the last.
        lasting: values last however far apart the samples are, and after the last one to the end:
            what is held stays, what glides goes straight on to the next sample. For what is known
            until it changes (a tyre, the weather). Before the first sample there is no value.

    Raises:
        InvalidColumns: times do not increase, or values have another shape.
    """

    entity: str | None
    times: Floats
    values: Mapping[str, Floats]
    max_gap: float = MAX_GAP
    lasting: bool = False

    def __post_init__(self) -> None:
        whose = "the session" if self.entity is None else repr(self.entity)
        if self.times.ndim != 1 or not bool(np.all(np.diff(self.times) > 0)):
            raise InvalidColumns(f"times of {whose}: expected seconds that increase")
        for name, values in self.values.items():
            if values.shape != self.times.shape:
                raise InvalidColumns(
                    f"{name!r} of {whose}: {values.shape}: expected one value for each of "
                    f"{len(self.times)} times"
                )


def series_of(
    entity: str | None,
    times: Floats,
    values: Mapping[str, Floats],
    max_gap: float = MAX_GAP,
    *,
    lasting: bool = False,
) -> list[Series]:
    """Series of one entity without the rows that have no value: NaN here says "not measured then",
    and the field's neighbouring samples count. Fields with the same rows share a series.

    Args, Raises: as `Series`.
    """
    groups: dict[bytes, tuple[Flags, dict[str, Floats]]] = {}
    for name, own in values.items():
        known = ~np.isnan(own)
        groups.setdefault(known.tobytes(), (known, {}))[1][name] = own
    return [
        Series(
            entity,
            np.asarray(times[known], dtype=np.float64),
            {name: np.asarray(own[known], dtype=np.float64) for name, own in fields.items()},
            max_gap,
            lasting,
        )
        for known, fields in groups.values()
    ]


def series_of_changes(
    entity: str | None, name: str, frames: NDArray[Any], frame_rate: float
) -> Series:
    """A held field that was worked out frame by frame, as a sample where it changes.

    Args:
        entity: code, or None for the session.
        name: of the field.
        frames: in the field's unit, NaN where missing, shape (frames,), at least one.
        frame_rate: frames a second.
    """
    values = np.asarray(frames, dtype=np.float64)
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    at = np.concatenate(([0], np.flatnonzero(~same) + 1))
    return Series(entity, frame_times(at, frame_rate), {name: values[at]}, lasting=True)


def frame_times(frames: NDArray[np.integer[Any]], frame_rate: float) -> Floats:
    """Seconds since the session's start of each frame."""
    return np.asarray(frames, dtype=np.float64) / frame_rate


def at_frames(series: Series, field: Field, frames: Floats) -> Floats:
    """One field of a series at the times of frames.

    Args:
        series: has values of the field.
        field: says by its kind what lies between two samples.
        frames: seconds since the session's start, increasing, shape (frames,).

    Returns:
        Quantities in the field's unit, shape (frames,), NaN where there is none.
    """
    values = series.values[field.name]
    if field.kind is FieldKind.HELD and series.lasting:
        return forward(series.times, values, frames)
    if field.kind is FieldKind.HELD:
        return Resampling(series.times, frames, series.max_gap).held(values)
    known = ~np.isnan(values)
    times, values = series.times[known], values[known]
    # Samples between which there is one without a value do not belong together.
    broken = np.diff(np.flatnonzero(known)) > 1
    resampling = Resampling(times, frames, series.max_gap, broken)
    if field.kind is FieldKind.CUBIC:
        made = resampling.cubic(values)
    elif field.kind is FieldKind.LINEAR:
        made = resampling.linear(values)
    else:
        made = resampling.linear(np.unwrap(values, period=360.0)) % 360.0
    if series.lasting and len(times) > 1:
        made = np.where(np.isnan(made), np.interp(frames, times, values, left=np.nan), made)
    return made


@dataclass(frozen=True)
class SourceSamples:
    """Everything that a source measured in a session.

    Attributes:
        schema: fields, entities and the frame rate at which the session is shown.
        frame_count: frames of the session; the first is at its start.
        series: in any order. No field of an entity is in two of them; one that is in none is
            missing throughout.

    Raises:
        InvalidColumns: a series is of no entity or field of the schema, or two have the same one.
    """

    schema: Schema
    frame_count: int
    series: Sequence[Series]

    def __post_init__(self) -> None:
        seen: set[tuple[str | None, str]] = set()
        for series in self.series:
            if series.entity is not None and series.entity not in self.schema.entities:
                raise InvalidColumns(f"series of {series.entity!r}: the schema has no such entity")
            scope = Scope.SESSION if series.entity is None else Scope.ENTITY
            for name in series.values:
                if name not in self.schema or self.schema[name].scope is not scope:
                    raise InvalidColumns(
                        f"series of {name!r}: the schema has no such {scope} field"
                    )
                if (series.entity, name) in seen:
                    raise InvalidColumns(f"{name!r} of {series.entity!r} is in two series")
                seen.add((series.entity, name))

    def columns(self, start: int, stop: int) -> Columns:
        """Frames start … stop - 1. The same whichever part of the session is asked for.

        Raises:
            IndexError: not all of them are in the session.
            InvalidColumns: a value does not fit 32 bits at its field's scale.
        """
        if not 0 <= start < stop <= self.frame_count:
            raise IndexError(f"frames {start}…{stop}: the session has {self.frame_count}")
        schema = self.schema
        frames = frame_times(np.arange(start, stop), schema.frame_rate)
        values = {
            f.name: np.full((stop - start, schema.width(f)), MISSING, dtype=np.int32)
            for f in schema.fields
        }
        place = {code: number for number, code in enumerate(schema.entities)}
        for series in self.series:
            column = 0 if series.entity is None else place[series.entity]
            for name in series.values:
                field = schema[name]
                values[name][:, column] = field.quantise(at_frames(series, field, frames))
        return Columns(schema, values)

    @cached_property
    def whole(self) -> Columns:
        """All frames; kept once made."""
        return self.columns(0, self.frame_count)
