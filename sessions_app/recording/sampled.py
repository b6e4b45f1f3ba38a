"""Segments of format 2: what was measured, at its own times; what is held, when it changes.

Specification: docs/recording-format.md. A segment has all samples that its frames lie between, also
those before its first frame and after its last one, so that it decodes alone, and to the same
values on both sides of a border.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, Samples
from .curves import TICKS, Clock, at_frames, can_glide
from .dense import (
    FORMAT_SAMPLES,
    HEADER,
    MAX_FRAMES,
    TABLE_ENTRY,
    WIDTHS,
    SegmentHeader,
    decode_field,
    pack_field,
)
from .errors import CorruptRecording, InvalidColumns
from .fields import MISSING, Field, FieldKind, Schema

CODING_CHANGES = 3
CODING_SAMPLES = (4, 5, 6)
"""Predicted as the sample before; on from the last step; on from the last two."""
CODING_EVERY = 16
"""Plus n: frames 0, n, 2n …, held in between; n is 2 … 239."""
_MOST_EVERY = 239
MASK_THERE, MASK_MISSING = 1, 2
"""Bits of the mask of samples: bitmaps of which samples are there, and which have no value."""
ALL_THEIR_OWN = 0xFFFF
"""Instead of a clock's number: every entity's follows."""
NO_CLOCK = 0xFFFE
MAX_CLOCKS = 0xFFFE
STEEPEST = 4.0
"""How much longer than the last step the next one may be for the prediction of a sample."""
MAX_CLOCK_BYTES = 1 << 24
"""Of the times in one segment."""
_CLOCK = struct.Struct("<HIiB")  # samples, max_gap, first tick from the first frame's, byte width
_BATCH = 64
"""Segments of which frames are made at once."""

_LARGEST = 2.0**31 - 1

UInts = NDArray[np.uint32]


class Measured(Protocol):
    """What a recording is made of: the clocks that some of its fields follow, which have in every
    frame what `curves.at_frames` gives, and frames of the other fields."""

    @property
    def schema(self) -> Schema: ...
    @property
    def frame_count(self) -> int: ...
    @property
    def clocks(self) -> Sequence[Clock]: ...
    def held(self, start: int, stop: int) -> Mapping[str, Samples]:
        """Frames start … stop - 1 of at least every field that is in no clock."""


@dataclass(frozen=True, slots=True)
class Frames:
    """All frames at once, as something measured. clocks: of fields whose samples are known."""

    frames: Columns
    clocks: Sequence[Clock] = ()

    @property
    def schema(self) -> Schema:
        return self.frames.schema

    @property
    def frame_count(self) -> int:
        return self.frames.frame_count

    def columns(self, start: int, stop: int) -> Columns:
        return self.frames.slice(start, stop)

    def held(self, start: int, stop: int) -> Mapping[str, Samples]:
        return self.columns(start, stop).values


def pack_measured(content: Measured, frames: int) -> Iterator[bytes]:
    """Segments of `frames` frames each, in order, before deflating; the last may be shorter.

    Raises: InvalidColumns if there are no frames, or too many in a segment.
    """
    if content.frame_count == 0:
        raise InvalidColumns("no frames to encode")
    if not 1 <= frames <= MAX_FRAMES:
        raise InvalidColumns(f"{frames} frames in a segment: expected 1 to {MAX_FRAMES}")
    packer = _Packer(content, frames)
    for start in range(0, content.frame_count, frames * _BATCH):
        stop = min(start + frames * _BATCH, content.frame_count)
        block = content.held(start, stop)
        for first in range(start, stop, frames):
            part = slice(first - start, min(first + frames, stop) - start)
            yield packer.pack({name: v[part] for name, v in block.items()}, first)


class _Windows:
    """Of one clock: which samples each segment needs, and all of them without holes."""

    def __init__(
        self, clock: Clock, kinds: Sequence[FieldKind], frame_count: int, frames: int
    ) -> None:
        self.clock = clock
        starts = np.arange(0, frame_count, frames)
        base = starts * TICKS
        end = (np.minimum(starts + frames, frame_count) - 1) * TICKS
        low, high = base.copy(), end.copy()
        ticks, gap = clock.ticks, clock.max_gap
        for own, columns in clock.groups():
            # A curve also needs the samples before and after those that a frame lies between.
            curved = any(kinds[c] is FieldKind.CUBIC for c in columns)
            t = ticks[own]
            if not len(t):
                continue
            at = np.searchsorted(t, base, side="right") - 1
            before = t[np.maximum(at, 0)]
            earlier = t[np.maximum(at - 1, 0)]
            needed = np.where(curved & (before - earlier <= gap), earlier, before)
            low = np.where((at >= 0) & (base - before <= gap), np.minimum(low, needed), low)
            at = np.searchsorted(t, end, side="left")
            last = len(t) - 1
            after = t[np.minimum(at, last)]
            later = t[np.minimum(at + 1, last)]
            needed = np.where(curved & (later - after <= gap), later, after)
            high = np.where((at <= last) & (after - end <= gap), np.maximum(high, needed), high)
        self.first = np.searchsorted(ticks, low, side="left")
        self.stop = np.searchsorted(ticks, high, side="right")
        self.whole = _without_holes(clock)


def _without_holes(clock: Clock) -> NDArray[np.float64]:
    """Values with something easy to predict where there is none: on the way between neighbours."""
    whole = clock.values.astype(np.float64)
    known = clock.there & (clock.values != MISSING)
    for column in np.flatnonzero(~known.all(axis=0)):
        own = known[:, column]
        whole[:, column] = (
            np.rint(np.interp(clock.ticks, clock.ticks[own], whole[own, column]))
            if own.any()
            else 0.0
        )
    return whole


class _Packer:
    """Packs the segments of one recording."""

    def __init__(self, content: Measured, frames: int) -> None:
        self.schema = content.schema
        self.frames = frames
        self.frame_count = content.frame_count
        # More than can be numbered: then every frame is stored.
        clocks = content.clocks if len(content.clocks) <= MAX_CLOCKS else ()
        self.windows = [
            _Windows(
                clock,
                [self.schema[name].kind for name, _ in clock.columns],
                content.frame_count,
                frames,
            )
            for clock in clocks
        ]
        # field → (number of the clock, number of the column in it) of each entity.
        self.places: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for number, clock in enumerate(clocks):
            for column, (name, entity) in enumerate(clock.columns):
                if name not in self.places:
                    if not can_glide(self.schema[name]):
                        raise InvalidColumns(f"{name!r} is held: it changes on frames")
                    width = self.schema.width(self.schema[name])
                    self.places[name] = (np.full(width, NO_CLOCK), np.zeros(width, np.int64))
                self.places[name][0][entity] = number
                self.places[name][1][entity] = column

    def pack(self, held: Mapping[str, Samples], first: int) -> bytes:
        """One segment. held: frames of what is in no clock; first: number of the first one."""
        schema, segment = self.schema, first // self.frames
        frames = min(self.frames, self.frame_count - first)
        used: dict[int, int] = {}
        packed: dict[str, tuple[bytes, bytes]] = {}
        cut: dict[int, _Cut] = {}
        for field in schema.fields:
            name, width = field.name, schema.width(field)
            if name in self.places:
                numbers, places = self.places[name]
                for number in dict.fromkeys(numbers.tolist()):
                    if number != NO_CLOCK and number not in cut:
                        cut[number] = _Cut(self.windows[number], segment)
                sizes = [cut[n].count for n in numbers.tolist() if n != NO_CLOCK]
                # As many samples as frames: then the frames are smaller.
                if sum(sizes) <= 0.9 * frames * width and max(sizes) <= MAX_FRAMES:
                    packed[name] = self._samples(numbers, places, cut, used)
                    continue
                samples = self._frames_of(field, first, frames)
            else:
                samples = np.ascontiguousarray(held[name])
            changes = _changes(samples)
            if changes is None:
                order = min(field.kind.difference_order, frames)
                changes = pack_field(samples[None], order)[0]
            packed[name] = changes
        header = HEADER.pack(
            FORMAT_SAMPLES,
            len(schema.fields),
            frames,
            len(schema.entities),
            1,
            first,
            TICKS,
            len(used),
        )
        table = b"".join(packed[f.name][0] for f in schema.fields)
        times = [cut[number].times(first * TICKS) for number in used]
        return b"".join((header, table, *times, *(packed[f.name][1] for f in schema.fields)))

    def _frames_of(self, field: Field, first: int, frames: int) -> Samples:
        """Every frame of a field that is in clocks."""
        numbers, places = self.places[field.name]
        result = np.full((frames, len(numbers)), MISSING, np.int32)
        for entity, number in enumerate(numbers.tolist()):
            if number != NO_CLOCK:
                whole = self.windows[number].clock.around(first, first + frames)
                column = int(places[entity])
                alone = Clock(
                    whole.ticks,
                    whole.max_gap,
                    [(field.name, entity)],
                    whole.values[:, column : column + 1],
                    whole.there[:, column : column + 1],
                )
                result[:, entity] = at_frames(alone, [field], first, first + frames)[:, 0]
        return result

    def _samples(
        self,
        numbers: NDArray[np.int64],
        places: NDArray[np.int64],
        cut: dict[int, _Cut],
        used: dict[int, int],
    ) -> tuple[bytes, bytes]:
        """(entry, body) of a field that was measured; `used` numbers the segment's clocks."""
        own = [int(n) for n in dict.fromkeys(numbers.tolist()) if n != NO_CLOCK]
        for number in own:
            used.setdefault(number, len(used))
        same = len(own) == 1 and not (numbers == NO_CLOCK).any()
        if same:
            clocks = struct.pack("<H", used[own[0]])
            runs = [(cut[own[0]], places)]
        else:
            names = [ALL_THEIR_OWN, *(used.get(int(n), NO_CLOCK) for n in numbers)]
            clocks = np.array(names, "<u2").tobytes()
            runs = [
                (cut[int(n)], places[e : e + 1])
                for e, n in enumerate(numbers.tolist())
                if n != NO_CLOCK
            ]
        there = [piece.there[:, at].T.reshape(-1) for piece, at in runs]
        missing = [piece.missing[:, at].T.reshape(-1) for piece, at in runs]
        holes, lost = np.concatenate(there), np.concatenate(missing)
        mask = (0 if holes.all() else MASK_THERE) | (MASK_MISSING if lost.any() else 0)
        parts = [clocks]
        if mask & MASK_THERE:
            parts.append(np.packbits(holes, bitorder="little").tobytes())
        if mask & MASK_MISSING:
            parts.append(np.packbits(lost, bitorder="little").tobytes())
        heads = [piece.values[:1, at].reshape(-1) for piece, at in runs]
        parts.append(_byte_planes(np.concatenate(heads).astype(np.int64), 4))
        best = None
        for steps in range(len(CODING_SAMPLES)):
            rest = np.concatenate([p.residuals(steps)[:, at].T.reshape(-1) for p, at in runs])
            coded = _zigzag(rest)
            cost = float(np.log2(coded + 1.0).sum())
            if best is None or cost < best[0]:
                best = (cost, steps, coded)
        assert best is not None
        _, steps, coded = best
        width = _byte_width(coded)
        parts.append(_byte_planes(coded, width))
        return bytes((CODING_SAMPLES[steps], width, mask)), b"".join(parts)


