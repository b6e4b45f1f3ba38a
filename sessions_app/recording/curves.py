"""Samples at their own times → one value a frame: the arithmetic that every reader repeats.

Specification: docs/recording-format.md, "Between samples". Times are ticks, `TICKS` to a frame;
frame f is at tick f × TICKS. Results are integers, and the same in every language: only additions,
multiplications and divisions of 64-bit floats in the order given, then one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidColumns
from .fields import MISSING, Field, FieldKind

Ticks = NDArray[np.int64]
Flags = NDArray[np.bool_]

TICKS = 8
"""Ticks to a frame: 5 ms at 25 frames a second, in which a car does 0.4 m. A finer tick would
only code the noise of the feeds, which give multiples of 20 ms, one more or less."""
_LARGEST = 2.0**31 - 1


@dataclass(frozen=True, slots=True)
class Clock:
    """Columns that were measured at the same times.

    Attributes:
        ticks: increasing, shape (samples,); before frame 0 they are negative.
        max_gap: ticks; between samples of a column farther apart there is no value.
        columns: (name of the field, number of the entity, or 0) of each column.
        values: int32, shape (samples, columns); `MISSING` says that there is no value on either
            side of this sample.
        there: shape (samples, columns); false where this column was not measured: its neighbours
            count, and its value here means nothing.
    """

    ticks: Ticks
    max_gap: int
    columns: Sequence[tuple[str, int]]
    values: NDArray[np.int32]
    there: Flags

    def __post_init__(self) -> None:
        shape = (len(self.ticks), len(self.columns))
        if self.values.shape != shape or self.there.shape != shape:
            raise InvalidColumns(f"clock: values of {self.values.shape}: expected {shape}")
        if not bool(np.all(np.diff(self.ticks) > 0)):
            raise InvalidColumns("clock: expected times that increase")

    def around(self, start: int, stop: int) -> Clock:
        """All that frames start … stop - 1 lie between, and at least one sample more."""
        # What is farther away is beyond a gap.
        first = np.searchsorted(self.ticks, start * TICKS - 2 * self.max_gap)
        last = np.searchsorted(self.ticks, stop * TICKS + 2 * self.max_gap)
        part = slice(int(first), int(last))
        return Clock(
            self.ticks[part], self.max_gap, self.columns, self.values[part], self.there[part]
        )

    def groups(self) -> list[tuple[Flags, list[int]]]:
        """(where they were measured, numbers of the columns), together where that is the same."""
        found: dict[bytes, tuple[Flags, list[int]]] = {}
        for column in range(len(self.columns)):
            own = np.ascontiguousarray(self.there[:, column])
            found.setdefault(own.tobytes(), (own, []))[1].append(column)
        return list(found.values())


def can_glide(field: Field) -> bool:
    """Whether samples of this field can be stored at their own times: what is held changes on
    frames, and a full turn has to be a whole number of steps."""
    if field.kind is FieldKind.ANGLE:
        turn = 360.0 / field.scale
        return turn == np.floor(turn) and turn < _LARGEST
    return field.kind is not FieldKind.HELD


def at_frames(clock: Clock, fields: Sequence[Field], start: int, stop: int) -> NDArray[np.int32]:
    """Every column of a clock at frames start … stop - 1; see `at_ticks`."""
    return at_ticks(clock, fields, np.arange(start, stop, dtype=np.int64) * TICKS)


def at_ticks(clock: Clock, fields: Sequence[Field], frames: Ticks) -> NDArray[np.int32]:
    """Every column of a clock at some times.

    Args:
        clock: holds at least the samples that these times lie between, and one more on each side.
        fields: of the columns.
        frames: ticks, increasing, shape (frames,).

    Returns:
        int32, shape (frames, columns), `MISSING` where there is no value.
    """
    result = np.full((len(frames), len(clock.columns)), MISSING, dtype=np.int32)
    for own, columns in clock.groups():
        ticks = clock.ticks[own]
        if not len(ticks):
            continue
        values = clock.values[own]
        for kind in FieldKind:
            chosen = [c for c in columns if fields[c].kind is kind]
            if chosen:
                turn = 360.0 / fields[chosen[0]].scale if kind is FieldKind.ANGLE else 0.0
                result[:, chosen] = _between(
                    ticks, values[:, chosen], frames, clock.max_gap, kind, turn
                )
    return result


def _between(
    ticks: Ticks,
    samples: NDArray[np.int32],
    frames: Ticks,
    max_gap: int,
    kind: FieldKind,
    turn: float,
) -> NDArray[np.int32]:
    """Columns of one kind that have every sample. turn: steps in a circle, for angles."""
    place = np.searchsorted(ticks, frames, side="right") - 1
    exact = (place >= 0) & (ticks[np.maximum(place, 0)] == frames)
    result = np.full((len(frames), samples.shape[1]), MISSING, dtype=np.int32)
    if len(ticks) > 1:
        step = np.diff(ticks).astype(np.float64)[:, None]
        absent = samples == MISSING
        linked = (step <= max_gap) & ~absent[:-1] & ~absent[1:]
        values = samples.astype(np.float64)
        rise = values[1:] - values[:-1]
        if kind is FieldKind.ANGLE:
            rise = rise - turn * np.floor(rise / turn + 0.5)
        inside = np.flatnonzero((place >= 0) & (place < len(ticks) - 1))
        i = place[inside]
        part = (frames[inside] - ticks[i]).astype(np.float64)[:, None] / step[i]
        first, way = values[i], rise[i]
        if kind is FieldKind.CUBIC:
            slope = _slopes(rise, step, linked)
            rest = 1.0 - part
            curve = first + way * (part * part * (3.0 - 2.0 * part))
            curve = curve + slope[i] * (step[i] * (part * (rest * rest)))
            curve = curve - slope[i + 1] * (step[i] * (part * part * rest))
        else:
            curve = first + way * part
        curve = np.floor(curve + 0.5)
        if kind is FieldKind.ANGLE:
            curve = curve - turn * np.floor(curve / turn)
        curve = np.minimum(np.maximum(curve, -_LARGEST), _LARGEST)
        result[inside] = np.where(linked[i], curve, float(MISSING)).astype(np.int32)
    result[exact] = samples[place[exact]]
    return result


def _slopes(
    rise: NDArray[np.float64], step: NDArray[np.float64], linked: Flags
) -> NDArray[np.float64]:
    """Of the curve at each sample, steps a tick: of the chords on both sides, weighted by the other
    one's length; of one chord where the other side has no value."""
    chord = np.where(linked, rise / step, 0.0)
    slope = np.zeros((len(chord) + 1, chord.shape[1]))
    slope[:-1] = chord
    slope[-1] = chord[-1]
    before, after = linked[:-1], linked[1:]
    both = (chord[:-1] * step[1:] + chord[1:] * step[:-1]) / (step[1:] + step[:-1])
    slope[1:-1] = np.where(before & after, both, np.where(after, chord[1:], chord[:-1]))
    return slope
