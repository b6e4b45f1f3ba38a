"""The parser of producers' text messages: every value is checked for type and range. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions_app.access import Visibility
from sessions_app.importers.result import (
    Corner,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    ImportSourceError,
)
from sessions_app.recording import Field, InvalidColumns

from .wire import CONTENT_TYPES, MAX_FRAME, MAX_FRAME_RATE, Action, ErrorCode, IngestError


@dataclass(frozen=True, slots=True)
class Start:
    """A producer begins, or comes back. None or empty: what the session has already.

    Attributes:
        kind: "telemetry" or "media".
        title: for viewers.
        session_kind: "race", "regatta" and so on.
        frame_rate: frames a second of the timeline.
        fields: of the schema.
        entities: those known so far, in the order of the columns.
        geometry: the ground.
        content_type: of pictures.
        record: whether it becomes a recording; None for true.
        access: who may watch.
        take_over: end another producer's connection.
        token: shown instead of an Authorization header.
        metadata: JSON-able, kept with the session.
    """

    kind: str | None = None
    title: str = ""
    session_kind: str = ""
    frame_rate: float | None = None
    fields: tuple[Field, ...] = ()
    entities: tuple[EntityRecord, ...] = ()
    geometry: GeometryRecord | None = None
    content_type: str = ""
    record: bool | None = None
    access: str | None = None
    take_over: bool = False
    token: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event."""

    event: EventRecord


@dataclass(frozen=True, slots=True)
class Appeared:
    """An entity that was not there before."""

    entity: EntityRecord