class _Cut:
    """What one segment has of one clock."""

    def __init__(self, windows: _Windows, segment: int) -> None:
        part = slice(int(windows.first[segment]), int(windows.stop[segment]))
        clock = windows.clock
        self.ticks = clock.ticks[part]
        self.count = len(self.ticks)
        self.max_gap = clock.max_gap
        self.values = windows.whole[part]
        self.there = clock.there[part]
        self.missing = self.there & (clock.values[part] == MISSING)
        self._residuals: dict[int, NDArray[np.float64]] = {}

    def residuals(self, steps: int) -> NDArray[np.float64]:
        """Of all columns, predicted by so many steps; shape (samples - 1, columns)."""
        if steps not in self._residuals:
            values = self.values
            rest = values[1:] - values[:-1]
            for back in range(1, min(steps, self.count - 2) + 1):
                # The first ones have fewer steps before them.
                part = slice(back, None if back == steps else back + 1)
                way = (values[back:-1] - values[: -1 - back])[: 1 if back < steps else None]
                lengths = _lengths(self.ticks, back)[: len(way)]
                rest[part] -= np.floor(way * lengths[:, None])
            self._residuals[steps] = rest
        return self._residuals[steps]

    def times(self, base: int) -> bytes:
        steps = np.diff(self.ticks)
        width = _byte_width(steps)
        first = int(self.ticks[0]) - base if self.count else 0
        head = _CLOCK.pack(self.count, self.max_gap, first, width)
        return head + _byte_planes(steps, width)


