"""The recording file: one MCAP file per recording, one uncompressed chunk per segment.

Specification: docs/recording-format.md. Reading needs the summary at the file's end once; after
that a segment is one read at its place, its checksum checked each time. The file is not mapped into
memory: a mapped file that somebody cuts off takes the whole process with it (SIGBUS).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mcap.exceptions import McapError
from mcap.records import ChunkIndex, Metadata, MetadataIndex
from mcap.stream_reader import CRCValidationError, StreamReader
from mcap.writer import CompressionType, Writer

from .columns import Columns, concatenate
from .errors import (
    ChangedRecording,
    CorruptRecording,
    InvalidColumns,
    RecordingError,
    TruncatedRecording,
)
from .fields import Schema
from .sampled import Frames, Measured, pack_measured
from .segment import decode_segment, deflate

PROFILE = "replay.recording.v1"
TOPIC = "segments"
MESSAGE_ENCODING = "replay.segment.v2"
RECORDING_METADATA = "recording"
VERSION_METADATA = "version"
VERSION_DIGITS = 16
"""Hex digits of SHA-256 kept as the version: 64 bits name at most thousands of recordings."""

MAGIC = b"\x89MCAP0\r\n"
_CHUNK_HEAD = struct.Struct("<BQQQQII")  # opcode, length, start, end, size, crc, len(compression)
_RECORD_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_OPCODE_FOOTER = 0x02
_OPCODE_MESSAGE = 0x05
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, summary, summary offsets, crc
_CRC_BYTES = 4
_SEAL = "crc32"
_NANOSECONDS = 1_000_000_000
_IDENTITY = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
"""What tells one file, and one state of it, from another."""

Progress = Callable[[float], None]
"""Called with the fraction done, 0…1."""


DAMAGE = (
    McapError,
    CRCValidationError,
    RecordingError,
    struct.error,
    ValueError,
    KeyError,
    # Lengths that no file has, and JSON of other types, or nested without end.
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What reading damaged bytes raises below us."""


