"""The commands of clients: one for each action, its values already checked.

`command_parser` makes them from messages. Specification: docs/protocol.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import DEFAULT_LEAD, DEFAULT_WINDOW, Encoding, ErrorCode


class CommandError(Exception):
    """A command that cannot be carried out. The connection goes on and nothing has changed.

    Attributes:
        code: of the `error` message.
        message: what was wrong and what was expected.
        id: of the command, if it could be read.
    """

    def __init__(self, code: ErrorCode, message: str, id: CommandId = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


CommandId = str | int | None
"""Chosen by the client and echoed in the answer."""


@dataclass(frozen=True, slots=True)
class Hello:
    """fields, entities: None means all of them. lead: seconds. events: send `event` messages.
    name: as in `Join`."""

    encoding: Encoding = Encoding.SEGMENTS
    window: int = DEFAULT_WINDOW
    lead: float = DEFAULT_LEAD
    max_fps: float | None = None
    fields: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    resume: str | None = None
    events: bool = False
    id: CommandId = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Play:
    speed: float | None = None
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class Pause:
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class Seek:
    """Exactly one of frame and time (seconds from the start) is given."""

    frame: int | None = None
    time: float | None = None
    generation: int | None = None
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class SetSpeed:
    speed: float
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    seq: int
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class Request:
    """frames: samples wanted; stride: frames between two of them."""

    frame: int
    frames: int
    stride: int = 1
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class GoLive:
    """catch_up: at 1.05x instead of a jump."""

    id: CommandId = None
    catch_up: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """name: shown to the other members of the room; "" leaves it to the server."""

    room: str
    id: CommandId = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    id: CommandId = None


@dataclass(frozen=True, slots=True)
class Ping:
    """buffer: seconds of frames that the client holds; hidden: nobody sees its page; round_trip:
    milliseconds that the last pong took. All three are for the operator's statistics."""

    t: float | int | str | None = None
    id: CommandId = None
    buffer: float | None = None
    hidden: bool = False
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class Bye:
    id: CommandId = None


Command = (
    Hello
    | Play
    | Pause
    | Seek
    | SetSpeed
    | Acknowledge
    | Request
    | GoLive
    | Join
    | Leave
    | Ping
    | Bye
)
