"""What segments of both formats are made of: their header, deflate, and fields frame by frame.

Specification, with the reason for each choice: docs/recording-format.md.

A field frame by frame is: [bitmap of present samples], first rows as int32, zigzag residuals.
Residuals are differences of the declared order, modulo 2**32, zigzag-coded, entity after entity
(so that one car's seconds of a field are a run), and stored as byte planes of the narrowest width
that holds the segment's largest one. Missing samples repeat their predecessor in the differences
and are marked in the bitmap.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Samples
from .errors import CorruptRecording
from .fields import MISSING

FORMAT_FRAMES, FORMAT_SAMPLES = 1, 2
HEADER = struct.Struct("<BBHHHIHH")
TABLE_ENTRY = 3
DEFLATE_LEVEL = 6
"""Level 9 saves 0.5 % of the bytes of a real race and costs three times the time."""

MAX_FRAMES = 65_535
MAX_SEGMENT_FRAMES = 1000
"""The largest `segment_frames` of a schema: no segment that is read has more."""
MAX_PAYLOAD = 1 << 28
"""Bytes that a segment may inflate to where no schema is given; one of a race has 60,000."""
WIDTHS = (0, 1, 2, 4)
MASK_NONE, MASK_BITMAP, MASK_ALL = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The header of a segment. Its samples are frames first_frame, first_frame + stride, …

    Attributes:
        fields: number of fields.
        frames: samples in time.
        entities: number of entities.
        stride: frames between two samples, at least 1.
        first_frame: number of the first sample's frame.
        format: 1 or 2.
        ticks: to a frame; 0 in format 1.
        clocks: number of them; 0 in format 1.
    """

    fields: int
    frames: int
    entities: int
    stride: int
    first_frame: int
    format: int = FORMAT_FRAMES
    ticks: int = 0
    clocks: int = 0


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


def read_header(payload: bytes) -> SegmentHeader:
    """The header of an inflated segment. Raises: CorruptRecording."""
    if len(payload) < HEADER.size:
        raise CorruptRecording(f"segment of {len(payload)} bytes: shorter than its header")
    form, fields, frames, entities, stride, first, ticks, clocks = HEADER.unpack_from(payload)
    if form not in (FORMAT_FRAMES, FORMAT_SAMPLES):
        raise CorruptRecording(f"segment format {form}: this reader knows 1 and 2")
    if form == FORMAT_FRAMES:
        ticks = clocks = 0
    return SegmentHeader(fields, frames, entities, stride, first, form, ticks, clocks)


def pack_field(samples: Samples, order: int) -> list[tuple[bytes, bytes]]:
    """One field of equal segments, frame by frame, vectorised over all of them.

    Args:
        samples: int32, shape (segments, frames, width), contiguous.
        order: of the differences, 1 or 2; at most the frames.

    Returns:
        (entry in the table, body) of each segment.
    """
    segments, frames, width = samples.shape
    missing = samples == MISSING
    missing_count = missing.reshape(segments, -1).sum(axis=1)
    if missing_count.any():
        samples = fill(samples, missing)
    heads, rest = residuals(samples, order)
    widths = narrowest(rest)
    present = np.packbits(
        ~missing.transpose(0, 2, 1).reshape(segments, -1), axis=1, bitorder="little"
    )
    cut: dict[int, NDArray[np.uint8]] = {}
    packed = []
    for s in range(segments):
        gone = int(missing_count[s])
        if gone == frames * width and gone:
            packed.append((bytes((order, 0, MASK_ALL)), b""))
            continue
        byte_width = int(widths[s])
        parts = [present[s].tobytes()] if gone else []
        parts.append(heads[s].tobytes())
        if byte_width:
            if byte_width not in cut:
                cut[byte_width] = planes(rest, byte_width)
            parts.append(cut[byte_width][s].tobytes())
        mask = MASK_BITMAP if gone else MASK_NONE
        packed.append((bytes((order, byte_width, mask)), b"".join(parts)))
    return packed


def fill(samples: Samples, missing: NDArray[np.bool_]) -> Samples:
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


def residuals(samples: Samples, order: int) -> tuple[Samples, NDArray[np.uint32]]:
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


def narrowest(residuals: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Bytes per residual of each segment: 0 where all are zero, else 1, 2 or 4."""
    segments = residuals.shape[0]
    if residuals.size == 0:
        return np.zeros(segments, dtype=np.uint8)
    largest = residuals.reshape(segments, -1).max(axis=1)
    return np.select([largest == 0, largest < 256, largest < 65536], [0, 1, 2], 4).astype(np.uint8)


def planes(residuals: NDArray[np.uint32], byte_width: int) -> NDArray[np.uint8]:
    """(segments, width, frames) → (segments, byte_width, width, frames): low bytes first."""
    cut = residuals.astype("<u4").view(np.uint8).reshape(*residuals.shape, 4)[..., :byte_width]
    return np.ascontiguousarray(np.moveaxis(cut, -1, 1))


def decode_field(
    payload: bytes, at: int, frames: int, width: int, order: int, byte_width: int, mask: int
) -> tuple[Samples, int]:
    """One field's samples and where the next field begins."""
    if order not in (1, 2) or order > frames or byte_width not in WIDTHS or mask > MASK_ALL:
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
        cut = np.frombuffer(payload, np.uint8, size, at).reshape(byte_width, width, rest)
        at += size
        zigzag = cut[0].astype(np.uint32)
        for plane in range(1, byte_width):
            zigzag |= cut[plane].astype(np.uint32) << np.uint32(8 * plane)
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
