"""The wire in one place: names, codes, bounds and the data header. No I/O.

Specification: docs/protocol.md; the clients' commands are in `commands.py`. `data_header` makes the
part of a data message that differs between viewers, so that the payload is spliced in and never
re-encoded.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

SUBPROTOCOL: Final = "replay.v1"

MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_ID_LENGTH: Final = 64
MAX_NAME_LENGTH: Final = 40
"""Characters of a name that others in a room see."""
MAX_ROOMS: Final = 5000
"""On a worker."""
JOINS_PER_SECOND: Final = 5
"""Of one viewer, and so many at once: every one is told to all members of the room."""
MAX_WINDOW: Final = 32
DEFAULT_WINDOW: Final = 8
"""Eight segments of a real race are 16 kB: what a stalled client may cost, and just more than one
wake-up sends."""
DEFAULT_LEAD: Final = 12.0
"""Seconds granted ahead. Half of it and a segment are sent per wake-up: one wake-up in 7 s."""
MIN_LEAD: Final = 0.25
MAX_LEAD: Final = 60.0
MIN_SPEED: Final = 0.05
MAX_SPEED: Final = 64.0
MAX_FPS: Final = 240.0
MAX_REQUEST_FRAMES: Final = 1000
MAX_FRAME: Final = 2**32 - 1
"""The data header carries frame numbers and generations in 32 bits."""
STRIDES: Final = (1, 2, 4, 8, 16, 32, 64)
BUFFERING_AFTER: Final = 0.1
"""Seconds without an answer to a seek after which `buffering` is sent."""
ACKNOWLEDGE_WITHIN: Final = 60.0
"""Seconds without an acknowledgement, while data waits, after which the connection is closed."""


FIRST_BACKOFF: Final = 0.5
BACKOFF_FACTOR: Final = 2
MAX_BACKOFF: Final = 30.0
"""Seconds; see `backoff`."""


class Action(enum.StrEnum):
    """What a client may ask for."""

    HELLO = "hello"
    PLAY = "play"
    PAUSE = "pause"
    SEEK = "seek"
    SPEED = "speed"
    ACK = "ack"
    REQUEST = "request"
    LIVE = "live"
    JOIN = "join"
    LEAVE = "leave"
    PING = "ping"
    BYE = "bye"


class MessageType(enum.StrEnum):
    """`type` of a control message from the server."""

    WELCOME = "welcome"
    LOADING_PROGRESS = "loading_progress"
    LOADING_COMPLETE = "loading_complete"
    LOADING_ERROR = "loading_error"
    STATE = "state"
    EVENT = "event"
    PONG = "pong"
    ROOM = "room"
    BYE = "bye"
    ERROR = "error"


class DataKind(enum.IntEnum):
    """First element of a data message: what its payload is."""

    SEGMENT = 1
    ROW = 2
    MEDIA = 3


class Encoding(enum.StrEnum):
    """How frames reach a viewer: segments that it paces itself, or rows that the server paces."""

    SEGMENTS = "segments"
    ROWS = "rows"


class Status(enum.StrEnum):
    """What the playhead is doing."""

    PAUSED = "paused"
    PLAYING = "playing"
    BUFFERING = "buffering"
    ENDED = "ended"
    LIVE = "live"


class ErrorCode(enum.StrEnum):
    """`code` of an `error`: the connection goes on, nothing has changed. The table with their
    meanings is in docs/protocol.md, section 3."""

    NOT_JSON = "not_json"
    UNKNOWN_ACTION = "unknown_action"
    BAD_VALUE = "bad_value"
    OUT_OF_TURN = "out_of_turn"
    NOT_READY = "not_ready"
    NOT_LIVE = "not_live"
    TOO_MANY = "too_many"
    NO_ROOM = "no_room"
    UNAVAILABLE = "unavailable"


class CloseCode(enum.IntEnum):
    """Why a connection ends. The table with their meanings is in docs/protocol.md, section 8.

    1009 and 1011 are WebSocket's own codes: the server's WebSocket layer closes with 1009 before a
    far too large message is put together.
    """

    DONE = 1000
    FAR_TOO_LARGE = 1009
    FAILED = 1011
    RESTARTING = 1012
    NOT_THIS_PROTOCOL = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    NO_SUCH_SESSION = 4404
    SLOW = 4408
    TAKEN_OVER = 4409
    TOO_LARGE = 4413
    TOO_MANY = 4429

    @property
    def meaning(self) -> str:
        """In a few words, for the `reason` of a close."""
        return _MEANINGS[self]

    @property
    def retry(self) -> bool:
        """Whether a client should connect again by itself, after `backoff`."""
        return self in _RETRY


_MEANINGS = {
    CloseCode.DONE: "done",
    CloseCode.FAR_TOO_LARGE: "message far too large",
    CloseCode.FAILED: "the server failed",
    CloseCode.RESTARTING: "restarting",
    CloseCode.NOT_THIS_PROTOCOL: "not this protocol",
    CloseCode.UNAUTHENTICATED: "log in first",
    CloseCode.FORBIDDEN: "not yours",
    CloseCode.NO_SUCH_SESSION: "no such session",
    CloseCode.SLOW: "slow, no acknowledgement",
    CloseCode.TAKEN_OVER: "another producer sends this session",
    CloseCode.TOO_LARGE: "message too large",
    CloseCode.TOO_MANY: "too many messages or connections",
}

_RETRY = frozenset((CloseCode.FAILED, CloseCode.RESTARTING, CloseCode.SLOW, CloseCode.TOO_MANY))


def may_return(code: int) -> bool:
    """Whether a client should connect again by itself after `code`, which may be any code: one that
    is not in the table is taken for a connection that broke."""
    return code not in _FINAL


_FINAL = frozenset(int(code) for code in CloseCode if not code.retry)


def backoff(attempt: int, share: float) -> float:
    """Seconds to wait before a client connects again.

    attempt: 0 for the first since the last `welcome`; share: 0 to 1, drawn at random, so that the
    viewers of a server that ended do not all come back at once. `retry_after` of a `bye` is waited
    for if it is longer.
    """
    longest: float = min(MAX_BACKOFF, FIRST_BACKOFF * BACKOFF_FACTOR**attempt)
    return longest * share


_HEADER: Final = struct.Struct(">BBBIBIBIBHBh")
_BIN: Final = struct.Struct(">BI")


def data_header(
    kind: DataKind,
    generation: int,
    seq: int,
    first_frame: int,
    frame_count: int,
    stride: int,
    payload_bytes: int,
) -> bytes:
    """Make the bytes before the payload of a data message.

    Header and payload together are the msgpack array `[kind, generation, seq, first_frame,
    frame_count, stride, payload]`. Integers have their fixed widths, which is legal msgpack: five
    bytes longer than the shortest form, and one pack call instead of seven. A row's payload is
    itself a msgpack map; any other is a bin.

    Args:
        kind: of the payload.
        generation: of the viewer's last seek.
        seq: number of the message, from 1.
        first_frame: of the lowest sample.
        frame_count: samples in the payload.
        stride: frames between two samples, negative backwards.
        payload_bytes: length of the payload; not used for rows.
    """
    head = _HEADER.pack(
        0x97, kind, 0xCE, generation, 0xCE, seq, 0xCE, first_frame, 0xCD, frame_count, 0xD1, stride
    )
    return head if kind is DataKind.ROW else head + _BIN.pack(0xC6, payload_bytes)


def data_message(
    kind: DataKind,
    generation: int,
    seq: int,
    first_frame: int,
    frame_count: int,
    stride: int,
    payload: bytes,
) -> bytes:
    """Make a whole data message. Args: as `data_header`, with the payload itself."""
    head = data_header(kind, generation, seq, first_frame, frame_count, stride, len(payload))
    return head + payload
