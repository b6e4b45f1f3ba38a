"""The segment: n frames of all entities and all fields in one self-contained, deflated block.

Specification, with the reason for each choice: docs/recording-format.md. In short, after inflating:

    header   16 bytes  <BBHHHIi: format, fields, frames, entities, stride-magnitude, first, 0
    table    3 bytes a field: order, width, mask
    bodies   per field: [bitmap of present samples], first rows as int32, zigzag residuals

Residuals are differences of the declared order, modulo 2**32, zigzag-coded, entity after entity
(so that one car's second of a field is a run), and stored as byte planes of the narrowest width
that holds the segment's largest one. Missing samples repeat their predecessor in the differences
and are marked in the bitmap.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, Samples
from .errors import CorruptRecording, InvalidColumns
from .fields import MISSING, Schema

FORMAT = 1
HEADER = struct.Struct("<BBHHHII")
TABLE_ENTRY = 3
DEFLATE_LEVEL = 6
"""Level 9 saves 0.5 % of the bytes of a real race and costs three times the time."""

MAX_FRAMES = 65_535
MAX_SEGMENT_FRAMES = 1000
"""The largest `segment_frames` of a schema: no segment that is read has more."""
MAX_PAYLOAD = 1 << 28
"""Bytes that a segment may inflate to where no schema is given; one of a race has 60,000."""
MASK_NONE, MASK_BITMAP, MASK_ALL = 0, 1, 2
_BATCH = 128
"""Segments encoded per numpy pass: large enough to hide numpy's per-call cost, small in memory."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The header of a segment. Its samples are frames first_frame, first_frame + stride, …

    Attributes:
        fields: number of fields.
        frames: samples in time.
        entities: number of entities.
        stride: frames between two samples, at least 1.
        first_frame: number of the first sample's frame.
    """

    fields: int
    frames: int
    entities: int
    stride: int
    first_frame: int


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


def deflate(payload: bytes) -> bytes:
    """Raw deflate (no header, no checksum): what browsers call "deflate-raw"."""
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15, 9)
    return compressor.compress(payload) + compressor.flush()


def inflate(segment: bytes | memoryview, most: int = MAX_PAYLOAD) -> bytes:
    """Inverse of `deflate`.

    most: bytes that it may inflate to.
    Raises: CorruptRecording if the bytes are not a whole raw deflate, or inflate to more.
    """
    decompressor = zlib.decompressobj(-15)
    try:
        payload = decompressor.decompress(segment, most + 1)
        if len(payload) > most:
            raise CorruptRecording(f"segment inflates to more than {most:,} bytes")
        payload += decompressor.flush()
    except zlib.error as error:
        raise CorruptRecording(f"segment does not inflate: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptRecording("segment does not inflate: it ends early or has bytes left over")
    return payload


def _pack(block: Columns, frames: int, first_frame: int, stride: int) -> Iterator[bytes]:
    """Equal segments of one block, vectorised over all of them."""
    segments = block.frame_count // frames
    schema = block.schema
    parts: list[list[bytes]] = [[] for _ in range(segments)]
    tables: list[bytearray] = [bytearray() for _ in range(segments)]
    for field in schema.fields:
        width = schema.width(field)
        samples = np.ascontiguousarray(block.values[field.name]).reshape(segments, frames, width)
        order = min(field.kind.difference_order, frames)
        missing = samples == MISSING
        missing_count = missing.reshape(segments, -1).sum(axis=1)
        if missing_count.any():
            samples = _fill(samples, missing)
        heads, residuals = _residuals(samples, order)
        widths = _narrowest(residuals)
        present = np.packbits(
            ~missing.transpose(0, 2, 1).reshape(segments, -1), axis=1, bitorder="little"
        )
        planes: dict[int, NDArray[np.uint8]] = {}
        for s in range(segments):
            gone = int(missing_count[s])
            if gone == frames * width and gone:
                tables[s] += bytes((order, 0, MASK_ALL))
                continue
            byte_width = int(widths[s])
            tables[s] += bytes((order, byte_width, MASK_BITMAP if gone else MASK_NONE))
            if gone:
                parts[s].append(present[s].tobytes())
            parts[s].append(heads[s].tobytes())
            if byte_width:
                if byte_width not in planes:
                    planes[byte_width] = _planes(residuals, byte_width)
                parts[s].append(planes[byte_width][s].tobytes())
    for s in range(segments):
        first = first_frame + s * frames * stride
        header = HEADER.pack(
            FORMAT, len(schema.fields), frames, len(schema.entities), stride, first, 0
        )
        yield b"".join((header, bytes(tables[s]), *parts[s]))


def _fill(samples: Samples, missing: NDArray[np.bool_]) -> Samples:
    """Missing samples repeat the last present one before them, else the first after, else 0."""
    frames = samples.shape[1]
    index = np.where(missing, -1, np.arange(frames, dtype=np.int64)[None, :, None])
    last = np.maximum.accumulate(index, axis=1)
    first_present = np.argmax(~missing, axis=1)[:, None, :]
    source = np.where(last < 0, first_present, last)
    filled = np.take_along_axis(samples, source, axis=1)
    never = np.all(missing, axis=1, keepdims=True)
    filled[np.broadcast_to(never, filled.shape)] = 0
    return filled


def _residuals(samples: Samples, order: int) -> tuple[Samples, NDArray[np.uint32]]:
    """(segments, frames, width) → first `order` rows as differences, zigzag of the others.

    heads: int32 (segments, order, width): row 0 absolute, row 1 (order 2) its first difference.
    residuals: uint32 (segments, width, frames - order).
    """
    unsigned = samples.view(np.uint32)
    heads = [samples[:, 0:1]]
    current = unsigned[:, 1:] - unsigned[:, :-1]
    if order == 2:
        heads.append(current[:, 0:1].view(np.int32))
        current = current[:, 1:] - current[:, :-1]
    signed = current.view(np.int32)
    zigzag = (current << np.uint32(1)) ^ (signed >> np.int32(31)).view(np.uint32)
    return (
        np.ascontiguousarray(np.concatenate(heads, axis=1)),
        np.ascontiguousarray(zigzag.transpose(0, 2, 1)),
    )


def _narrowest(residuals: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Bytes per residual of each segment: 0 where all are zero, else 1, 2 or 4."""
    segments = residuals.shape[0]
    if residuals.size == 0:
        return np.zeros(segments, dtype=np.uint8)
    largest = residuals.reshape(segments, -1).max(axis=1)
    return np.select([largest == 0, largest < 256, largest < 65536], [0, 1, 2], 4).astype(np.uint8)


