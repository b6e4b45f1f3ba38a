"""Small live sessions for tests."""

from __future__ import annotations

from typing import Any

import msgpack

from sessions_app.importers.result import EntityRecord
from sessions_app.recording import Field, FieldKind, Schema, Scope
from streaming.live.records import About

FIELDS = (
    Field("x", "dm", kind=FieldKind.CUBIC),
    Field("speed", "km/h", 0.1, FieldKind.LINEAR),
    Field("flag", scope=Scope.SESSION, labels=("green", "red")),
)
RATE = 10.0


def schema(*codes: str) -> Schema:
    return Schema(FIELDS, codes or ("A", "B"), RATE, 10)


def about(*codes: str, slug: str = "regatta") -> About:
    entities = tuple(EntityRecord(code) for code in codes or ("A", "B"))
    return About(
        slug, "0123456789abcdef", "telemetry", "Regatta", "regatta", RATE, FIELDS, entities
    )


def payload(n: int) -> dict[str, Any]:
    """Of frame n."""
    return {
        "entities": {"A": {"x": n, "speed": n / 10}, "B": {"x": -n}},
        "session": {"flag": "red"},
    }


def packed(n: int, time: float | None = None, content: Any = None) -> bytes:
    data: bytes = msgpack.packb([n, time, payload(n) if content is None else content])
    return data
