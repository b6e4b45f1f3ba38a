"""What a source measured, as it measured it; and the one place where frames are made of it.

A source gives each entity values at its own times: a feed of positions, another of speeds, a tyre
that changes three times in a race. An importer hands these over as `Series`, and nobody but this
module turns them into the frames of a recording (`resample.py` has the arithmetic).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import MISSING, Columns, Field, FieldKind, InvalidColumns, Schema, Scope
from ..recording.curves import TICKS, Clock, can_glide
from ..recording.sampled import fill_frames
from .resample import MAX_GAP, Resampling, forward

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ALIKE = 0.8
"""Share of a series' times that a clock must have for the series to follow it."""
_CANDIDATES = 8
"""Clocks that a series is compared with: a source has few, or one for each entity."""
_MAX_GAP_TICKS = 2**29


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


def as_measured(columns: Columns, every: int, feed: Collection[str]) -> SourceSamples:
    """A simulation's frames as a source would have measured them.

    Args:
        columns: all frames.
        every: frames between two samples of what glides, and of `feed`.
        feed: fields that are held, yet come with the samples (pedals); the others change on frames.
    """
    schema = columns.schema
    rate, last = schema.frame_rate, columns.frame_count - 1
    at = np.unique(np.append(np.arange(0, last, every), last))
    series: list[Series] = []
    values = {f.name: columns.quantities(f.name) for f in schema.fields}
    for number, code in enumerate((None, *schema.entities)):
        column = max(number - 1, 0)
        scope = Scope.SESSION if code is None else Scope.ENTITY
        measured = {}
        for field in schema.fields:
            if field.scope is not scope:
                continue
            own = values[field.name][:, column]
            if can_glide(field) or field.name in feed:
                measured[field.name] = own[at]
            else:
                series.append(series_of_changes(code, field.name, own, rate))
        if measured:
            series.append(Series(code, frame_times(at, rate), measured))
    return SourceSamples(schema, columns.frame_count, series)


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
        values = self.held(start, stop)
        for f in schema.fields:
            if f.name not in values:
                values[f.name] = np.full((stop - start, schema.width(f)), MISSING, np.int32)
        clocks = [clock.around(start, stop) for clock in self.clocks]
        fill_frames(values, clocks, schema, start, stop - start)
        return Columns(schema, values)

    def held(self, start: int, stop: int) -> dict[str, NDArray[np.int32]]:
        """Frames start … stop - 1 of the fields that are in no clock."""
        gliding = {name for clock in self.clocks for name, _ in clock.columns}
        values = {
            f.name: np.full((stop - start, self.schema.width(f)), MISSING, dtype=np.int32)
            for f in self.schema.fields
            if f.name not in gliding
        }
        for name, column, at, samples in self._changes:
            first = int(np.searchsorted(at, start, side="right")) - 1
            last = int(np.searchsorted(at, stop, side="left"))
            own = slice(max(first, 0), last)
            if own.start < last:
                begin = np.maximum(at[own] - start, 0)
                lengths = np.diff(begin, append=stop - start)
                values[name][begin[0] :, column] = np.repeat(samples[own], lengths)
        return values

    @cached_property
    def _changes(self) -> list[tuple[str, int, NDArray[np.int64], NDArray[np.int32]]]:
        """What is held: (field, column, frames at which it changes, to which samples)."""
        place = {code: number for number, code in enumerate(self.schema.entities)}
        frames = frame_times(np.arange(self.frame_count), self.schema.frame_rate)
        return [
            (
                name,
                0 if series.entity is None else place[series.entity],
                *_on_frames(series, self.schema[name], frames),
            )
            for series in self.series
            for name in series.values
            if not can_glide(self.schema[name])
        ]

    @cached_property
    def clocks(self) -> Sequence[Clock]:
        """What glides, in steps of its fields and at times in ticks; series of about the same times
        together."""
        place = {code: number for number, code in enumerate(self.schema.entities)}
        shared: list[_Shared] = []
        for series in self.series:
            names = [name for name in series.values if can_glide(self.schema[name])]
            if not names or not len(series.times):
                continue
            entity = 0 if series.entity is None else place[series.entity]
            own = _Gliding.of(series, entity, names, self.schema, self.frame_count)
            for clock in reversed(shared[-_CANDIDATES:]):
                if clock.takes(own):
                    break
            else:
                shared.append(clock := _Shared(own.max_gap))
            clock.add(own)
        return [clock.finished(self.frame_count) for clock in shared]

    @cached_property
    def whole(self) -> Columns:
        """All frames; kept once made."""
        return self.columns(0, self.frame_count)


