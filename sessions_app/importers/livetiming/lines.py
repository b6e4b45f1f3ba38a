"""Lines of Formula 1's live timing, in every layout that they are kept in → updates. Pure.

| layout | one line |
|---|---|
| the archive, one file a topic | `00:13:36.231{"Status":"Started"}`, packed `00:00:20.915"7ZK…"` |
| SignalR | `{"H":"Streaming","M":"feed","A":["TimingData",{…},"2024-05-18T13:59:13.54Z"]}`, alone |
| | or in a list `M` |
| SignalR Core | `{"type":1,"target":"feed","arguments":["TimingData",{…},"2025-…Z"]}` |
| rows | `{"Type":"TimingData","Json":{…},"DateTime":"2024-07-05T11:50:44.449+00:00"}` |
| Python lists | `['TimingData', {'Lines': …}, '2025-09-20T12:29:40.365Z']` |
| a snapshot of all topics | `{"SessionInfo":{…},"TimingData":{…}}`, the answer to a subscription |

A topic `NAME.z` is base64 of raw deflate of JSON; its updates come out as those of `NAME`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_LINE = 4_000_000
"""Characters: a snapshot of all topics has 200,000."""
MAX_PAYLOAD = 8_000_000
"""Bytes that one packed payload may unpack to; a second of car data is 8,000."""
_ARCHIVE = re.compile(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d+)?)(?=[\[{\"])")
_TOPIC = re.compile(r"[A-Z][A-Za-z0-9]*(\.z)?")
_SNAPSHOT_TOPICS = {"SessionInfo", "TimingData", "DriverList", "Heartbeat", "TrackStatus"}


class BrokenLine(ValueError):
    """A line that is of no layout, or whose content cannot be read. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one line says of one topic.

    Attributes:
        time: seconds since 1970; of an archive's line, seconds since its stream began plus the
            parser's `origin`; NaN for a snapshot that does not tell.
        topic: "TimingData", "Position", …, without ".z".
        data: JSON values; what is not in it has not changed.
    """

    time: float
    topic: str
    data: Any


class LineParser:
    """Takes lines one at a time, as they come from a file or a connection.

    Args:
        topic: of an archive's file, "TimingData" or "CarData.z", whose lines do not name it.
        origin: when the archive's stream began, seconds since 1970; added to its lines' times.
    """

    def __init__(self, topic: str = "", origin: float = 0.0) -> None:
        self.topic, self.origin = topic, origin

    def feed(self, line: str) -> list[Update]:
        """Read one line.

        Returns: its updates; none for an empty line, a ping or a greeting.
        Raises: BrokenLine.
        """
        line = line.lstrip("\ufeff").strip()
        if not line:
            return []
        if len(line) > MAX_LINE:
            raise BrokenLine(f"a line of {len(line):,} characters: expected at most {MAX_LINE:,}")
        if match := _ARCHIVE.match(line):
            if not self.topic:
                raise BrokenLine("a line of an archive: expected a file named after its topic")
            hours, minutes, seconds = match.groups()
            time = self.origin + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            return [_update(self.topic, _json(line[match.end() :]), time)]
        if line.startswith("["):
            return [_row(_list(line))]
        if line.startswith("{"):
            return _message(_json(line))
        raise BrokenLine("expected a time and JSON, a list, or an object")


def read_time(text: object) -> float:
    """An ISO 8601 time in seconds since 1970; UTC where it names no zone.

    Raises: BrokenLine.
    """
    if not isinstance(text, str):
        raise BrokenLine(f"{text!r:.60} found: expected a time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BrokenLine(f"{text!r:.60} found: expected a time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def unpacked(text: object) -> Any:
    """The JSON of a packed payload. Raises: BrokenLine."""
    if not isinstance(text, str):
        raise BrokenLine("expected a packed payload as base64")
    try:
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpacking.decompress(base64.b64decode(text, validate=True), MAX_PAYLOAD)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise BrokenLine(f"{error}: expected base64 of raw deflate") from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        problem = "is cut off" if not unpacking.unconsumed_tail else "unpacks to too much"
        raise BrokenLine(f"a packed payload {problem}: expected at most {MAX_PAYLOAD:,} bytes")
    return _json(data.decode("utf-8", "replace"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenLine(f"{error}: expected JSON") from None


def _list(line: str) -> Any:
    """A list in JSON or in Python's notation."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(line)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise BrokenLine(f"{error}: expected a list") from None


def _row(row: Any) -> Update:
    """[topic, data, time]"""
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str):
        raise BrokenLine("expected a list of topic, data and time")
    return _update(row[0], row[1], read_time(row[2]))


def _update(topic: str, data: Any, time: float) -> Update:
    if not _TOPIC.fullmatch(topic):
        raise BrokenLine(f"{topic!r:.60} found: expected a topic")
    if topic.endswith(".z") or isinstance(data, str):
        topic, data = topic.removesuffix(".z"), unpacked(data)
    if not isinstance(data, dict):
        raise BrokenLine(f"{data!r:.60} found: expected an object")
    return Update(time, topic, data)


def _message(message: Any) -> list[Update]:
    """An object: a message of either SignalR, a row, or a snapshot."""
    if not isinstance(message, dict):
        raise BrokenLine("expected an object")
    if "Type" in message and "Json" in message:
        return [_row([message["Type"], message["Json"], message.get("DateTime")])]
    if "A" in message:
        return [_row(message["A"])]
    if "arguments" in message:
        return [_row(message["arguments"])]
    if isinstance(message.get("M"), list):
        inner = [m for m in message["M"] if isinstance(m, dict) and "A" in m]
        return [_row(m["A"]) for m in inner]
    snapshot = message.get("R", message.get("result", message))
    if isinstance(snapshot, dict) and snapshot.keys() & _SNAPSHOT_TOPICS:
        return _snapshot(snapshot)
    if message.keys() <= {"C", "G", "I", "M", "S", "H", "R", "type", "result", "invocationId"}:
        return []
    raise BrokenLine("expected a message of the live timing")


def _snapshot(topics: Mapping[str, Any]) -> list[Update]:
    """The state of all topics at once. Those that cannot be read are left out."""
    time = math.nan
    for name in ("Heartbeat", "ExtrapolatedClock"):
        about = topics.get(name)
        if isinstance(about, dict) and "Utc" in about:
            time = read_time(about["Utc"])
            break
    updates = []
    for topic, data in topics.items():
        try:
            updates.append(_update(topic, data, time))
        except BrokenLine:
            continue
    return updates