@dataclass(frozen=True, slots=True)
class End:
    """The session is over."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """t: comes back in the `pong`."""

    t: Any = None


Command = Start | Happened | Appeared | End | Ping


def parse_command(text: str) -> Command:
    """Parse one text message of a producer.

    Args:
        text: JSON, as received.

    Raises:
        IngestError: with what was expected.
    """
    message = _read(text)
    action = message.get("action")
    try:
        match action:
            case Action.START.value:
                return _start(message)
            case Action.EVENT.value:
                return Happened(_event(message))
            case Action.ENTITY.value:
                return Appeared(_entity(message))
            case Action.END.value:
                return End(_text(message, "reason", 200))
            case Action.PING.value:
                return Ping(message.get("t"))
    except (InvalidColumns, ImportSourceError) as error:
        raise IngestError(ErrorCode.BAD_VALUE, str(error)) from None
    expected = ", ".join(name.value for name in Action)
    raise IngestError(ErrorCode.UNKNOWN_ACTION, f"action {_shown(action)}: expected {expected}")


def _read(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IngestError(
            ErrorCode.NOT_JSON,
            f'not JSON ({str(error)[:120]}): expected an object such as {{"action": "start"}}',
        ) from None
    if not isinstance(message, dict):
        raise IngestError(
            ErrorCode.NOT_JSON, 'no JSON object: expected one such as {"action": "start"}'
        )
    return message


def _start(message: Mapping[str, Any]) -> Start:
    kind = message.get("kind")
    if kind not in (None, "telemetry", "media"):
        raise _bad("kind", kind, '"telemetry" or "media"')
    content_type = message.get("content_type", "")
    if content_type and content_type not in CONTENT_TYPES:
        raise _bad("content_type", content_type, " or ".join(CONTENT_TYPES))
    access = message.get("access")
    known = [value.value for value in Visibility]
    if access is not None and access not in known:
        raise _bad("access", access, f"one of {', '.join(known)}")
    rate = message.get("frame_rate")
    if rate is not None and not 0 < (_number(rate) or 0.0) <= MAX_FRAME_RATE:
        raise _bad("frame_rate", rate, f"more than 0, at most {MAX_FRAME_RATE:g}")
    geometry = message.get("geometry")
    return Start(
        kind=kind,
        title=_text(message, "title", 200),
        session_kind=_text(message, "session_kind", 20),
        frame_rate=None if rate is None else float(rate),
        fields=tuple(_field(item) for item in _objects(message, "fields")),
        entities=tuple(_entity(item) for item in _objects(message, "entities")),
        geometry=None if geometry is None else _geometry(geometry),
        content_type=content_type,
        record=_flag(message, "record"),
        access=access,
        take_over=bool(_flag(message, "take_over")),
        token=_text(message, "token", 500),
        metadata=_object(message, "metadata"),
    )


def _field(item: Mapping[str, Any]) -> Field:
    try:
        field = Field.from_dict(item)
    except TypeError as error:
        raise _bad("fields", item, f"name, unit, scale, kind, scope, labels ({error})") from None
    if not math.isfinite(field.scale):
        raise _bad("fields", item, "a finite scale")
    return field


def _entity(message: Mapping[str, Any]) -> EntityRecord:
    code = message.get("code")
    if not isinstance(code, str):
        raise _bad("code", code, "a text that names the entity")
    return EntityRecord(
        code=code,
        name=_text(message, "name", 120),
        number=str(message.get("number") or "")[:10],
        team=_text(message, "team", 120),
        colour=_text(message, "colour", 7),
        kind=_text(message, "kind", 20),
        attributes=_object(message, "attributes"),
    )


def _event(message: Mapping[str, Any]) -> EventRecord:
    frame = message.get("frame")
    if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame <= MAX_FRAME:
        raise _bad("frame", frame, "the number of a frame")
    kind = _text(message, "kind", 30)
    if not kind:
        raise _bad("kind", message.get("kind"), 'a text such as "flag"')
    return EventRecord(
        frame=frame,
        kind=kind,
        message=_text(message, "message", 500),
        entity=_text(message, "entity", 40),
        value=_text(message, "value", 60),
        lap=_small(message, "lap"),
        sector=_small(message, "sector"),
    )


def _geometry(value: Any) -> GeometryRecord:
    """As REST shows it; `bounds` may also be a list of four."""
    if not isinstance(value, dict):
        raise _bad("geometry", value, "an object")
    bounds = value.get("bounds")
    if isinstance(bounds, dict):
        bounds = [bounds.get(name) for name in ("x_min", "y_min", "x_max", "y_max")]
    numbers = [_number(part) for part in bounds] if isinstance(bounds, list) else []
    if len(numbers) != 4 or any(number is None for number in numbers):
        raise _bad("geometry.bounds", bounds, "x_min, y_min, x_max and y_max")
    x_min, y_min, x_max, y_max = (number or 0.0 for number in numbers)
    length = value.get("length")
    if length is not None and _number(length) is None:
        raise _bad("geometry.length", length, "metres, or null")
    origin = value.get("origin")
    return GeometryRecord(
        kind=_text(value, "kind", 20) or "field",
        unit=_text(value, "unit", 10),
        bounds=(x_min, y_min, x_max, y_max),
        rotation=_number(value.get("rotation", 0.0)) or 0.0,
        length=_number(length),
        centre_line=_points(value, "centre_line"),
        inner_edge=_points(value, "inner_edge"),
        outer_edge=_points(value, "outer_edge"),
        pit_lane=_points(value, "pit_lane"),
        drs_zones=_points(value, "drs_zones"),
        sectors=_numbers(value, "sectors"),
        marshal_sectors=_numbers(value, "marshal_sectors"),
        corners=tuple(_corner(corner) for corner in _objects(value, "corners")),
        lines=tuple(_points({"lines": line}, "lines") for line in _list(value, "lines")),
        origin=_points({"origin": [origin]}, "origin")[0] if origin else None,
    )


def _corner(value: Mapping[str, Any]) -> Corner:
    x, y, angle = (_number(value.get(name, 0.0)) for name in ("x", "y", "angle"))
    if x is None or y is None or angle is None:
        raise _bad("geometry.corners", value, "label, x, y, angle")
    return Corner(_text(value, "label", 10), x, y, angle, _number(value.get("fraction")))


def _points(value: Mapping[str, Any], name: str) -> tuple[tuple[float, float], ...]:
    points = []
    for point in _list(value, name):
        pair = [_number(part) for part in point] if isinstance(point, list | tuple) else []
        if len(pair) != 2 or pair[0] is None or pair[1] is None:
            raise _bad(f"geometry.{name}", point, "pairs of numbers")
        points.append((pair[0], pair[1]))
    return tuple(points)


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = value.get(name)
    if found is not None and not isinstance(found, list):
        raise _bad(f"geometry.{name}", found, "a list")
    return found or ()


def _numbers(value: Mapping[str, Any], name: str) -> tuple[float, ...]:
    numbers = [_number(part) for part in _list(value, name)]
    if any(number is None for number in numbers):
        raise _bad(f"geometry.{name}", value.get(name), "numbers")
    return tuple(number or 0.0 for number in numbers)


def _number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _small(message: Mapping[str, Any], name: str) -> int | None:
    value = message.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 32_767:
        raise _bad(name, value, "0 to 32767, or null")
    return value


def _text(message: Mapping[str, Any], name: str, most: int) -> str:
    value = message.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise _bad(name, value, f"a text of at most {most} characters")
    return value


def _flag(message: Mapping[str, Any], name: str) -> bool | None:
    value = message.get(name)
    if value is not None and not isinstance(value, bool):
        raise _bad(name, value, "true or false")
    return value


def _object(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if value is not None and not isinstance(value, dict):
        raise _bad(name, value, "an object")
    return value or {}


def _objects(message: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = message.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _bad(name, value, "a list of objects")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _bad(name: str, value: Any, expected: str) -> IngestError:
    return IngestError(ErrorCode.BAD_VALUE, f"{name} {_shown(value)}: expected {expected}")
