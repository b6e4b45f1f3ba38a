"""The segment: n frames of all entities and all fields in one self-contained, deflated block.

Specification, with the reason for each choice: docs/recording-format.md. In short, after inflating:

    header   16 bytes  <BBHHHIHH: format, fields, frames, entities, stride, first, ticks, clocks
    table    3 bytes a field: coding, width, mask
    clocks   format 2 only: the times of samples
    bodies   one a field

Format 1 has every frame of every field (`dense.py`), format 2 what was measured, at its own times,
and what is held, when it changes (`sampled.py`). Both decode to the same: int32 columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .columns import Columns, Samples
from .dense import (
    FORMAT_FRAMES,
    FORMAT_SAMPLES,
    HEADER,
    MAX_FRAMES,
    MAX_SEGMENT_FRAMES,
    TABLE_ENTRY,
    decode_field,
    pack_field,
)
from .dense import SegmentHeader as SegmentHeader
from .dense import deflate as deflate
from .dense import inflate as inflate
from .dense import read_header as read_header
from .errors import CorruptRecording, InvalidColumns
from .fields import Schema
from .sampled import MAX_CLOCK_BYTES, decode_sampled

_BATCH = 128
"""Segments encoded per numpy pass: large enough to hide numpy's per-call cost, small in memory."""


def encode_segment(columns: Columns, first_frame: int, stride: int = 1) -> bytes:
    """Encode one segment.

    Args:
        columns: already thinned to the stride; 1 to 65,535 samples in time.
        first_frame: number of the first sample's frame in the recording.
        stride: frames between two samples.

    Returns:
        The deflated segment (docs/recording-format.md).

    Raises:
        InvalidColumns: there are no samples, or too many.
    """
    count = columns.frame_count
    return next(encode_segments(columns, count, first_frame, stride))


def encode_segments(
    columns: Columns, frames: int, first_frame: int = 0, stride: int = 1
) -> Iterator[bytes]:
    """Encode deflated segments in order: the same bytes as `encode_segment` one by one, several
    times faster.

    Args:
        columns: the samples of all of them.
        frames: samples of each; the last may have fewer.
        first_frame: number of the first sample.
        stride: frames between two samples.

    Raises:
        InvalidColumns: there are no samples, or too many for a segment.
    """
    for payload in pack_segments(columns, frames, first_frame, stride):
        yield deflate(payload)


def pack_segments(
    columns: Columns, frames: int, first_frame: int = 0, stride: int = 1
) -> Iterator[bytes]:
    """As `encode_segments`, before deflating: for callers that deflate in threads."""
    if columns.frame_count == 0:
        raise InvalidColumns("no frames to encode")
    if not 1 <= frames <= MAX_FRAMES:
        raise InvalidColumns(f"{frames} frames in a segment: expected 1 to {MAX_FRAMES}")
    whole = columns.frame_count // frames
    for start in range(0, whole, _BATCH):
        stop = min(start + _BATCH, whole)
        block = columns.slice(start * frames, stop * frames)
        yield from _pack(block, frames, first_frame + start * frames * stride, stride)
    if rest := columns.frame_count - whole * frames:
        yield from _pack(
            columns.slice(whole * frames, columns.frame_count),
            rest,
            first_frame + whole * frames * stride,
            stride,
        )


def _pack(block: Columns, frames: int, first_frame: int, stride: int) -> Iterator[bytes]:
    """Equal segments of one block, vectorised over all of them."""
    segments = block.frame_count // frames
    schema = block.schema
    packed = []
    for field in schema.fields:
        samples = np.ascontiguousarray(block.values[field.name])
        order = min(field.kind.difference_order, frames)
        packed.append(pack_field(samples.reshape(segments, frames, schema.width(field)), order))
    for s in range(segments):
        first = first_frame + s * frames * stride
        header = HEADER.pack(
            FORMAT_FRAMES, len(schema.fields), frames, len(schema.entities), stride, first, 0, 0
        )
        table = b"".join(field[s][0] for field in packed)
        yield b"".join((header, table, *(field[s][1] for field in packed)))


def decode_segment(segment: bytes | memoryview, schema: Schema) -> tuple[SegmentHeader, Columns]:
    """Decode one segment.

    Args:
        segment: deflated.
        schema: of the recording, or of the subset that the segment was made for.

    Returns:
        Its header, and its samples: per field an int32 array of shape (header.frames, width).

    Raises:
        CorruptRecording: the bytes are damaged, or of another schema.
    """
    values_in_frame = sum(schema.width(field) for field in schema.fields)
    # Of each value at most four bytes and a bit that says whether it is there.
    head = HEADER.size + len(schema.fields) * (TABLE_ENTRY + 1)
    most = head + (MAX_SEGMENT_FRAMES * values_in_frame * 33 + 7) // 8
    payload = inflate(segment, most + MAX_CLOCK_BYTES)
    header = read_header(payload)
    if not 0 < header.frames <= MAX_SEGMENT_FRAMES:
        raise CorruptRecording(
            f"segment of {header.frames} frames: expected 1 to {MAX_SEGMENT_FRAMES}"
        )
    if header.fields != len(schema.fields) or header.entities != len(schema.entities):
        raise CorruptRecording(
            f"segment has {header.fields} fields of {header.entities} entities: "
            f"its schema has {len(schema.fields)} of {len(schema.entities)}"
        )
    if header.format == FORMAT_SAMPLES:
        return header, decode_sampled(payload, header, schema)
    table_at = HEADER.size
    at = table_at + TABLE_ENTRY * header.fields
    values: dict[str, Samples] = {}
    try:
        for i, field in enumerate(schema.fields):
            order, byte_width, mask = payload[
                table_at + TABLE_ENTRY * i : table_at + TABLE_ENTRY * (i + 1)
            ]
            values[field.name], at = decode_field(
                payload, at, header.frames, schema.width(field), order, byte_width, mask
            )
    except ValueError as error:
        raise CorruptRecording(f"segment ends inside its fields: {error}") from error
    if at != len(payload):
        raise CorruptRecording(f"segment of {len(payload)} bytes: {at} expected")
    return header, Columns(schema, values)