def _planes(residuals: NDArray[np.uint32], byte_width: int) -> NDArray[np.uint8]:
    """(segments, width, frames) → (segments, byte_width, width, frames): low bytes first."""
    planes = residuals.astype("<u4").view(np.uint8).reshape(*residuals.shape, 4)[..., :byte_width]
    return np.ascontiguousarray(np.moveaxis(planes, -1, 1))


def read_header(payload: bytes) -> SegmentHeader:
    """The header of an inflated segment. Raises: CorruptRecording."""
    if len(payload) < HEADER.size:
        raise CorruptRecording(f"segment of {len(payload)} bytes: shorter than its header")
    form, fields, frames, entities, stride, first, _ = HEADER.unpack_from(payload)
    if form != FORMAT:
        raise CorruptRecording(f"segment format {form}: this reader knows {FORMAT}")
    return SegmentHeader(fields, frames, entities, stride, first)


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
    payload = inflate(segment, head + (MAX_SEGMENT_FRAMES * values_in_frame * 33 + 7) // 8)
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
    table_at = HEADER.size
    at = table_at + TABLE_ENTRY * header.fields
    values: dict[str, Samples] = {}
    try:
        for i, field in enumerate(schema.fields):
            order, byte_width, mask = payload[
                table_at + TABLE_ENTRY * i : table_at + TABLE_ENTRY * (i + 1)
            ]
            values[field.name], at = _decode_field(
                payload, at, header.frames, schema.width(field), order, byte_width, mask
            )
    except ValueError as error:
        raise CorruptRecording(f"segment ends inside its fields: {error}") from error
    if at != len(payload):
        raise CorruptRecording(f"segment of {len(payload)} bytes: {at} expected")
    return header, Columns(schema, values)


def _decode_field(
    payload: bytes, at: int, frames: int, width: int, order: int, byte_width: int, mask: int
) -> tuple[Samples, int]:
    """One field's samples and where the next field begins."""
    if order not in (1, 2) or order > frames or byte_width not in (0, 1, 2, 4) or mask > MASK_ALL:
        raise CorruptRecording(f"segment table: order {order}, width {byte_width}, mask {mask}")
    if mask == MASK_ALL:
        return np.full((frames, width), MISSING, dtype=np.int32), at
    missing: NDArray[np.bool_] | None = None
    if mask == MASK_BITMAP:
        size = (frames * width + 7) // 8
        bits = np.frombuffer(payload, np.uint8, size, at)
        at += size
        present = np.unpackbits(bits, count=frames * width, bitorder="little")
        missing = present.reshape(width, frames).T == 0
    heads = np.frombuffer(payload, "<u4", order * width, at).reshape(order, width)
    at += 4 * order * width
    rest = frames - order
    values = np.empty((frames, width), dtype=np.uint32)
    values[:order] = heads
    if byte_width and rest:
        size = byte_width * width * rest
        planes = np.frombuffer(payload, np.uint8, size, at).reshape(byte_width, width, rest)
        at += size
        zigzag = planes[0].astype(np.uint32)
        for plane in range(1, byte_width):
            zigzag |= planes[plane].astype(np.uint32) << np.uint32(8 * plane)
        residual = (zigzag >> np.uint32(1)) ^ (np.uint32(0) - (zigzag & np.uint32(1)))
        values[order:] = residual.T
    elif rest:
        values[order:] = 0
    if order == 2:
        values[1:] = np.cumsum(values[1:], axis=0, dtype=np.uint32)
    result = np.cumsum(values, axis=0, dtype=np.uint32).view(np.int32)
    if missing is not None:
        result[missing] = MISSING
    return result, at
