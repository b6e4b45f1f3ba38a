"""Segments and rows of any stride and subset, made from a source's stride-1 segments. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sessions_app.recording import Columns, Schema, decode_segment, encode_segment
from sessions_app.recording.columns import concatenate

from .rows import encode_rows
from .source import FrameSource
from .subset import EVERYTHING, subset_schema

STRIDES = (1, 2, 4, 8, 16, 32, 64)

MOST_ROWS = 50
"""In a block."""

Finished = Callable[[int, int], bytes | None]
"""(stride, index) → that segment of all fields and entities, if someone has it already."""


def segment_span(schema: Schema, stride: int) -> int:
    """Frames of the recording that one segment of `stride` stands for."""
    return schema.segment_frames * stride


def rows_span(schema: Schema, stride: int) -> int:
    """Frames of the recording that one block of rows of `stride` stands for: a segment of a race
    has 12 seconds, whose rows would take a megabyte, and long to make when somebody seeks."""
    return min(schema.segment_frames, MOST_ROWS) * stride


def segment_count(schema: Schema, frame_count: int, stride: int) -> int:
    """Segments of `stride` in a recording of `frame_count` frames."""
    return -(-frame_count // segment_span(schema, stride))


def thin(source: FrameSource, stride: int, index: int, finished: Finished | None = None) -> Columns:
    """The samples of segment `index` at `stride`: frames index*F*stride, +stride, … (at most F).

    finished: segments of smaller strides that need not be decoded from the file again.
    Raises: IndexError if the recording ends before them.
    """
    span = segment_span(source.schema, stride)
    if not 0 <= index < segment_count(source.schema, source.frame_count, stride):
        raise IndexError(
            f"segment {index} at stride {stride}: the recording has "
            f"{segment_count(source.schema, source.frame_count, stride)}"
        )
    return _thinned(source, stride, index * span, (index + 1) * span, finished)


def _thinned(
    source: FrameSource, stride: int, start: int, stop: int, finished: Finished | None
) -> Columns:
    """Frames start, start + stride, … before `stop`, or before the recording's end."""
    schema = source.schema
    stop = min(stop, source.frame_count)
    finer = stride // 2
    while finished is not None and finer >= 1:
        parts = _finer_parts(source, finer, start, stop, finished)
        if parts is not None:
            step = stride // finer
            return concatenate(parts).slice(0, -(-(stop - start) // finer), step)
        finer //= 2
    # Thin each segment as it is decoded: 64 whole ones at once would be 64 times the memory.
    parts = []
    size = schema.segment_frames
    for begin in range(start - start % size, stop, size):
        first, last = max(begin, start), min(begin + size, stop)
        offset = -(first - start) % stride
        if first + offset < last:
            parts.append(source.columns(first, last).slice(offset, last - first, stride))
    return concatenate(parts)


def _finer_parts(
    source: FrameSource, finer: int, start: int, stop: int, finished: Finished
) -> list[Columns] | None:
    span = segment_span(source.schema, finer)
    if start % span:
        return None
    segments = [finished(finer, i) for i in range(start // span, -(-stop // span))]
    whole = [s for s in segments if s is not None]
    if len(whole) < len(segments):
        return None
    return [decode_segment(s, source.schema)[1] for s in whole]


def build_segment(
    source: FrameSource, stride: int, index: int, subset: str, finished: Finished | None = None
) -> bytes:
    """Make one segment.

    Args:
        source: the recording, or what is live.
        stride: frames between two samples: 1, 2, 4 … 2048.
        index: of the segment among those of its stride.
        subset: of fields and entities (`store/subset.py`).
        finished: gives finer segments that have been made, to make this one of them.

    Returns:
        The deflated segment (docs/recording-format.md).

    Raises:
        IndexError: beyond the recording's end.
        InvalidColumns: the subset is of another recording.
        CorruptRecording: the file holds something else than it says.
    """
    if stride == 1 and subset == EVERYTHING:
        return source.segment(index)
    columns = thin(source, stride, index, finished)
    if subset != EVERYTHING:
        columns = columns.subset(subset_schema(source.schema, subset))
    first = index * segment_span(source.schema, stride)
    return encode_segment(_contiguous(columns), first, stride)


def build_rows(
    source: FrameSource,
    stride: int,
    index: int,
    subset: str,
    lap_length: float | None,
    finished: Finished | None = None,
) -> list[bytes]:
    """Make the rows of the frames of one block (`rows_span`).

    Args:
        source, stride, index, subset, finished: as `build_segment`.
        lap_length: metres, from which a row's distance is worked out; None where there are no laps.

    Returns:
        One msgpack map for each frame.

    Raises: as `build_segment`.
    """
    span = rows_span(source.schema, stride)
    if not 0 <= index * span < source.frame_count:
        raise IndexError(f"rows from frame {index * span}: the recording ends before")
    columns = _thinned(source, stride, index * span, (index + 1) * span, finished)
    if subset != EVERYTHING:
        columns = columns.subset(subset_schema(source.schema, subset))
    first = index * rows_span(source.schema, stride)
    return encode_rows(columns, first, stride, recorded=source.schema, lap_length=lap_length)


def _contiguous(columns: Columns) -> Columns:
    return Columns(
        columns.schema, {name: np.ascontiguousarray(v) for name, v in columns.values.items()}
    )
