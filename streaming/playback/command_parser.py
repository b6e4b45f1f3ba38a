"""The parser of clients' messages: every value is checked for type and range.

No I/O. `parse_command` turns a text message into a command or raises `CommandError`, whose message
names what was expected. Specification: docs/protocol.md, section 2.
"""

from __future__ import annotations

import difflib
import json
import math
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .commands import (
    Acknowledge,
    Bye,
    Command,
    CommandError,
    CommandId,
    GoLive,
    Hello,
    Join,
    Leave,
    Pause,
    Ping,
    Play,
    Request,
    Seek,
    SetSpeed,
)
from .protocol import (
    DEFAULT_LEAD,
    DEFAULT_WINDOW,
    MAX_FPS,
    MAX_FRAME,
    MAX_ID_LENGTH,
    MAX_LEAD,
    MAX_MESSAGE_BYTES,
    MAX_NAME_LENGTH,
    MAX_REQUEST_FRAMES,
    MAX_SPEED,
    MAX_WINDOW,
    MIN_LEAD,
    MIN_SPEED,
    STRIDES,
    Action,
    Encoding,
    ErrorCode,
)


def parse_command(text: str | bytes, *, clamp_seek: bool = False) -> Command:
    """Parse one message from a client.

    What depends on the session (whether a frame exists) is checked by the viewer.

    Args:
        text: JSON, as received.
        clamp_seek: a seek to before the start means the start, instead of being refused.

    Returns:
        The command, every value of the right type and in range.

    Raises:
        CommandError: with the code and, if it could be read, the id of the command.
    """
    message = _read_json(text)
    id_ = _id(message)
    action = message.get("action")
    if not isinstance(action, str) or action not in _PARSERS:
        raise CommandError(ErrorCode.UNKNOWN_ACTION, _which_action(message, action), id_)
    if clamp_seek and action == Action.SEEK.value:
        message = {**message, **_not_negative(message)}
    try:
        return _PARSERS[action](message, id_)
    except CommandError as error:
        error.id = id_
        raise


def message_bytes(text: str | bytes) -> int:
    """Bytes of a message on the wire; counted out only where characters may be more than one."""
    if isinstance(text, bytes) or len(text) * 4 <= MAX_MESSAGE_BYTES:
        return len(text)
    return len(text.encode("utf-8", "surrogatepass"))