def _lengths(ticks: NDArray[np.int64], back: int) -> NDArray[np.float64]:
    """Of each step that has `back` steps before it, in lengths of those."""
    steps = np.diff(ticks[back:]).astype(np.float64)
    before = (ticks[back:-1] - ticks[: -1 - back]).astype(np.float64)
    return np.minimum(steps / before, STEEPEST)


def _zigzag(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Modulo 2**32, zigzag-coded: 0 … 2**32 - 1."""
    wrapped = ((values.astype(np.int64) + 2**31) & 0xFFFFFFFF) - 2**31
    return (wrapped << 1) ^ (wrapped >> 63)


def _byte_width(values: NDArray[np.int64]) -> int:
    largest = int(values.max()) if values.size else 0
    return 0 if largest == 0 else 1 if largest < 256 else 2 if largest < 65536 else 4


def _byte_planes(values: NDArray[np.int64], width: int) -> bytes:
    """Modulo 2**32, low bytes first."""
    if not width or not values.size:
        return b""
    whole = (values & 0xFFFFFFFF).astype("<u4").view(np.uint8).reshape(-1, 4)
    return whole.T[:width].tobytes()


def _changes(samples: Samples) -> tuple[bytes, bytes] | None:
    """(entry, body) of a field by its changes; None where frame by frame is shorter."""
    frames, width = samples.shape
    each = 1 if frames <= 256 else 2
    differ = samples[1:] != samples[:-1]
    if not differ.any():
        first = _byte_planes(samples[0].astype(np.int64), 4)
        return bytes((CODING_CHANGES, 0, each)), first + bytes(each * width)
    column, frame = np.nonzero(differ.T)
    every = int(np.gcd.reduce(frame + 1))
    if 2 <= every <= _MOST_EVERY and 5 * len(frame) > 2 * width * (frames // every):
        # It is taken anew at a lower rate, and differs more often than not.
        entry, taken = pack_field(np.ascontiguousarray(samples[::every])[None], 1)[0]
        return bytes((CODING_EVERY + every, *entry[1:])), taken
    if 4 * len(frame) > frames * width:
        return None
    counts = np.bincount(column, minlength=width)
    steps = np.diff(frame + 1, prepend=0)
    begins = np.searchsorted(column, np.flatnonzero(counts))
    steps[begins] = frame[begins] + 1
    before = samples.T[column, frame].astype(np.int64)
    rest = _zigzag((samples.T[column, frame + 1] - before).astype(np.float64))
    byte_width = _byte_width(rest)
    body = (
        _byte_planes(samples[0].astype(np.int64), 4),
        _byte_planes(counts.astype(np.int64), each),
        _byte_planes(steps.astype(np.int64), each),
        _byte_planes(rest, byte_width),
    )
    return bytes((CODING_CHANGES, byte_width, each)), b"".join(body)


class _Reader:
    """Reads a payload from front to back. Raises: CorruptRecording at its end."""

    def __init__(self, payload: bytes, at: int) -> None:
        self.payload = payload
        self.at = at

    def take(self, size: int) -> NDArray[np.uint8]:
        if self.at + size > len(self.payload):
            raise CorruptRecording("segment ends inside its fields")
        found = np.frombuffer(self.payload, np.uint8, size, self.at)
        self.at += size
        return found

    def numbers(self, count: int, width: int) -> UInts:
        """Byte planes."""
        cut = self.take(count * width).reshape(width, count)
        if not width:
            return np.zeros(count, np.uint32)
        result: UInts = cut[0].astype(np.uint32)
        for plane in range(1, width):
            result |= cut[plane].astype(np.uint32) << np.uint32(8 * plane)
        return result

    def residuals(self, count: int, width: int) -> NDArray[np.int64]:
        coded = self.numbers(count, width).astype(np.int64)
        return (coded >> 1) ^ -(coded & 1)

    def bits(self, count: int) -> NDArray[np.bool_]:
        packed = self.take((count + 7) // 8)
        return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)


class _ClockBeingRead:
    """A clock of a segment, and the columns that fields add to it."""

    def __init__(self, reader: _Reader, base: int) -> None:
        count, self.max_gap, first, width = _CLOCK.unpack(reader.take(_CLOCK.size).tobytes())
        if width not in WIDTHS:
            raise CorruptRecording(f"segment clock: width {width}")
        self.count = count
        steps = reader.numbers(max(count - 1, 0), width).astype(np.int64)
        if (steps == 0).any():
            raise CorruptRecording("segment clock: times do not increase")
        start = np.array([base + first][: min(count, 1)], np.int64)
        self.ticks = np.cumsum(np.concatenate((start, steps)))
        self.columns: list[tuple[str, int]] = []
        self.fields: list[Field] = []
        self.heads: list[NDArray[np.int64]] = []
        self.rests: list[NDArray[np.int64]] = []
        self.steps: list[int] = []
        self.there: list[NDArray[np.bool_]] = []
        self.missing: list[NDArray[np.bool_]] = []

    def clock(self) -> Clock:
        count, width = self.count, len(self.columns)
        values = np.zeros((count, width), np.int64)
        if count:
            values[0] = np.concatenate(self.heads)
            rest = np.concatenate(self.rests).reshape(width, count - 1).T
            _add_predictions(values, rest, self.ticks, np.array(self.steps))
        samples = values.astype(np.int32)
        if count:
            samples[np.concatenate(self.missing).reshape(width, count).T] = MISSING
            there = np.concatenate(self.there).reshape(width, count).T
        else:
            there = np.zeros((0, width), np.bool_)
        return Clock(self.ticks, self.max_gap, self.columns, samples, there)


def _add_predictions(
    values: NDArray[np.int64],
    rest: NDArray[np.int64],
    ticks: NDArray[np.int64],
    steps: NDArray[np.int64],
) -> None:
    """Rows 1, 2 … of `values` from row 0 and the residuals, modulo 2**32."""
    made = values.astype(np.float64)
    left = np.ascontiguousarray(rest, dtype=np.float64)
    lengths = [_lengths(ticks, back) for back in (1, 2)]
    one, two = (steps >= 1).astype(np.float64), (steps == 2).astype(np.float64)
    only_one = (steps == 1).astype(np.float64)
    wraps = bool(np.abs(rest).max(initial=0) > 2**24)
    for i in range(1, len(made)):
        last = made[i - 1]
        guess = last + left[i - 1]
        if i > 1:
            near = one if i == 2 else only_one
            guess += np.floor((last - made[i - 2]) * lengths[0][i - 2]) * near
        if i > 2:
            guess += np.floor((last - made[i - 3]) * lengths[1][i - 3]) * two
        if wraps or np.abs(guess).max() > _LARGEST:
            guess = (guess + 2.0**31) % 2.0**32 - 2.0**31
        made[i] = guess
    values[:] = made.astype(np.int64)


def read_clocks(
    payload: bytes, header: SegmentHeader, schema: Schema
) -> tuple[list[Clock], dict[str, Samples]]:
    """What an inflated segment of format 2 holds.

    Returns:
        (clocks with the samples as they were measured, frames of the fields that are in no clock).

    Raises:
        CorruptRecording: the bytes are damaged, or of another schema.
    """
    try:
        return _read_clocks(payload, header, schema)
    except ValueError as error:
        raise CorruptRecording(f"segment ends inside its fields: {error}") from error


def _read_clocks(
    payload: bytes, header: SegmentHeader, schema: Schema
) -> tuple[list[Clock], dict[str, Samples]]:
    if header.ticks != TICKS:
        raise CorruptRecording(f"segment of {header.ticks} ticks a frame: expected {TICKS}")
    table = payload[HEADER.size : HEADER.size + TABLE_ENTRY * header.fields]
    reader = _Reader(payload, HEADER.size + TABLE_ENTRY * header.fields)
    base = header.first_frame * TICKS
    clocks = [_ClockBeingRead(reader, base) for _ in range(header.clocks)]
    values: dict[str, Samples] = {}
    for i, field in enumerate(schema.fields):
        coding, width, mask = table[TABLE_ENTRY * i : TABLE_ENTRY * (i + 1)]
        columns = schema.width(field)
        if coding in (1, 2):
            values[field.name], reader.at = decode_field(
                payload, reader.at, header.frames, columns, coding, width, mask
            )
        elif coding > CODING_EVERY + 1:
            every = coding - CODING_EVERY
            taken, reader.at = decode_field(
                payload, reader.at, -(-header.frames // every), columns, 1, width, mask
            )
            values[field.name] = np.repeat(taken, every, axis=0)[: header.frames]
        elif width not in WIDTHS:
            raise CorruptRecording(f"segment table: coding {coding}, width {width}")
        elif coding == CODING_CHANGES:
            values[field.name] = _read_changes(reader, header.frames, columns, width, mask)
        elif coding in CODING_SAMPLES and mask <= 3 and can_glide(field):
            steps = CODING_SAMPLES.index(coding)
            _read_samples(reader, clocks, field, columns, steps, width, mask)
        else:
            raise CorruptRecording(f"segment table: coding {coding}, mask {mask}")
    if reader.at != len(payload):
        raise CorruptRecording(f"segment of {len(payload)} bytes: {reader.at} expected")
    return [clock.clock() for clock in clocks], values


def decode_sampled(payload: bytes, header: SegmentHeader, schema: Schema) -> Columns:
    """The frames of an inflated segment of format 2. Raises: CorruptRecording."""
    clocks, values = read_clocks(payload, header, schema)
    for field in schema.fields:
        if field.name not in values:
            shape = (header.frames, schema.width(field))
            values[field.name] = np.full(shape, MISSING, np.int32)
    fill_frames(values, clocks, schema, header.first_frame, header.frames)
    return Columns(schema, values)


def fill_frames(
    values: dict[str, Samples], clocks: Sequence[Clock], schema: Schema, first: int, frames: int
) -> None:
    """Put what lies between the samples of clocks into frames first, first + 1 …"""
    for clock in clocks:
        fields = [schema[name] for name, _ in clock.columns]
        made = at_frames(clock, fields, first, first + frames)
        for number, (name, column) in enumerate(clock.columns):
            values[name][:, column] = made[:, number]


def _read_changes(reader: _Reader, frames: int, columns: int, width: int, each: int) -> Samples:
    if each not in (1, 2):
        raise CorruptRecording(f"segment table: counts of {each} bytes")
    first = reader.numbers(columns, 4).view(np.int32)
    counts = reader.numbers(columns, each).astype(np.int64)
    total = int(counts.sum())
    if not total:
        return np.ascontiguousarray(np.broadcast_to(first, (frames, columns)))
    steps = reader.numbers(total, each).astype(np.int64)
    rest = reader.residuals(total, width)
    # Every column is its first value, then what it changes to: runs of frames.
    begins = np.cumsum(counts + 1) - (counts + 1)
    later = np.ones(total + columns, np.bool_)
    later[begins] = False
    values = np.empty(total + columns, np.int64)
    at = np.zeros(total + columns, np.int64)
    values[later], at[later] = rest, steps
    values[begins] = 0
    values, at = np.cumsum(values), np.cumsum(at)
    owner = np.repeat(np.arange(columns), counts + 1)
    values += (first.astype(np.int64) - values[begins])[owner]
    at -= at[begins][owner]
    if bool((steps == 0).any()) or int(at.max()) >= frames:
        raise CorruptRecording("segment has changes beyond its frames")
    lengths = np.append(at[1:], 0) - at
    lengths[np.append(begins[1:], total + columns) - 1] = (
        frames - at[np.append(begins[1:], total + columns) - 1]
    )
    wrapped = ((values + 2**31) & 0xFFFFFFFF) - 2**31
    whole = np.repeat(wrapped.astype(np.int32), lengths).reshape(columns, frames)
    return np.ascontiguousarray(whole.T)


def _read_samples(
    reader: _Reader,
    clocks: Sequence[_ClockBeingRead],
    field: Field,
    columns: int,
    steps: int,
    width: int,
    mask: int,
) -> None:
    """Add a field's columns to the clocks that they follow."""
    number = int(reader.take(2).view("<u2")[0])
    numbers = [number] * columns
    if number == ALL_THEIR_OWN:
        numbers = reader.take(2 * columns).copy().view("<u2").tolist()
    if any(n != NO_CLOCK and n >= len(clocks) for n in numbers):
        raise CorruptRecording(f"segment has {len(clocks)} clocks: field {field.name!r} has more")
    own = [(entity, clocks[n]) for entity, n in enumerate(numbers) if n != NO_CLOCK]
    sizes = [clock.count for _, clock in own]
    total = sum(sizes)
    nothing = np.zeros(total, np.bool_)
    there = reader.bits(total) if mask & MASK_THERE else ~nothing
    missing = reader.bits(total) if mask & MASK_MISSING else nothing
    began = [size > 0 for size in sizes]
    heads = reader.numbers(sum(began), 4).view(np.int32).astype(np.int64)
    rests = reader.residuals(total - sum(began), width)
    at = head = rest = 0
    for (entity, clock), size in zip(own, sizes, strict=True):
        clock.columns.append((field.name, entity))
        clock.fields.append(field)
        clock.steps.append(steps)
        clock.there.append(there[at : at + size])
        clock.missing.append(missing[at : at + size])
        at += size
        if size:
            clock.heads.append(heads[head : head + 1])
            clock.rests.append(rests[rest : rest + size - 1])
            head += 1
            rest += size - 1
