"""Messages that no client of ours would send, for the parser and for the server."""

from __future__ import annotations

import json
import random
from typing import Any

VALID: list[dict[str, Any]] = [
    {"action": "play", "speed": 2},
    {"action": "seek", "frame": 100},
    {"action": "request", "frame": 0, "frames": 10},
    {"action": "ack", "seq": 1},
    {"action": "join", "room": "r"},
    {"action": "hello", "window": 8},
]


KINDS = (
    "truncated",
    "wrong type",
    "not a number",
    "deep",
    "unknown action",
    "binary",
    "huge number",
    "missing field",
    "odd id",
)
ODD: list[Any] = [
    None,
    True,
    [],
    {},
    "",
    "\ud800",
    -1,
    1.5,
    10**30,
    1e308,
    "NaN",
    [[[[]]]],
    {"a": {}},
]


def malformed(chance: random.Random, kind: str) -> str | bytes:
    """A message that is wrong in that way."""
    message = dict(chance.choice(VALID))
    text = json.dumps(message)
    key = chance.choice(list(message))
    odd = chance.choice(ODD)
    match kind:
        case "truncated":
            return text[: chance.randrange(len(text))]
        case "wrong type":
            return json.dumps({**message, key: odd})
        case "not a number":
            number = chance.choice(["NaN", "-Infinity", "1e999", "0x10", "1_000", ".5", "--1"])
            return f'{{"action": "seek", "frame": {number}}}'
        case "deep":
            opening = chance.choice(["[", "{", '{"a":', '[{"action":'])
            return (opening * chance.randrange(1, 30_000))[:65_536]
        case "unknown action":
            return json.dumps({**message, "action": "".join(chance.choices("playseku", k=5))})
        case "binary":
            return chance.randbytes(chance.randrange(2000))
        case "huge number":
            digits = "9" * chance.choice([1, 20, 400, 4300, 4301, 60_000])
            return f'{{"action": "seek", "{chance.choice(["frame", "time", "id"])}": {digits}}}'
        case "missing field":
            del message[key]
            return json.dumps(message)
        case "odd id":
            return json.dumps({**message, "id": odd})
        case _:
            raise ValueError(f"{kind!r}: expected one of {KINDS}")


def oversized(chance: random.Random) -> str:
    """A message of more than 64 kB."""
    return chance.choice(["x" * 65_537, "€" * 22_000, '{"action": "play"}' * 4_000])
