"""Verifying a recording file, and recovering the whole segments of a truncated one."""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Chunk, Footer, Message, Metadata
from mcap.stream_reader import StreamReader, breakup_chunk

from .errors import CorruptRecording
from .fields import Schema
from .file import (
    DAMAGE,
    RECORDING_METADATA,
    VERSION_DIGITS,
    Progress,
    Recording,
    RecordingWriter,
    unsealed,
)
from .segment import decode_segment, inflate, read_header


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify_recording` for an intact file.

    Attributes:
        version: 16 hex digits.
        frame_count: frames in the recording.
        segment_count: segments of stride 1.
        payload_bytes: deflated bytes of all segments.
    """

    version: str
    frame_count: int
    segment_count: int
    payload_bytes: int

    @property
    def bytes_per_frame(self) -> float:
        """Mean deflated bytes of a frame, all entities and fields."""
        return self.payload_bytes / max(1, self.frame_count)


def verify_recording(path: Path, progress: Progress | None = None) -> Verification:
    """Read and decode a whole file: checksums, structure, frame numbers, content hash.

    Args:
        path: of the recording file.
        progress: called with the fraction done, 0…1.

    Raises:
        TruncatedRecording: the file ends early.
        CorruptRecording: anything else is wrong; the message names the first problem.
        OSError: the file cannot be read.
    """
    with Recording(path) as recording:
        schema = recording.schema
        digest = hashlib.sha256(json.dumps(schema.as_dict(), sort_keys=True).encode())
        payload_bytes = 0
        for index in range(recording.segment_count):
            segment = recording.segment(index)
            try:
                header, _ = decode_segment(segment, schema)
            except CorruptRecording as error:
                raise CorruptRecording(f"{path}: segment {index}: {error}") from error
            first = index * schema.segment_frames
            frames = min(schema.segment_frames, recording.frame_count - first)
            if (header.first_frame, header.frames, header.stride) != (first, frames, 1):
                raise CorruptRecording(
                    f"{path}: segment {index} says {header.frames} frames from "
                    f"{header.first_frame}: {frames} from {first} expected"
                )
            digest.update(segment)
            payload_bytes += len(segment)
            if progress is not None:
                progress((index + 1) / recording.segment_count)
        if digest.hexdigest()[:VERSION_DIGITS] != recording.version:
            raise CorruptRecording(f"{path}: its content does not hash to {recording.version}")
        return Verification(
            recording.version, recording.frame_count, recording.segment_count, payload_bytes
        )


def recover_recording(source: Path, target: Path) -> Verification:
    """Copy the whole segments of a file that ends early (a crash while recording live).

    Args:
        source: a truncated or partial file; it is not changed.
        target: new recording file, written atomically.

    Returns:
        The verification of the new file.

    Raises:
        CorruptRecording: not one whole segment can be read.
        OSError: a file cannot be read or written.
    """
    schema: Schema | None = None
    about: dict[str, str] = {}
    segments: list[bytes] = []
    with source.open("rb") as file:
        try:
            # Mapped, for a read of the length that a damaged record claims would claim the memory.
            stream = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for record in StreamReader(stream, emit_chunks=True).records:  # type: ignore[arg-type]
                if isinstance(record, Metadata) and record.name == RECORDING_METADATA:
                    about = unsealed(RECORDING_METADATA, record.metadata)
                    schema = Schema.from_dict(json.loads(about["schema"]))
                elif isinstance(record, Chunk):
                    if record.compression:
                        raise CorruptRecording(f"{source}: a compressed chunk, which is not ours")
                    segments += [
                        r.data
                        for r in breakup_chunk(record, validate_crc=True)
                        if isinstance(r, Message)
                    ]
                elif isinstance(record, Footer):
                    break
        except (*DAMAGE, EOFError):
            # The break: what came before it is what can be saved.
            pass
    if schema is None or not segments:
        raise CorruptRecording(f"{source}: no whole segment to recover")
    try:
        start_ns, metadata = int(about["start_ns"]), dict(json.loads(about["metadata"]))
    except DAMAGE as error:
        raise CorruptRecording(f"{source}: {error}") from error
    with RecordingWriter(target, schema, start_ns=start_ns, metadata=metadata) as writer:
        for segment in segments:
            frames = read_header(inflate(segment)).frames
            writer.append(segment, frames)
        writer.commit()
    return verify_recording(target)
