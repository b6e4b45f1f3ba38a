"""What a client may say, and what it is told when it says it wrongly. The wire as a table."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.playback.command_parser import parse_command
from streaming.playback.commands import (
    Acknowledge,
    Bye,
    Command,
    CommandError,
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
from streaming.playback.protocol import (
    MAX_FRAME,
    Action,
    DataKind,
    Encoding,
    ErrorCode,
    data_message,
)

from .malformed import KINDS, malformed

GOOD: list[tuple[str, Command]] = [
    ('{"action":"hello"}', Hello()),
    (
        '{"action":"hello","encoding":"rows","window":32,"lead":2,"max_fps":5,'
        '"fields":["x"],"entities":["VER"],"resume":"t","events":true,"id":"a"}',
        Hello(Encoding.ROWS, 32, 2.0, 5.0, ("x",), ("VER",), "t", True, "a"),
    ),
    ('{"action":"hello","fields":null,"max_fps":null}', Hello()),
    ('{"action":"play"}', Play()),
    ('{"action":"play","speed":1}', Play(1.0)),
    ('{"action":"pause","id":7}', Pause(7)),
    ('{"action":"seek","frame":0}', Seek(frame=0)),
    ('{"action":"seek","frame":5.0}', Seek(frame=5)),
    ('{"action":"seek","time":1.5,"generation":3}', Seek(time=1.5, generation=3)),
    ('{"action":"speed","speed":-64}', SetSpeed(-64.0)),
    ('{"action":"speed","speed":0.05}', SetSpeed(0.05)),
    ('{"action":"ack","seq":12}', Acknowledge(12)),
    ('{"action":"request","frame":3,"frames":1000}', Request(3, 1000)),
    ('{"action":"request","frame":3,"frames":1,"stride":64}', Request(3, 1, 64)),
    ('{"action":"live"}', GoLive()),
    ('{"action":"join","room":"Friends_1-2"}', Join("Friends_1-2")),
    ('{"action":"join","room":"r","name":" Ann \\u202e\\u0007 Lee "}', Join("r", None, "Ann Lee")),
    ('{"action":"leave"}', Leave()),
    ('{"action":"ping","t":1.25}', Ping(1.25)),
    ('{"action":"bye"}', Bye()),
    ('{"action":"play","newer":"field"}', Play()),
    (' {"action" : "play"} ', Play()),
]

BAD: list[tuple[str, ErrorCode, str]] = [
    ("", ErrorCode.NOT_JSON, "expected an object"),
    ("play", ErrorCode.NOT_JSON, "expected an object"),
    ('{"action":"play"', ErrorCode.NOT_JSON, "expected an object"),
    ("[1]", ErrorCode.NOT_JSON, "a JSON array"),
    ('"play"', ErrorCode.NOT_JSON, "a JSON string"),
    ("null", ErrorCode.NOT_JSON, "a JSON null"),
    ("true", ErrorCode.NOT_JSON, "a JSON boolean"),
    ("[" * 60_000, ErrorCode.NOT_JSON, "expected a"),
    ('{"a":' * 20_000, ErrorCode.NOT_JSON, "expected a"),
    ('{"action":"speed","speed":NaN}', ErrorCode.NOT_JSON, "NaN is not a JSON number"),
    ('{"action":"speed","speed":-Infinity}', ErrorCode.NOT_JSON, "Infinity"),
    ("9" * 5000, ErrorCode.NOT_JSON, "expected an object"),
    ("{}", ErrorCode.UNKNOWN_ACTION, "no action: expected one of hello, play"),
    ('{"acton":"play"}', ErrorCode.UNKNOWN_ACTION, "did you mean 'action'?"),
    ('{"action":"pley"}', ErrorCode.UNKNOWN_ACTION, "did you mean 'play'?"),
    ('{"action":"PAUSE"}', ErrorCode.UNKNOWN_ACTION, "did you mean 'pause'?"),
    ('{"action":"rewind"}', ErrorCode.UNKNOWN_ACTION, "expected one of"),
    ('{"action":5}', ErrorCode.UNKNOWN_ACTION, "unknown action 5"),
    ('{"action":["play"]}', ErrorCode.UNKNOWN_ACTION, "unknown action (array)"),
    ('{"action":"play","id":[1]}', ErrorCode.BAD_VALUE, "id (array)"),
    ('{"action":"play","id":true}', ErrorCode.BAD_VALUE, "id true"),
    ('{"action":"play","speed":0}', ErrorCode.BAD_VALUE, "0.05…64, negative"),
    ('{"action":"play","speed":"fast"}', ErrorCode.BAD_VALUE, 'speed "fast": expected'),
    ('{"action":"play","speed":true}', ErrorCode.BAD_VALUE, "speed true"),
    ('{"action":"speed"}', ErrorCode.BAD_VALUE, "speed is missing"),
    ('{"action":"speed","speed":1e999}', ErrorCode.BAD_VALUE, "speed Infinity"),
    ('{"action":"speed","speed":65}', ErrorCode.BAD_VALUE, "speed 65"),
    ('{"action":"speed","speed":1' + "0" * 400 + "}", ErrorCode.BAD_VALUE, "more than 20 digits"),
    ('{"action":"seek"}', ErrorCode.BAD_VALUE, "either frame"),
    ('{"action":"seek","frame":1,"time":2}', ErrorCode.BAD_VALUE, "either frame"),
    ('{"action":"seek","frame":-1}', ErrorCode.BAD_VALUE, "frame -1: expected an integer 0…"),
    ('{"action":"seek","frame":1.5}', ErrorCode.BAD_VALUE, "frame 1.5"),
    ('{"action":"seek","frame":"1"}', ErrorCode.BAD_VALUE, 'frame "1"'),
    ('{"action":"seek","frame":true}', ErrorCode.BAD_VALUE, "frame true"),
    ('{"action":"seek","frame":99999999999}', ErrorCode.BAD_VALUE, "frame 99999999999"),
    ('{"action":"seek","time":-0.1}', ErrorCode.BAD_VALUE, "time -0.1"),
    ('{"action":"seek","frame":1,"generation":0}', ErrorCode.BAD_VALUE, "generation 0"),
    ('{"action":"ack"}', ErrorCode.BAD_VALUE, "seq is missing"),
    ('{"action":"ack","seq":null}', ErrorCode.BAD_VALUE, "seq is missing"),
    ('{"action":"hello","window":0}', ErrorCode.BAD_VALUE, "window 0: expected an integer 1…32"),
    ('{"action":"hello","window":33}', ErrorCode.BAD_VALUE, "window 33"),
    ('{"action":"hello","encoding":"jpeg"}', ErrorCode.BAD_VALUE, "'segments' or 'rows'"),
    ('{"action":"hello","encoding":{}}', ErrorCode.BAD_VALUE, "encoding (object)"),
    ('{"action":"hello","fields":"x"}', ErrorCode.BAD_VALUE, "a list of names"),
    ('{"action":"hello","entities":[1]}', ErrorCode.BAD_VALUE, "a list of names"),
    ('{"action":"hello","fields":[]}', ErrorCode.BAD_VALUE, "a list of names"),
    ('{"action":"hello","events":1}', ErrorCode.BAD_VALUE, "true or false"),
    ('{"action":"request","frame":0}', ErrorCode.BAD_VALUE, "frames is missing"),
    ('{"action":"request","frame":0,"frames":1001}', ErrorCode.BAD_VALUE, "1…1000"),
    ('{"action":"request","frame":0,"frames":9,"stride":3}', ErrorCode.BAD_VALUE, "1, 2, 4, 8"),
    ('{"action":"join"}', ErrorCode.BAD_VALUE, "room is missing"),
    ('{"action":"join","room":"r","name":7}', ErrorCode.BAD_VALUE, "1 to 40 characters"),
    ('{"action":"join","room":"r","name":"\\u200b"}', ErrorCode.BAD_VALUE, "can be seen"),
    (
        f'{{"action":"hello","name":"{"n" * 41}"}}',
        ErrorCode.BAD_VALUE,
        "1 to 40 characters",
    ),
    ('{"action":"join","room":"a b"}', ErrorCode.BAD_VALUE, "letters, digits"),
    ('{"action":"join","room":""}', ErrorCode.BAD_VALUE, "letters, digits"),
    ('{"action":"ping","t":{}}', ErrorCode.BAD_VALUE, "t (object)"),
]


@pytest.mark.parametrize(("text", "command"), GOOD)
def test_a_good_message_is_understood(text: str, command: Command) -> None:
    assert parse_command(text) == command
    assert parse_command(text.encode()) == command


@pytest.mark.parametrize(("text", "code", "words"), BAD)
def test_a_bad_message_is_told_what_would_be_right(text: str, code: ErrorCode, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(text)
    assert caught.value.code is code
    assert words in caught.value.message
    assert len(caught.value.message) < 300, "an answer must not be a parrot"


def test_an_error_names_the_command_it_is_about() -> None:
    with pytest.raises(CommandError) as caught:
        parse_command('{"action":"speed","speed":0,"id":"x1"}')
    assert caught.value.id == "x1"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
field_names = st.sampled_from(
    sorted({"action", *(name for command in Command.__args__ for name in command.__slots__)})
)
actions = st.sampled_from(list(Action))


def parse(message: str | bytes) -> Command | CommandError:
    """What comes of a message: nothing but a command or an error."""
    try:
        return parse_command(message)
    except CommandError as error:
        return error


@given(st.dictionaries(field_names, json_values), st.none() | actions)
def test_no_message_is_too_odd_to_answer(message: dict[str, Any], action: str | None) -> None:
    """Either a command with everything in range, or an error that can be sent back."""
    if action is not None:
        message["action"] = action
    command = parse(json.dumps(message))
    if isinstance(command, CommandError):
        assert json.loads(json.dumps({"message": command.message, "id": command.id}))
        return
    for value in (getattr(command, name) for name in command.__slots__):
        assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_malformed_messages_are_answered(kind: str) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(500):
        message = malformed(chance, kind)
        answer = parse(message)
        if kind in ("truncated", "deep", "binary", "unknown action"):
            assert isinstance(answer, CommandError), f"seed {seed}: {message[:200]!r}"
        if isinstance(answer, CommandError):
            assert len(answer.message) < 300, f"seed {seed}: {message[:200]!r}"


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_answered(data: bytes) -> None:
    answer = parse(data)
    assert not isinstance(answer, CommandError) or answer.code in ErrorCode


@given(
    st.integers(0, MAX_FRAME),
    st.integers(1, MAX_FRAME),
    st.integers(0, MAX_FRAME),
    st.integers(1, 65535),
    st.integers(-64, 64),
    st.binary(max_size=300),
)
def test_a_segment_message_is_one_msgpack_array(
    generation: int, seq: int, first: int, count: int, stride: int, payload: bytes
) -> None:
    message = data_message(DataKind.SEGMENT, generation, seq, first, count, stride, payload)
    assert msgpack.unpackb(message) == [1, generation, seq, first, count, stride, payload]


def test_a_rows_payload_is_spliced_in_as_it_is() -> None:
    row = msgpack.packb({"frame_index": 5, "drivers": {}})
    message = data_message(DataKind.ROW, 1, 2, 5, 1, -8, row)
    assert msgpack.unpackb(message) == [2, 1, 2, 5, 1, -8, {"frame_index": 5, "drivers": {}}]
