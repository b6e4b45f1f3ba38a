"""Every layout of a line of live timing becomes the same update."""

from __future__ import annotations

import base64
import json
import math
import zlib

import pytest

from sessions_app.importers.livetiming.lines import BrokenLine, LineParser, Update, unpacked
from sessions_app.importers.livetiming.merging import entries, merged

DATA = {"Lines": {"4": {"InPit": True, "Note": "it's"}}}
AT = "2025-09-20T12:29:40.3650001Z"
TIME = 1758371380.365


def packed(data: object) -> str:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = deflate.compress(json.dumps(data).encode()) + deflate.flush()
    return base64.b64encode(body).decode()


LAYOUTS = {
    "SignalR": json.dumps({"H": "Streaming", "M": "feed", "A": ["TimingData", DATA, AT]}),
    "SignalR, several": json.dumps(
        {"C": "d-1", "M": [{"H": "Streaming", "M": "feed", "A": ["TimingData", DATA, AT]}]}
    ),
    "SignalR Core": json.dumps(
        {"type": 1, "target": "feed", "arguments": ["TimingData", DATA, AT]}
    ),
    "rows": json.dumps({"Type": "TimingData", "Json": DATA, "DateTime": AT}),
    "a JSON list": json.dumps(["TimingData", DATA, AT]),
    "a Python list": repr(["TimingData", DATA, AT]),
    "packed": json.dumps(["TimingData.z", packed(DATA), AT]),
}


@pytest.mark.parametrize("line", LAYOUTS.values(), ids=LAYOUTS)
def test_each_layout_gives_the_same_update(line: str) -> None:
    (update,) = LineParser().feed(f"  {line}\r\n")
    assert (update.topic, update.data) == ("TimingData", DATA)
    assert update.time == pytest.approx(TIME, abs=1e-3)


def test_a_line_of_the_archive_counts_from_where_its_stream_began() -> None:
    line = '\ufeff01:02:03.500{"Status":"Started"}'
    assert LineParser("SessionStatus", origin=1000.0).feed(line) == [
        Update(1000.0 + 3723.5, "SessionStatus", {"Status": "Started"})
    ]
    (update,) = LineParser("Position.z").feed(f'00:00:01.000"{packed({"Position": []})}"')
    assert update == Update(1.0, "Position", {"Position": []})


def test_a_snapshot_gives_all_topics_that_can_be_read() -> None:
    snapshot = {
        "Heartbeat": {"Utc": AT},
        "TimingData": DATA,
        "Position.z": "no base64",
        "SessionInfo": {"Name": "Race"},
    }
    for line in (json.dumps(snapshot), json.dumps({"R": snapshot, "I": "1"})):
        updates = LineParser().feed(line)
        assert [u.topic for u in updates] == ["Heartbeat", "TimingData", "SessionInfo"]
        assert all(u.time == pytest.approx(TIME, abs=1e-3) for u in updates)
    (alone,) = LineParser().feed(json.dumps({"TimingData": DATA}))
    assert math.isnan(alone.time)


@pytest.mark.parametrize("line", ["", "   ", "{}", '{"S":1}', '{"type":6}', '{"I":"1","R":true}'])
def test_what_tells_nothing_gives_nothing(line: str) -> None:
    assert LineParser().feed(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "whatever",
        "['TimingData', ]",
        "['TimingData', {}",
        "['TimingData', {}, 'yesterday']",
        "['TimingData', 7, '2025-09-20T12:29:40Z']",
        "['no topic', {}, '2025-09-20T12:29:40Z']",
        "['Position.z', '7ZQ=', '2025-09-20T12:29:40Z']",
        '{"Type":"TimingData","Json":{}}',
        '{"Name":"of something else"}',
        "[" * 500,
        '00:00:01.000{"Status":"of no topic"}',
        "['TimingData', __import__('os'), '2025-09-20T12:29:40Z']",
    ],
)
def test_a_broken_line_is_said_to_be_one(line: str) -> None:
    with pytest.raises(BrokenLine):
        LineParser().feed(line)


def test_a_payload_unpacks_to_a_bounded_size() -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(b" " * 50_000_000) + deflate.flush()
    with pytest.raises(BrokenLine, match="unpacks to too much"):
        unpacked(base64.b64encode(bomb).decode())


def test_partial_updates_are_merged() -> None:
    state = merged(None, {"Messages": [{"Text": "a"}], "Flags": {"x": 1, "y": 2}, "_kf": True})
    change = {"Messages": {"1": {"Text": "b"}, "0": {"Read": True}}, "Flags": {"_deleted": ["x"]}}
    state = merged(state, change)
    assert state == {
        "Messages": [{"Text": "a", "Read": True}, {"Text": "b"}],
        "Flags": {"y": 2},
    }
    assert list(entries({"2": "c", "x": "no place"})) == [(2, "c")]
    assert list(entries(["a"])) == [(0, "a")]
    assert list(entries(None)) == []


def test_a_change_is_left_as_it_is() -> None:
    change = {"Lines": {"4": [{"a": 1}]}}
    state = merged(None, change)
    merged(state, {"Lines": {"4": {"0": {"a": 2}}}})
    assert change == {"Lines": {"4": [{"a": 1}]}}
