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

Finished = Callable[[int, int], bytes | None]
"""(stride, index) → that segment of all fields and entities, if someone has it already."""


def segment_span(schema: Schema, stride: int) -> int:
    """Frames of the recording that one segment of `stride` stands for."""
    return schema.segment_frames * stride


def segment_count(schema: Schema, frame_count: int, stride: int) -> int:
    """Segments of `stride` in a recording of `frame_count` frames."""
    return -(-frame_count // segment_span(schema, stride))


def thin(source: FrameSource, stride: int, index: int, finished: Finished | None = None) -> Columns:
    """The samples of segment `index` at `stride`: frames index*F*stride, +stride, … (at most F).

    finished: segments of smaller strides that need not be decoded from the file again.
    Raises: IndexError if the recording ends before them.
    """
    schema = source.schema
    span = segment_span(schema, stride)
    start = index * span
    stop = min(start + span, source.frame_count)
    if not 0 <= start < stop:
        raise IndexError(
            f"segment {index} at stride {stride}: the recording has "
            f"{segment_count(schema, source.frame_count, stride)}"
        )
    finer = stride // 2
    while finished is not None and finer >= 1:
        parts = _finer_parts(source, finer, start, stop, finished)
        if parts is not None:
            step = stride // finer
            return concatenate(parts).slice(0, sum(p.frame_count for p in parts), step)
        finer //= 2
    # Thin each segment as it is decoded: 64 whole ones at once would be 64 times the memory.
    parts = []
    for first in range(start, stop, schema.segment_frames):
        offset = -(first - start) % stride
        last = min(first + schema.segment_frames, stop)
        if first + offset < last:
            parts.append(source.columns(first, last).slice(offset, last - first, stride))
    return concatenate(parts)


def _finer_parts(
    source: FrameSource, finer: int, start: int, stop: int, finished: Finished
) -> list[Columns] | None:
    span = segment_span(source.schema, finer)
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
    """Make the rows of the frames of one segment.

    Args:
        source, stride, index, subset, finished: as `build_segment`.
        lap_length: metres, from which a row's distance is worked out; None where there are no laps.

    Returns:
        One msgpack map for each frame.

    Raises: as `build_segment`.
    """
    columns = thin(source, stride, index, finished)
    if subset != EVERYTHING:
        columns = columns.subset(subset_schema(source.schema, subset))
    first = index * segment_span(source.schema, stride)
    return encode_rows(columns, first, stride, recorded=source.schema, lap_length=lap_length)


def _contiguous(columns: Columns) -> Columns:
    return Columns(
        columns.schema, {name: np.ascontiguousarray(v) for name, v in columns.values.items()}
    )