class RecordingWriter:
    """Writes a recording segment by segment, under a temporary name until `commit`.

    Use it as a context manager: leaving it without `commit` removes what was written, so that
    `path` never holds half a recording.

    Attributes:
        path: final name.
        partial_path: temporary name in the same folder.
        schema: of every segment.
        frame_count: frames appended so far.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        start_ns: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the temporary file.

        Args:
            path: final name; its folder is made if need be.
            schema: of every segment.
            start_ns: Unix time of frame 0, nanoseconds; 0 if unknown.
            metadata: JSON-able, kept in the file (title, entities, geometry), so that the file
                alone can be imported again.

        Raises:
            OSError: the file cannot be written.
        """
        self.path = path
        self.partial_path = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self.schema = schema
        self.frame_count = 0
        self._start_ns = start_ns
        self._hash = hashlib.sha256()
        self._segments = 0
        self._committed = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: IO[bytes] = self.partial_path.open("wb")
        self._writer = Writer(
            self._stream, chunk_size=0, compression=CompressionType.NONE, enable_crcs=True
        )
        try:
            self._write_head(metadata)
        except BaseException:
            self.abandon()
            raise

    def _write_head(self, metadata: Mapping[str, Any] | None) -> None:
        self._writer.start(profile=PROFILE, library="replayproject")
        schema_json = json.dumps(self.schema.as_dict(), sort_keys=True)
        self._hash.update(schema_json.encode())
        self._writer.add_metadata(
            RECORDING_METADATA,
            _sealed(
                {
                    "schema": schema_json,
                    "start_ns": str(self._start_ns),
                    "metadata": json.dumps(dict(metadata or {}), sort_keys=True),
                }
            ),
        )
        schema_id = self._writer.register_schema(PROFILE, "jsonschema", schema_json.encode())
        self._channel = self._writer.register_channel(TOPIC, MESSAGE_ENCODING, schema_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._committed:
            self.abandon()

    def append(self, segment: bytes, frames: int) -> None:
        """Add the next segment.

        Args:
            segment: deflated, of stride 1, as `encode_segment` makes it.
            frames: samples in it; `schema.segment_frames` in every segment but the last.

        Raises:
            InvalidColumns: an earlier segment was short.
            OSError: the file cannot be written.
        """
        if self.frame_count != self._segments * self.schema.segment_frames:
            raise InvalidColumns("only the last segment of a recording may be short")
        time_ns = self._start_ns + round(self.frame_count * _NANOSECONDS / self.schema.frame_rate)
        self._writer.add_message(
            self._channel, time_ns, segment, publish_time=time_ns, sequence=self._segments
        )
        self._hash.update(segment)
        self._segments += 1
        self.frame_count += frames

    def flush(self) -> None:
        """Hand everything appended to the operating system, so that a crash of ours loses nothing.
        Hand everything appended to the operating system, so that a crash of ours loses nothing."""
        self._stream.flush()

    def commit(self) -> str:
        """Finish the file, sync it to disk and rename it to its final name.

        Returns:
            The version: the first 16 hex digits of SHA-256 over schema and segments.

        Raises:
            OSError: the file cannot be written, for example because the disk is full.
        """
        version = self._hash.hexdigest()[:VERSION_DIGITS]
        self._writer.add_metadata(
            VERSION_METADATA,
            _sealed({"version": version, "frame_count": str(self.frame_count)}),
        )
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self.partial_path.replace(self.path)
        _sync_directory(self.path.parent)
        self._committed = True
        return version

    def abandon(self) -> None:
        """Remove what was written. Safe to call twice."""
        # Closing writes what is buffered, which a full disk refuses once more.
        with suppress(OSError):
            self._stream.close()
        self.partial_path.unlink(missing_ok=True)


def _sealed(record: dict[str, str]) -> dict[str, str]:
    """With a checksum of its own: MCAP protects chunks and the summary, but not metadata."""
    return {**record, _SEAL: f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"}


def unsealed(name: str, record: dict[str, str]) -> dict[str, str]:
    """Inverse of `_sealed`. Raises: CorruptRecording if the checksum does not match."""
    content = {key: value for key, value in record.items() if key != _SEAL}
    if _sealed(content) != record:
        raise CorruptRecording(f"metadata {name!r}: checksum does not match")
    return content


def _sync_directory(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_recording(
    path: Path,
    content: Measured | Columns,
    *,
    start_ns: int = 0,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> str:
    """Write a whole recording to `path`, atomically.

    Deflating releases the interpreter lock, so one thread packs while others deflate.

    Args:
        path: of the recording file.
        content: what was measured, or all frames.
        start_ns: Unix time of frame 0, nanoseconds; 0 if unknown.
        metadata: as for `RecordingWriter`.
        progress: called with the fraction done, 0…1.

    Returns:
        The version of the recording, 16 hex digits.

    Raises:
        InvalidColumns: there are no frames.
        OSError: the file cannot be written; nothing is left behind.
    """
    if isinstance(content, Columns):
        content = Frames(content)
    schema = content.schema
    total = content.frame_count
    workers = max(2, os.cpu_count() or 1)
    with (
        RecordingWriter(path, schema, start_ns=start_ns, metadata=metadata) as writer,
        ThreadPoolExecutor(workers) as pool,
    ):
        packed = pack_measured(content, schema.segment_frames)
        for batch in _batches(packed, 64 * workers):
            for segment in pool.map(deflate, batch, chunksize=16):
                writer.append(segment, min(schema.segment_frames, total - writer.frame_count))
            if progress is not None:
                progress(writer.frame_count / total)
        return writer.commit()


def _batches(items: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Recording:
    """A recording file open for reading: any segment with one read, never a damaged one.

    1. Every byte of a segment is checked against a checksum each time it is read: an earlier check
       does not cover what the disk returns today.
    2. Nothing is read from a file that was written to since it was opened: its summary may not
       belong to the present content.
    3. A file that was removed or replaced by renaming stays readable, as it was.

    Thread-safe after opening. Close it, or use it as a context manager; otherwise it is closed when
    nothing refers to it any more.

    Attributes:
        path: of the file.
        schema: fields, entities, frame rate, frames in a segment.
        version: of the content, 16 hex digits.
        frame_count: frames in the recording.
        start_ns: Unix time of frame 0, nanoseconds; 0 if unknown.
        metadata: title, entities, geometry and so on, as written.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its summary.

        Raises:
            TruncatedRecording: the file ends early.
            CorruptRecording: its summary is damaged, or it is no recording.
            OSError: it is missing or cannot be read.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        self._release = weakref.finalize(self, os.close, self._descriptor)
        try:
            self._opened = os.fstat(self._descriptor)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        size = self._opened.st_size
        if size < 2 * len(MAGIC):
            raise TruncatedRecording(f"{self.path}: too short to be a recording")
        if self._read(0, len(MAGIC)) != MAGIC:
            raise CorruptRecording(f"{self.path}: not an MCAP file")
        if self._read(size - len(MAGIC), len(MAGIC)) != MAGIC:
            raise TruncatedRecording(
                f"{self.path}: ends early (no closing magic); `recover_recording` can save the "
                "whole segments before the break"
            )
        try:
            chunks: list[ChunkIndex] = []
            records: dict[str, dict[str, str]] = {}
            for record in StreamReader(io.BytesIO(self._summary()), skip_magic=True).records:
                if isinstance(record, ChunkIndex):
                    # A chunk may hold only the declaration of schema and channel.
                    if record.message_index_offsets:
                        chunks.append(record)
                elif isinstance(record, MetadataIndex):
                    records[record.name] = self._metadata_at(record)
            if not {RECORDING_METADATA, VERSION_METADATA} <= set(records):
                raise CorruptRecording("an MCAP file, but not a recording of ours")
            about = unsealed(RECORDING_METADATA, records[RECORDING_METADATA])
            version = unsealed(VERSION_METADATA, records[VERSION_METADATA])
            self.schema = Schema.from_dict(json.loads(about["schema"]))
            self.start_ns = int(about["start_ns"])
            self.metadata: dict[str, Any] = dict(json.loads(about["metadata"]))
            self.version = version["version"]
            self.frame_count = int(version["frame_count"])
        except ChangedRecording:
            raise
        except DAMAGE as error:
            raise CorruptRecording(f"{self.path}: {error}") from error
        self._offsets = array("Q", (c.chunk_start_offset for c in chunks))
        self._lengths = array("Q", (c.chunk_length for c in chunks))
        expected = -(-self.frame_count // self.schema.segment_frames)
        if len(chunks) != expected:
            raise CorruptRecording(
                f"{self.path}: {len(chunks)} segments: {expected} expected for "
                f"{self.frame_count} frames"
            )

    def _summary(self) -> bytes:
        """The file's end, from the summary's first record on, its checksum checked: the library
        does not check it, and its offsets are what we trust.

        Raises: CorruptRecording.
        """
        end = self._opened.st_size - len(MAGIC)
        footer = end - _FOOTER.size
        opcode, length, start, _, crc = _FOOTER.unpack(self._read(max(0, footer), _FOOTER.size))
        if (opcode, length) != (_OPCODE_FOOTER, _FOOTER.size - _RECORD_HEAD.size) or start > footer:
            raise CorruptRecording("no footer at the end")
        summary = self._read(start, self._opened.st_size - start)
        if zlib.crc32(memoryview(summary)[: end - start - _CRC_BYTES]) != crc:
            raise CorruptRecording("summary: checksum does not match")
        return summary

    def _metadata_at(self, index: MetadataIndex) -> dict[str, str]:
        """The content of a metadata record, as yet unchecked. Raises: CorruptRecording."""
        record = io.BytesIO(self._read(index.offset, index.length))
        found = next(StreamReader(record, skip_magic=True).records)
        if not isinstance(found, Metadata) or found.name != index.name:
            raise CorruptRecording(f"no metadata {index.name!r} where the summary says")
        return found.metadata

    def _read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, of the file as it was opened.

        Raises: ChangedRecording; TruncatedRecording; OSError; ValueError once closed.
        """
        if not self._release.alive:
            raise ValueError(f"{self.path}: the recording is closed")
        if offset + size > self._opened.st_size:
            # Before the read, which would allocate the memory of a damaged length.
            raise TruncatedRecording(f"{self.path}: ends before byte {offset + size}")
        data = os.pread(self._descriptor, size, offset)
        # After the read: a write changes the time before it changes the first byte.
        now = os.fstat(self._descriptor)
        if now.st_mtime_ns != self._opened.st_mtime_ns or now.st_size != self._opened.st_size:
            raise ChangedRecording(
                f"{self.path}: was written to while it was open ({self._opened.st_size} bytes "
                f"then, {now.st_size} now)"
            )
        if len(data) != size:
            raise TruncatedRecording(f"{self.path}: ends before byte {offset + size}")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Segments already returned stay valid. Safe to call twice."""
        self._release()

    @property
    def is_current(self) -> bool:
        """Whether `path` still names this file, and the file was not written to."""
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return all(getattr(now, name) == getattr(self._opened, name) for name in _IDENTITY)

    @property
    def segment_count(self) -> int:
        """Segments of stride 1."""
        return len(self._offsets)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.schema.frame_rate

    def segment(self, index: int) -> bytes:
        """Read one segment of stride 1.

        Args:
            index: 0 … segment_count - 1; it holds frames index * segment_frames and following.

        Returns:
            The deflated segment, as it is sent to browsers; see `decode_segment`.

        Raises:
            IndexError: there is no such segment.
            CorruptRecording: its checksum fails.
            ChangedRecording: the file was written to since it was opened.
            OSError: it cannot be read.
        """
        if not 0 <= index < len(self._offsets):
            raise IndexError(f"segment {index}: the recording has {len(self._offsets)}")
        at = self._offsets[index]
        chunk = self._read(at, self._lengths[index])
        try:
            _, _, _, _, size, crc, name = _CHUNK_HEAD.unpack_from(chunk)
            body = _CHUNK_HEAD.size + name + 8
            records = memoryview(chunk)[body : body + size]
            if len(records) != size or zlib.crc32(records) != crc:
                raise CorruptRecording(
                    f"{self.path}: segment {index}, byte {at + body}: checksum does not match"
                )
            opcode, length = _RECORD_HEAD.unpack_from(records)
            start = _RECORD_HEAD.size
            while opcode != _OPCODE_MESSAGE:
                # The first chunk also declares the schema and the channel.
                opcode, following = _RECORD_HEAD.unpack_from(records, start + length)
                start, length = start + length + _RECORD_HEAD.size, following
            _, sequence, _, _ = _MESSAGE_HEAD.unpack_from(records, start)
        except struct.error as error:
            raise CorruptRecording(f"{self.path}: segment {index}: {error}") from error
        if sequence != index or start + length > size:
            raise CorruptRecording(
                f"{self.path}: segment {index}: its chunk holds segment {sequence} "
                f"of {length} bytes, {size - start} are there"
            )
        return bytes(records[start + _MESSAGE_HEAD.size : start + length])

    def columns(self, start: int, stop: int) -> Columns:
        """Read frames start … stop - 1 as columns, each array of shape (stop - start, width).

        Raises:
            IndexError: not all of them are in the recording.
            RecordingError, OSError: as `segment`.
        """
        if not 0 <= start < stop <= self.frame_count:
            raise IndexError(f"frames {start}…{stop}: the recording has {self.frame_count}")
        size = self.schema.segment_frames
        first, last = start // size, (stop - 1) // size
        parts = [decode_segment(self.segment(i), self.schema)[1] for i in range(first, last + 1)]
        return concatenate(parts).slice(start - first * size, stop - first * size)