def _read_json(text: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise CommandError(
            ErrorCode.NOT_JSON, "nested too deeply: expected a flat JSON object"
        ) from None
    except ValueError as error:
        reason = str(error)[:120]
        raise CommandError(
            ErrorCode.NOT_JSON,
            f'not JSON ({reason}): expected an object such as {{"action": "play"}}',
        ) from None
    if not isinstance(message, dict):
        raise CommandError(
            ErrorCode.NOT_JSON,
            f'a JSON {_json_name(message)}: expected an object such as {{"action": "play"}}',
        )
    return message


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _id(message: Mapping[str, Any]) -> CommandId:
    id_ = message.get("id")
    if id_ is None:
        return None
    if isinstance(id_, str) and len(id_) <= MAX_ID_LENGTH:
        return id_
    if isinstance(id_, int) and not isinstance(id_, bool) and abs(id_) < 2**53:
        return id_
    raise CommandError(
        ErrorCode.BAD_VALUE,
        f"id {_show(id_)}: expected a string of at most {MAX_ID_LENGTH} characters or an integer",
    )


def _which_action(message: Mapping[str, Any], action: object) -> str:
    known = ", ".join(_PARSERS)
    if "action" not in message:
        for key in message:
            if difflib.get_close_matches(key, ("action",), cutoff=0.6):
                return f"no action, but {_show(key)}: did you mean 'action'?"
        return f"no action: expected one of {known}"
    if isinstance(action, str):
        near = difflib.get_close_matches(action[:32].lower(), _PARSERS, n=1, cutoff=0.5)
        if near:
            return f"unknown action {_show(action)}: did you mean {near[0]!r}?"
    return f"unknown action {_show(action)}: expected one of {known}"


def _hello(m: Mapping[str, Any], id_: CommandId) -> Hello:
    encoding = m.get("encoding", Encoding.SEGMENTS.value)
    if encoding not in ("segments", "rows"):
        raise _bad("encoding", encoding, "'segments' or 'rows'")
    return Hello(
        encoding=Encoding(encoding),
        window=_integer(m, "window", 1, MAX_WINDOW, DEFAULT_WINDOW),
        lead=_number(m, "lead", MIN_LEAD, MAX_LEAD, DEFAULT_LEAD),
        max_fps=_number(m, "max_fps", 0.1, MAX_FPS) if m.get("max_fps") is not None else None,
        fields=_names(m, "fields"),
        entities=_names(m, "entities"),
        resume=_text(m, "resume", 4096) if m.get("resume") is not None else None,
        events=_boolean(m, "events"),
        name=_display_name(m),
        id=id_,
    )


def _play(m: Mapping[str, Any], id_: CommandId) -> Play:
    return Play(_speed(m) if m.get("speed") is not None else None, id_)


def _not_negative(m: Mapping[str, Any]) -> dict[str, int]:
    """0 for the frame or time of a seek that is below it."""
    return {
        name: 0
        for name in ("frame", "time")
        if isinstance(value := m.get(name), int | float) and value < 0
    }


def _seek(m: Mapping[str, Any], id_: CommandId) -> Seek:
    frame, time = m.get("frame"), m.get("time")
    if (frame is None) == (time is None):
        raise CommandError(
            ErrorCode.BAD_VALUE, "seek: expected either frame (a number) or time (in seconds)"
        )
    return Seek(
        frame=_integer(m, "frame", 0, MAX_FRAME) if frame is not None else None,
        time=_number(m, "time", 0.0, float(MAX_FRAME)) if time is not None else None,
        generation=(
            _integer(m, "generation", 1, MAX_FRAME) if m.get("generation") is not None else None
        ),
        id=id_,
    )


def _request(m: Mapping[str, Any], id_: CommandId) -> Request:
    stride = _integer(m, "stride", 1, STRIDES[-1], 1)
    if stride not in STRIDES:
        raise _bad("stride", stride, f"one of {', '.join(map(str, STRIDES))}")
    return Request(
        frame=_integer(m, "frame", 0, MAX_FRAME),
        frames=_integer(m, "frames", 1, MAX_REQUEST_FRAMES),
        stride=stride,
        id=id_,
    )


def _join(m: Mapping[str, Any], id_: CommandId) -> Join:
    room = m.get("room")
    if not isinstance(room, str) or not 1 <= len(room) <= 64 or not _plain_name(room):
        raise _bad("room", room, "1 to 64 letters, digits, '-' or '_'")
    return Join(room, id_, _display_name(m))


def _display_name(m: Mapping[str, Any]) -> str:
    if m.get("name") is None:
        return ""
    name = clean_name(_text(m, "name", MAX_NAME_LENGTH))
    if not name:
        raise _bad("name", m["name"], "a name that can be seen")
    return name


def clean_name(name: str) -> str:
    """Return `name` without characters that could break other viewers' pages.

    Control and direction characters are removed, runs of spaces become one.
    """
    visible = (" " if c.isspace() else c for c in name if c.isspace() or _is_visible(c))
    return " ".join("".join(visible).split())


def _is_visible(character: str) -> bool:
    return not unicodedata.category(character).startswith("C")


def _ping(m: Mapping[str, Any], id_: CommandId) -> Ping:
    t = m.get("t")
    good = t is None or (
        not isinstance(t, bool)
        and (
            (isinstance(t, int) and abs(t) < 2**63)
            or (isinstance(t, float) and math.isfinite(t))
            or (isinstance(t, str) and len(t) <= MAX_ID_LENGTH)
        )
    )
    if not good:
        raise _bad("t", t, f"a number or a string of at most {MAX_ID_LENGTH} characters")
    hidden = m.get("hidden", False)
    if not isinstance(hidden, bool):
        raise _bad("hidden", hidden, "true or false")
    buffer = _number(m, "buffer", 0, 86_400) if m.get("buffer") is not None else None
    trip = _number(m, "round_trip", 0, 600_000) if m.get("round_trip") is not None else None
    return Ping(t, id_, buffer, hidden, trip)


_PARSERS: dict[str, Callable[[Mapping[str, Any], CommandId], Command]] = {
    Action.HELLO.value: _hello,
    Action.PLAY.value: _play,
    Action.PAUSE.value: lambda m, id_: Pause(id_),
    Action.SEEK.value: _seek,
    Action.SPEED.value: lambda m, id_: SetSpeed(_speed(m), id_),
    Action.ACK.value: lambda m, id_: Acknowledge(_integer(m, "seq", 0, MAX_FRAME), id_),
    Action.REQUEST.value: _request,
    Action.LIVE.value: lambda m, id_: GoLive(id_, _boolean(m, "catch_up")),
    Action.JOIN.value: _join,
    Action.LEAVE.value: lambda m, id_: Leave(id_),
    Action.PING.value: _ping,
    Action.BYE.value: lambda m, id_: Bye(id_),
}


def _integer(
    m: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None
) -> int:
    value = m.get(name, default)
    if value is None and default is not None:
        return default
    if isinstance(value, float) and value.is_integer():
        # JavaScript does not tell 5 from 5.0, and other languages print the latter.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(name, value, f"an integer {least}…{most}")
    return value


def _number(
    m: Mapping[str, Any], name: str, least: float, most: float, default: float | None = None
) -> float:
    value = m.get(name, default)
    if value is None and default is not None:
        return default
    # Compared before it becomes a float: an integer of 400 digits does not fit one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _bad(name, value, f"a number {least:g}…{most:g}")
    return float(value)


def _speed(m: Mapping[str, Any]) -> float:
    value = m.get("speed")
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not MIN_SPEED <= abs(value) <= MAX_SPEED
    ):
        raise _bad("speed", value, f"{MIN_SPEED:g}…{MAX_SPEED:g}, negative to play backwards")
    return float(value)


def _boolean(m: Mapping[str, Any], name: str) -> bool:
    value = m.get(name, False)
    if not isinstance(value, bool):
        raise _bad(name, value, "true or false")
    return value


def _text(m: Mapping[str, Any], name: str, longest: int) -> str:
    value = m.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise _bad(name, value, f"a string of 1 to {longest} characters")
    return value


def _names(m: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = m.get(name)
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(v, str) and len(v) <= MAX_ID_LENGTH for v in value)
    ):
        raise _bad(name, value, "a list of names, or nothing for all of them")
    return tuple(value)


def _plain_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def _bad(name: str, value: object, expected: str) -> CommandError:
    if value is None:
        return CommandError(ErrorCode.BAD_VALUE, f"{name} is missing: expected {expected}")
    return CommandError(ErrorCode.BAD_VALUE, f"{name} {_show(value)}: expected {expected}")


def _show(value: object) -> str:
    """A value of the client's in an error message: short, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "with more than 20 digits"
    if isinstance(value, dict | list):
        return f"({_json_name(value)})"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _json_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
