"""MCAP with the public JSON schemas of Foxglove, so that other people's tools show it.

| topic | schema | what |
|---|---|---|
| `/entities/CODE/place` | `foxglove.LocationFix`, or `foxglove.PoseInFrame` | where it was |
| `/entities/CODE/values` | `replay.Values` | its other fields |
| `/session` | `replay.SessionValues` | the fields that hold for all |
| `/events` | `foxglove.Log` | flags, pit stops… |
| `/ground` | `foxglove.SceneUpdate` | its lines, once |

A place is a latitude and a longitude where the ground's place on Earth is known, else metres in the
frame `ground`. The schemas name what is used of them, and readers ignore what is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, Writer

from ..recording import Field
from .source import ExportSource, Progress, Value, degrees, metres, plain, require_places

FRAME = "ground"
"""The frame of reference of all places."""
_JSON, _SCHEMA = "json", "jsonschema"
_INFO = 2
"""Level of a `foxglove.Log`."""
_LINE_STRIP, _LINE_LOOP = 0, 1

_NUMBER = {"type": "number"}
_TEXT = {"type": "string"}


def _object(title: str, **properties: Any) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TIME = _object(
    "time",
    sec={"type": "integer", "minimum": 0},
    nsec={"type": "integer", "minimum": 0, "maximum": 999_999_999},
)
_DURATION = _object(
    "duration",
    sec={"type": "integer"},
    nsec={"type": "integer", "minimum": 0, "maximum": 999_999_999},
)
_VECTOR = _object("foxglove.Vector3", x=_NUMBER, y=_NUMBER, z=_NUMBER)
_POINT = _object("foxglove.Point3", x=_NUMBER, y=_NUMBER, z=_NUMBER)
_QUATERNION = _object("foxglove.Quaternion", x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)
_POSE = _object("foxglove.Pose", position=_VECTOR, orientation=_QUATERNION)
_COLOUR = _object("foxglove.Color", r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
LOCATION_FIX = _object(
    "foxglove.LocationFix",
    timestamp=_TIME,
    frame_id=_TEXT,
    latitude=_NUMBER,
    longitude=_NUMBER,
    altitude=_NUMBER,
    position_covariance={**_list(_NUMBER), "minItems": 9, "maxItems": 9},
    position_covariance_type={"type": "integer", "minimum": 0, "maximum": 3},
)
POSE_IN_FRAME = _object("foxglove.PoseInFrame", timestamp=_TIME, frame_id=_TEXT, pose=_POSE)
LOG = _object(
    "foxglove.Log",
    timestamp=_TIME,
    level={"type": "integer", "minimum": 0, "maximum": 5},
    message=_TEXT,
    name=_TEXT,
    file=_TEXT,
    line={"type": "integer", "minimum": 0},
)
_LINE = _object(
    "foxglove.LinePrimitive",
    type={"type": "integer", "minimum": 0, "maximum": 2},
    pose=_POSE,
    thickness=_NUMBER,
    scale_invariant={"type": "boolean"},
    points=_list(_POINT),
    color=_COLOUR,
    colors=_list(_COLOUR),
    indices=_list({"type": "integer", "minimum": 0}),
)
SCENE_UPDATE = _object(
    "foxglove.SceneUpdate",
    deletions=_list(
        _object(
            "foxglove.SceneEntityDeletion",
            timestamp=_TIME,
            type={"type": "integer", "minimum": 0, "maximum": 1},
            id=_TEXT,
        )
    ),
    entities=_list(
        _object(
            "foxglove.SceneEntity",
            timestamp=_TIME,
            frame_id=_TEXT,
            id=_TEXT,
            lifetime=_DURATION,
            frame_locked={"type": "boolean"},
            metadata=_list(_object("foxglove.KeyValuePair", key=_TEXT, value=_TEXT)),
            # Kinds of shapes that are never drawn here; readers expect the lists.
            **dict.fromkeys(
                ("arrows", "cubes", "spheres", "cylinders", "triangles", "texts", "models"),
                _list({"type": "object"}),
            ),
            lines=_list(_LINE),
        )
    ),
)


def write_mcap(source: ExportSource, path: Path, progress: Progress) -> None:
    """Raises: ExportRefused for a recording without x and y."""
    require_places(source, "mcap")
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="", library="replayproject")
        _Export(source, writer).write(progress)
        writer.finish()  # type: ignore[no-untyped-call]


class _Export:
    """The channels of one file, and what goes into them."""

    def __init__(self, source: ExportSource, writer: Writer) -> None:
        self.source, self.writer = source, writer
        ground = source.geometry
        self.origin = None if ground is None else ground.origin
        self.scale = metres(source)
        self.fields = [f for f in source.entity_fields if f.name not in ("x", "y")]
        place = self._schema(POSE_IN_FRAME if self.origin is None else LOCATION_FIX)
        values = self._schema(_values_schema("replay.Values", self.fields))
        self.places, self.values = [], []
        for entity in source.entities:
            topic = f"/entities/{_topic(entity.code)}"
            about = {
                name: str(getattr(entity, name))
                for name in ("code", "name", "number", "team", "colour", "kind")
            }
            self.places.append(writer.register_channel(f"{topic}/place", _JSON, place, about))
            if self.fields:
                self.values.append(writer.register_channel(f"{topic}/values", _JSON, values, about))
        self.session = None
        if source.session_fields:
            schema = self._schema(_values_schema("replay.SessionValues", source.session_fields))
            self.session = writer.register_channel("/session", _JSON, schema)
        self.sequence = 0

    def _schema(self, schema: dict[str, Any]) -> int:
        document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        data = json.dumps(document).encode()
        return int(self.writer.register_schema(schema["title"], _SCHEMA, data))

    def write(self, progress: Progress) -> None:
        source = self.source
        self.writer.add_metadata(
            "session",
            {
                "slug": source.slug,
                "version": source.version,
                "title": source.title,
                "kind": source.kind,
            },
        )
        self._ground()
        events = iter(sorted(source.events, key=lambda event: event.frame))
        event = next(events, None)
        log = None if event is None else self._channel("/events", LOG)
        for frames, columns in source.blocks(progress):
            x, y = (columns.quantities(name) * self.scale for name in ("x", "y"))
            if self.origin is None:
                across, along = x.round(3), y.round(3)
            else:
                along, across = (v.round(8) for v in degrees(x, y, self.origin))
            seen = ~(np.isnan(x) | np.isnan(y))
            values = [
                [plain(f, columns.values[f.name][:, e]) for f in self.fields]
                for e in range(len(source.entities))
            ]
            of_session = [plain(f, columns.values[f.name][:, 0]) for f in source.session_fields]
            for i, frame in enumerate(frames.tolist()):
                now = source.nanoseconds(frame)
                while event is not None and log is not None and event.frame <= frame:
                    self._event(log, event.frame, event.kind, event.message, event.entity)
                    event = next(events, None)
                stamp = _stamp(now)
                for e in np.flatnonzero(seen[i]).tolist():
                    place = self._place(stamp, float(across[i, e]), float(along[i, e]))
                    self._add(self.places[e], now, place)
                for e, channel in enumerate(self.values):
                    own = _present(self.fields, values[e], i)
                    if own:
                        self._add(channel, now, own)
                if self.session is not None:
                    shown = _present(source.session_fields, of_session, i)
                    if shown:
                        self._add(self.session, now, shown)
        while event is not None and log is not None:
            self._event(log, event.frame, event.kind, event.message, event.entity)
            event = next(events, None)

    def _channel(self, topic: str, schema: dict[str, Any]) -> int:
        return self.writer.register_channel(topic, _JSON, self._schema(schema))

    def _add(self, channel: int, time_ns: int, content: dict[str, Any]) -> None:
        data = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        self.writer.add_message(
            channel, time_ns, data, publish_time=time_ns, sequence=self.sequence
        )
        self.sequence = (self.sequence + 1) % 2**32

    def _place(self, stamp: dict[str, int], across: float, along: float) -> dict[str, Any]:
        """across: longitude, or metres along x; along: latitude, or metres along y."""
        if self.origin is not None:
            return {
                "timestamp": stamp,
                "frame_id": FRAME,
                "latitude": along,
                "longitude": across,
                "altitude": 0,
                "position_covariance": [0] * 9,
                "position_covariance_type": 0,
            }
        return {
            "timestamp": stamp,
            "frame_id": FRAME,
            "pose": {
                "position": {"x": across, "y": along, "z": 0},
                "orientation": {"x": 0, "y": 0, "z": 0, "w": 1},
            },
        }

    def _event(self, channel: int, frame: int, kind: str, message: str, entity: str) -> None:
        now = self.source.nanoseconds(frame)
        name = f"{kind} {entity}".strip()
        content = {
            "timestamp": _stamp(now),
            "level": _INFO,
            "message": message or name,
            "name": name,
            "file": "",
            "line": 0,
        }
        self._add(channel, now, content)

    def _ground(self) -> None:
        """The lines of the ground, as one entity of a scene."""
        ground = self.source.geometry
        if ground is None:
            return
        closed = ground.kind == "circuit"
        lines = [
            *((line, closed) for line in (ground.inner_edge, ground.outer_edge)),
            *((line, False) for line in (ground.pit_lane, *ground.lines)),
        ]
        if not ground.inner_edge:
            lines.append((ground.centre_line, closed))
        shapes = [
            {
                "type": _LINE_LOOP if loop else _LINE_STRIP,
                "pose": {
                    "position": {"x": 0, "y": 0, "z": 0},
                    "orientation": {"x": 0, "y": 0, "z": 0, "w": 1},
                },
                "thickness": 1,
                "scale_invariant": True,
                "points": [
                    {"x": round(x * self.scale, 3), "y": round(y * self.scale, 3), "z": 0}
                    for x, y in line
                ],
                "color": {"r": 0.5, "g": 0.5, "b": 0.5, "a": 1},
                "colors": [],
                "indices": [],
            }
            for line, loop in lines
            if len(line) > 1
        ]
        if not shapes:
            return
        now = self.source.nanoseconds(0)
        empty = ("arrows", "cubes", "spheres", "cylinders", "triangles", "texts", "models")
        entity = {
            "timestamp": _stamp(now),
            "frame_id": FRAME,
            "id": "ground",
            "lifetime": {"sec": 0, "nsec": 0},
            "frame_locked": False,
            "metadata": [],
            **{name: [] for name in empty},
            "lines": shapes,
        }
        self._add(
            self._channel("/ground", SCENE_UPDATE), now, {"deletions": [], "entities": [entity]}
        )


def _values_schema(title: str, fields: list[Field]) -> dict[str, Any]:
    """A property for each field; a field that is missing is left out of the message."""
    properties = {}
    for f in fields:
        about: dict[str, Any] = {"type": "string" if f.labels else "number"}
        if f.labels:
            about["enum"] = list(f.labels)
        if f.unit:
            about["description"] = f.unit
        properties[f.name] = about
    return _object(title, **properties)


def _present(fields: list[Field], values: list[list[Value]], index: int) -> dict[str, Value]:
    return {
        f.name: own[index] for f, own in zip(fields, values, strict=True) if own[index] is not None
    }


def _stamp(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return {"sec": seconds, "nsec": rest}


def _topic(code: str) -> str:
    """A code as a part of a topic: what separates parts, or ends words, becomes a line."""
    return "".join("_" if c.isspace() or c == "/" else c for c in code)
