"""The records of a live session's log, and how they lie one after the other. Pure.

A record is a msgpack array whose first element names its kind. In a file, and nowhere else, each is
preceded by its length and CRC-32 (little-endian uint32 each), so that a torn tail is recognised:
the first record that is not whole or does not match ends the file. See docs/live.md.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from sessions_app.importers.result import Corner, EntityRecord, EventRecord, GeometryRecord
from sessions_app.importers.text import cleaned
from sessions_app.recording import CorruptRecording, Field, Schema
from sessions_app.recording.fields import default_segment_frames

from .commands import Start
from .producing import Frame

FORMAT = 1
_HEAD = struct.Struct("<II")
MAX_RECORD = 256 * 1024 * 1024
_DEFLATE_LEVEL = 1
"""A frame of the demo race, 20 cars: 1,792 bytes become 750 in 0.1 ms; level 6 saves 5 % more."""


@dataclass(frozen=True, slots=True)
class About:
    """What a live session is; the first record of every part of its log.

    Attributes:
        slug: of the session.
        version: names what is cached of it, before the first `Added`.
        kind: "telemetry" or "media".
        title: for viewers.
        session_kind: "race" and so on.
        frame_rate: frames a second.
        fields: of the schema; none for pictures.
        entities: in the order of the columns, before the first `Added`.
        geometry: the ground, or None.
        content_type: of pictures.
        metadata: JSON-able.
        record: whether it becomes a recording when it ends.
    """

    slug: str
    version: str
    kind: str
    title: str
    session_kind: str
    frame_rate: float
    fields: tuple[Field, ...] = ()
    entities: tuple[EntityRecord, ...] = ()
    geometry: GeometryRecord | None = None
    content_type: str = ""
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    record: bool = True

    @property
    def schema(self) -> Schema:
        """Of the telemetry. Raises: InvalidColumns."""
        return Schema(
            self.fields,
            tuple(entity.code for entity in self.entities),
            self.frame_rate,
            default_segment_frames(self.frame_rate),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part of the log.

    Attributes:
        number: of the part, from 1; each writer begins one of its own.
        before: by number of the part before it, how many bytes of it count.
        about: the session.
    """

    number: int
    before: Mapping[int, int]
    about: About


@dataclass(frozen=True, slots=True)
class Came:
    """Frames. entities: how many there were then, which gives a row's width, None for pictures;
    arrived: Unix seconds when they came in, for statistics."""

    entities: int | None
    frames: Sequence[Frame]
    arrived: float


@dataclass(frozen=True, slots=True)
class Happened:
    """An event."""

    event: EventRecord


@dataclass(frozen=True, slots=True)
class Added:
    """An entity that appeared. version: names what is cached of the session from now on."""

    entity: EntityRecord
    version: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. reason: in words, or ""."""

    reason: str


Record = Part | Came | Happened | Added | Ended


def encode(record: Record) -> bytes:
    """A record as it stands in the log and travels to other workers."""
    value: list[Any]
    match record:
        case Part():
            about = dataclasses.asdict(record.about)
            about["fields"] = [field.as_dict() for field in record.about.fields]
            value = ["part", FORMAT, record.number, dict(record.before), about]
        case Came():
            frames = record.frames
            # Pictures are compressed already.
            level = _DEFLATE_LEVEL if record.entities is not None else 0
            content = zlib.compress(b"".join(frame.content for frame in frames), level)
            value = [
                "frames",
                record.entities,
                [frame.number for frame in frames],
                [frame.time for frame in frames],
                [len(frame.content) for frame in frames],
                record.arrived,
                content,
            ]
        case Happened():
            value = ["event", dataclasses.asdict(record.event)]
        case Added():
            value = ["entity", dataclasses.asdict(record.entity), record.version]
        case Ended():
            value = ["end", record.reason]
    packed: bytes = msgpack.packb(value)
    return packed


def decode(data: bytes) -> Record:
    """Inverse of `encode`. Raises: CorruptRecording."""
    try:
        kind, *rest = msgpack.unpackb(data, strict_map_key=False)
        match kind:
            case "part":
                form, number, before, about = rest
                if form != FORMAT:
                    raise CorruptRecording(f"live log of format {form}: expected {FORMAT}")
                return Part(number, before, _about(about))
            case "frames":
                entities, numbers, times, lengths, arrived, packed = rest
                content, at, frames = zlib.decompress(packed), 0, []
                for number, time, length in zip(numbers, times, lengths, strict=True):
                    frames.append(Frame(number, time, content[at : at + length]))
                    at += length
                return Came(entities, frames, arrived)
            case "event":
                return Happened(EventRecord(**rest[0]))
            case "entity":
                return Added(EntityRecord(**rest[0]), rest[1])
            case "end":
                return Ended(rest[0])
    except CorruptRecording:
        raise
    except (ValueError, TypeError, KeyError, zlib.error, msgpack.UnpackException) as error:
        raise CorruptRecording(f"live log: a record cannot be read: {error!r:.120}") from error
    raise CorruptRecording(f"live log: a record of kind {kind!r:.40}: a newer version wrote it")


def _about(value: dict[str, Any]) -> About:
    value["fields"] = tuple(Field.from_dict(field) for field in value["fields"])
    value["entities"] = tuple(EntityRecord(**entity) for entity in value["entities"])
    if (ground := value["geometry"]) is not None:
        ground["bounds"] = tuple(ground["bounds"])
        ground["corners"] = tuple(Corner(**corner) for corner in ground["corners"])
        value["geometry"] = GeometryRecord(**ground)
    return About(**value)


def framed(records: Sequence[bytes]) -> bytes:
    """Encoded records as they lie in a file."""
    return b"".join(_HEAD.pack(len(data), zlib.crc32(data)) + data for data in records)


def framed_bytes(data: bytes) -> int:
    """How many bytes an encoded record takes in a file."""
    return _HEAD.size + len(data)


def whole_records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(encoded record, bytes up to its end) of each record that is whole, up to a torn tail."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if length > MAX_RECORD or end > len(data):
            return
        content = data[at + _HEAD.size : end]
        if zlib.crc32(content) != checksum:
            return
        yield content, end
        at = end


def about_from(start: Start, slug: str, version: str) -> About:
    """What a session is by its first `start`."""
    return About(
        slug=slug,
        version=version,
        kind=start.kind or "telemetry",
        title=cleaned(start.title, 200) or slug,
        session_kind=cleaned(start.session_kind, 20) or "other",
        frame_rate=start.frame_rate or 25.0,
        fields=start.fields,
        entities=start.entities,
        geometry=start.geometry,
        content_type=start.content_type,
        metadata=start.metadata,
        record=start.record is not False,
    )
