"""The frames of a live session as far as they have come: a frame source that grows. Pure.

Whole segments are kept as they will be sent, deflated (2 kB a second of a race); only the last,
which still grows, is kept as samples. So two hours of a race take 15 MB.

It is changed by one thread and may be read by others meanwhile: what is there never changes, and
`frame_count` grows last.
"""

from __future__ import annotations

import numpy as np

from sessions_app.recording import MISSING, Columns, Schema, decode_segment, encode_segment
from sessions_app.recording.columns import concatenate

from .layout import Layout, Rows


class GrowingRecording:
    """See the module; `streaming/store/source.py` says what is asked of it.

    Attributes:
        schema: of the samples.
        layout: of the samples.
        frame_count: frames so far, gaps included.
        arrived: when the newest came from its producer, Unix seconds.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.layout = Layout(schema)
        self.frame_count = 0
        self.arrived: float | None = None
        # Per segment its bytes, or None for one that is all gap; and those with fewer entities.
        self._closed: list[bytes | None] = []
        self._older: dict[int, Schema] = {}
        self._tail = (0, self._blank())

    def append(self, numbers: list[int], rows: Rows) -> None:
        """Add frames.

        Args:
            numbers: growing, each above those before; what is left out is a gap.
            rows: their samples in this layout, shape (frames, width).
        """
        size = self.schema.segment_frames
        for number, row in zip(numbers, rows, strict=True):
            if number < self.frame_count:
                continue
            while number >= (len(self._closed) + 1) * size:
                self._close_tail()
            first, tail = self._tail
            tail[number - first] = row
            self.frame_count = number + 1

    def _blank(self) -> Rows:
        return np.full((self.schema.segment_frames, self.layout.width), MISSING, np.int32)

    def _close_tail(self) -> None:
        first, tail = self._tail
        empty = bool((tail == MISSING).all())
        self._closed.append(None if empty else encode_segment(self._columns(tail), first))
        self._tail = (first + self.schema.segment_frames, tail if empty else self._blank())
        self.frame_count = max(self.frame_count, first + self.schema.segment_frames)

    def _columns(self, rows: Rows) -> Columns:
        values = self.layout.values(rows)
        return Columns(self.schema, {n: np.ascontiguousarray(v) for n, v in values.items()})

    def with_entity(self, code: str) -> GrowingRecording:
        """The same with one entity more, whose samples so far are missing.

        Raises: InvalidColumns if there is one of that code already.
        """
        old = self.schema
        schema = Schema(old.fields, (*old.entities, code), old.frame_rate, old.segment_frames)
        grown = GrowingRecording(schema)
        grown._closed = list(self._closed)
        grown._older = {
            index: self._older.get(index, old)
            for index, segment in enumerate(self._closed)
            if segment is not None
        }
        first, tail = self._tail
        grown._tail = (first, grown.layout.widened(tail, self.layout))
        grown.frame_count, grown.arrived = self.frame_count, self.arrived
        return grown

    def segment(self, index: int) -> bytes:
        """Deflated bytes of the stride-1 segment `index`. Raises: IndexError."""
        first, count = index * self.schema.segment_frames, self.frame_count
        if not 0 <= first < count:
            raise IndexError(f"segment {index}: there are {count} frames")
        if index < len(self._closed) and index not in self._older:
            segment = self._closed[index]
            if segment is not None:
                return segment
        stop = min(first + self.schema.segment_frames, count)
        return encode_segment(self.columns(first, stop), first)

    def columns(self, start: int, stop: int) -> Columns:
        """Frames start … stop - 1. Raises: IndexError."""
        if not 0 <= start < stop <= self.frame_count:
            raise IndexError(f"frames {start}…{stop - 1}: there are {self.frame_count}")
        size = self.schema.segment_frames
        parts = []
        for index in range(start // size, (stop - 1) // size + 1):
            first = index * size
            whole = self._segment_columns(index)
            parts.append(whole.slice(max(start - first, 0), min(stop - first, size)))
        return concatenate(parts)

    def _segment_columns(self, index: int) -> Columns:
        # Read before what is closed: a segment that is closed meanwhile is in one of the two.
        first, tail = self._tail
        if index * self.schema.segment_frames == first:
            return self._columns(tail.copy())
        segment = self._closed[index]
        if segment is None:
            return self._columns(self._blank())
        older = self._older.get(index)
        if older is None:
            return decode_segment(segment, self.schema)[1]
        before = Layout(older)
        values = decode_segment(segment, older)[1].values
        rows = np.concatenate([values[field.name] for field in older.fields], axis=1)
        return self._columns(self.layout.widened(rows, before))
