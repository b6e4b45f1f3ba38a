"""The producers' wire in one place: names, codes, bounds. No I/O.

Specification: docs/protocol.md, section 10.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

SUBPROTOCOL: Final = "replay.ingest.v1"

MAX_TEXT_BYTES: Final = 1024 * 1024
"""Of a `start`: the outline of a circuit is 60 kB. What the server's WebSocket layer takes."""
MAX_AHEAD_SECONDS: Final = 24 * 3600.0
"""How far a frame may lie after the last one: a wrong number would otherwise make years of gap."""
MAX_FRAME: Final = 2**31 - 1
CONTENT_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
MAX_FRAME_RATE: Final = 240.0


class Action(enum.StrEnum):
    """What a producer may say in a text message."""

    START = "start"
    EVENT = "event"
    ENTITY = "entity"
    END = "end"
    PING = "ping"


class MessageType(enum.StrEnum):
    """`type` of a message to a producer."""

    READY = "ready"
    ACK = "ack"
    PRESSURE = "pressure"
    REFUSED = "refused"
    ENDED = "ended"
    ERROR = "error"
    BYE = "bye"
    PONG = "pong"


class RefusalCode(enum.StrEnum):
    """Why a frame is not recorded. The connection goes on. Table: docs/protocol.md."""

    BAD_FRAME = "bad_frame"
    BAD_VALUE = "bad_value"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_ENTITY = "unknown_entity"
    FRAME_BACKWARDS = "frame_backwards"
    TIME_BACKWARDS = "time_backwards"
    TOO_FAR = "too_far"
    TOO_FAST = "too_fast"
    TOO_LARGE = "too_large"


class ErrorCode(enum.StrEnum):
    """`code` of an `error`: nothing has changed, the connection goes on unless a `bye` follows."""

    NOT_JSON = "not_json"
    UNKNOWN_ACTION = "unknown_action"
    BAD_VALUE = "bad_value"
    OUT_OF_TURN = "out_of_turn"
    HELD = "held"
    FINISHED = "finished"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one producer may send.

    Attributes:
        frame_bytes: of one frame's payload.
        frames_per_second: on average; `burst_seconds` worth may come at once, so that a producer
            that comes back can send what it kept.
        batch: frames of one message.
        burst_seconds: see there.
    """

    frame_bytes: int = 512 * 1024
    frames_per_second: float = 240.0
    batch: int = 250
    burst_seconds: float = 20.0

    def as_dict(self) -> dict[str, Any]:
        """As it stands in `ready.limits`."""
        return {
            "frame_bytes": self.frame_bytes,
            "frames_per_second": self.frames_per_second,
            "batch": self.batch,
        }


class IngestError(Exception):
    """A message cannot be done; it is answered with `error`.

    Attributes:
        code: for programs.
        message: what was wrong, and what would be right.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Refusal:
    """A frame that is not recorded. frame: its number, or None if it has none."""

    frame: int | None
    code: RefusalCode
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The `refused` message."""
        return {
            "type": MessageType.REFUSED.value,
            "frame": self.frame,
            "code": self.code.value,
            "message": self.message,
        }