def _on_frames(
    series: Series, field: Field, frames: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The frames at which a held field of a series changes, and to which samples.

    The same as `at_frames` in every frame. frames: seconds, of all of them.
    """
    samples = field.quantise(series.values[field.name])
    at = np.searchsorted(frames, series.times, side="left")
    if not series.lasting:
        # Over a gap and after the end a sample counts on its own frame alone.
        ends = np.append(np.diff(series.times) > series.max_gap, True)[: len(at)]
        after = np.searchsorted(frames, series.times[ends], side="right")
        # A sample on the frame where another one's time is over comes after that.
        order = np.lexsort(
            (
                np.concatenate((2 * np.arange(len(at)), 2 * np.flatnonzero(ends) + 1)),
                np.concatenate((at, after)),
            )
        )
        lost = np.full(len(after), MISSING, np.int32)
        at = np.concatenate((at, after))[order]
        samples = np.concatenate((samples, lost))[order]
    last = np.append(np.diff(at) > 0, True)[: len(at)]
    shown = last & (at < len(frames))
    return at[shown].astype(np.int64), samples[shown]


@dataclass(frozen=True, slots=True)
class _Gliding:
    """What glides of one series: ticks increase; samples are int32, shape (samples, fields)."""

    ticks: NDArray[np.int64]
    samples: NDArray[np.int32]
    columns: Sequence[tuple[str, int]]
    max_gap: int
    lasting: bool

    @classmethod
    def of(
        cls, series: Series, entity: int, names: Sequence[str], schema: Schema, frame_count: int
    ) -> _Gliding:
        rate = schema.frame_rate
        ticks = np.rint(series.times * (rate * TICKS)).astype(np.int64)
        # Two samples beyond each end are all that its frames lie between.
        low = max(int(np.searchsorted(ticks, 0, side="right")) - 2, 0)
        high = int(np.searchsorted(ticks, (frame_count - 1) * TICKS)) + 2
        part = slice(low, high)
        ticks = ticks[part]
        last = np.append(np.diff(ticks) > 0, True)
        samples = [schema[name].quantise(series.values[name][part][last]) for name in names]
        gap = int(min(np.ceil(series.max_gap * rate * TICKS), _MAX_GAP_TICKS))
        columns = [(name, entity) for name in names]
        return cls(ticks[last], np.stack(samples, axis=1), columns, gap, series.lasting)


class _Shared:
    """A clock in the making."""

    def __init__(self, max_gap: int) -> None:
        self.max_gap = max_gap
        self.ticks = np.zeros(0, np.int64)
        self.members: list[_Gliding] = []

    def takes(self, own: _Gliding) -> bool:
        """Whether most of these samples are at times of this clock."""
        if own.max_gap != self.max_gap:
            return False
        at = np.minimum(np.searchsorted(self.ticks, own.ticks), len(self.ticks) - 1)
        return float((self.ticks[at] == own.ticks).mean()) >= _ALIKE

    def add(self, own: _Gliding) -> None:
        self.members.append(own)
        self.ticks = np.union1d(self.ticks, own.ticks)

    def finished(self, frame_count: int) -> Clock:
        ends = frame_count * TICKS
        if lasting := [own for own in self.members if own.lasting]:
            first = min(int(own.ticks[0]) for own in lasting)
            edges = np.append(self.ticks[self.ticks >= first], max(ends, int(self.ticks[-1])))
            wide = np.flatnonzero(np.diff(edges) > self.max_gap)
            more = [np.arange(edges[i], edges[i + 1] + 1, self.max_gap) for i in wide]
            self.ticks = np.union1d(self.ticks, np.concatenate([*more, edges[-1:]]))
        columns = [column for own in self.members for column in own.columns]
        shape = (len(self.ticks), len(columns))
        values, there = np.zeros(shape, np.int32), np.zeros(shape, np.bool_)
        at = 0
        for own in self.members:
            rows = np.searchsorted(self.ticks, own.ticks)
            part = slice(at, at + len(own.columns))
            if own.lasting:
                self._fill_gaps(own, rows, values[:, part], there[:, part])
            values[rows, part] = own.samples
            there[rows, part] = True
            at += len(own.columns)
        return Clock(self.ticks, self.max_gap, columns, values, there)

    def _fill_gaps(
        self,
        own: _Gliding,
        rows: NDArray[np.int64],
        values: NDArray[np.int32],
        there: Flags,
    ) -> None:
        """Samples on the straight line over each gap, and the last value after the last one."""
        ticks = self.ticks
        before = np.searchsorted(own.ticks, ticks, side="right") - 1
        reach = np.append(own.ticks, ticks[-1])
        gap = np.diff(reach) > self.max_gap
        gap[-1] = True
        fill = np.flatnonzero((before >= 0) & gap[np.maximum(before, 0)])
        there[fill] = True
        for column in range(own.samples.shape[1]):
            known = own.samples[:, column] != MISSING
            if not known.any():
                values[fill, column] = MISSING
                continue
            line = np.interp(ticks[fill], own.ticks[known], own.samples[known, column])
            values[fill, column] = np.rint(line).astype(np.int32)
