"""What is fuzzed: for each parser its inputs, and the errors that it documents."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.test import RequestFactory
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer

from sessions_app.api.caching import entity_tag, matches
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import EntityRecord, EventRecord, ImportSourceError
from sessions_app.importers.table import import_table
from sessions_app.importers.table.mapping import read_mapping
from sessions_app.importers.tables import ColumnType, read_table
from sessions_app.importers.text import cleaned, is_clean, shown
from sessions_app.models import SLUG_PATTERN
from sessions_app.recording import (
    Columns,
    Field,
    FieldKind,
    RecordingError,
    Schema,
    decode_segment,
    encode_segment,
)
from sessions_app.recording.file import (
    MESSAGE_ENCODING,
    PROFILE,
    RECORDING_METADATA,
    TOPIC,
    VERSION_METADATA,
    Recording,
    RecordingWriter,
    _sealed,
)
from sessions_app.recording.integrity import recover_recording, verify_recording
from sessions_app.recording.segment import deflate, inflate
from sessions_app.sources import UnknownSource, find_source
from sessions_app.visitors import is_token
from streaming.api.byte_ranges import Unsatisfiable, requested_range
from streaming.client.decoding import decode_data
from streaming.connections.resume import ResumeError, read_token
from streaming.live.commands import Start
from streaming.live.commands import parse_command as parse_live_command
from streaming.live.layout import Layout
from streaming.live.producing import Intake
from streaming.live.records import Ended, Part, about_from, whole_records
from streaming.live.records import decode as decode_record
from streaming.live.records import encode as encode_record
from streaming.live.wire import IngestError
from streaming.playback.command_parser import clean_name, parse_command
from streaming.playback.commands import CommandError
from streaming.playback.protocol import Action, DataKind, data_message
from tests.live_samples import about as live_about
from tests.live_samples import packed as packed_frame
from tests.live_samples import schema as live_schema

MAPPING = """\
time: {column: t, unit: s}
entity: {column: who, name: name}
rate: 10
events: e
fields:
  x: {column: x, unit: m}
  y: {column: y, unit: m}
geometry: {kind: field, bounds: [0, 0, 10, 10], lines: [[[0, 0], [1, 1]]]}
"""
COLUMNS = {
    "t": ColumnType.NUMBER,
    "who": ColumnType.TEXT,
    "x": ColumnType.TIME,
    "y": ColumnType.FLAG,
}


@dataclass(frozen=True)
class Target:
    """inputs: of any type that `check` takes; allowed: what the parser documents to raise;
    memory: bytes by which the process may grow."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    allowed: tuple[type[Exception], ...]
    memory: int = 300_000_000


TARGETS: dict[str, Target] = {}


def target(
    inputs: st.SearchStrategy[Any], *allowed: type[Exception]
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a check under its name."""

    def register(check: Callable[[Any], None]) -> Callable[[Any], None]:
        TARGETS[check.__name__] = Target(inputs, check, allowed)
        return check

    return register


def spoiled(*valid: bytes) -> st.SearchStrategy[bytes]:
    """Valid bytes with parts overwritten, left out, repeated or put in; sometimes any bytes."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(valid)))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(data)))
            how = draw(st.sampled_from(["bit", "byte", "number", "drop", "repeat", "put", "cut"]))
            if how == "bit" and at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            elif how == "byte":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            elif how == "number":
                number = draw(st.sampled_from((0, 1, 127, 255, 2**15, 2**31 - 1, 2**32 - 1)))
                data[at : at + 4] = number.to_bytes(4, draw(st.sampled_from(("big", "little"))))
            elif how == "drop":
                del data[at : at + draw(st.integers(1, 40))]
            elif how == "repeat":
                data[at:at] = data[at : at + 20] * draw(st.integers(1, 200))
            elif how == "put":
                data[at:at] = draw(st.binary(max_size=20))
            else:
                del data[at:]
        return bytes(data)

    return changed() | st.binary(max_size=300)


def spoiled_text(*valid: str) -> st.SearchStrategy[str]:
    """The same for text, with the words that parsers trip over put in."""
    words = st.sampled_from(
        ("9" * 5000, "-1", "1e999", "NaN", "null", "[" * 2000, "{", "}", '"', "\\", "\x00",
         "\x1b[2J", "\ud800", "٣", "&a", "*a", "!!x ", "<<: ", "- ", ": ", "\t", "\n", "..", "/",
         "%00", ",", "|")
    )  # fmt: skip

    @st.composite
    def changed(draw: st.DrawFn) -> str:
        text = draw(st.sampled_from(valid))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(text)))
            until = at + draw(st.integers(0, 8))
            text = text[:at] + draw(words | st.text(max_size=5)) + text[until:]
        return text

    return changed() | st.text(max_size=200)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@functools.cache
def folder() -> Path:
    """One folder for the files of all cases, removed when the process ends."""
    kept = tempfile.TemporaryDirectory(prefix="replay-fuzz-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


# -- recordings -----------------------------------------------------------------------------------

SCHEMA = Schema((Field("x", "dm", 1, FieldKind.CUBIC), Field("gear")), ("A", "B"), 25.0, 10)


@functools.cache
def segments() -> tuple[bytes, ...]:
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.integers(-9, 9, (25, 2)), axis=0).astype(np.int32)
    x[3:8, 1] = -(2**31)
    columns = Columns(SCHEMA, {"x": x, "gear": np.zeros((25, 2), np.int32)})
    return tuple(encode_segment(columns.slice(i, min(i + 10, 25)), i) for i in (0, 10, 20))


def recording_of(parts: tuple[bytes, ...]) -> bytes:
    path = folder() / "made.mcap"
    with RecordingWriter(path, SCHEMA, metadata={"title": "T"}) as writer:
        for part, frames in zip(parts, (10, 10, 5), strict=True):
            writer.append(part, frames)
        writer.commit()
    return path.read_bytes()


@functools.cache
def recording() -> bytes:
    return recording_of(segments())


@target(st.deferred(lambda: spoiled(recording())), RecordingError)
def recording_file(data: bytes) -> None:
    path = written("any.mcap", data)
    with contextlib.suppress(RecordingError), Recording(path) as opened:
        for index in range(opened.segment_count):
            with contextlib.suppress(RecordingError):
                opened.segment(index)
        opened.columns(0, min(opened.frame_count, 25))
    with contextlib.suppress(RecordingError):
        recover_recording(path, folder() / "recovered.mcap")
    verify_recording(path)


@target(
    st.deferred(lambda: st.tuples(*[st.just(p) | spoiled_segment() for p in segments()])),
    RecordingError,
)
def recording_with_hostile_segments(parts: tuple[bytes, ...]) -> None:
    verify_recording(written("sealed.mcap", recording_of(parts)))


def spoiled_segment() -> st.SearchStrategy[bytes]:
    """Spoiled before and after it was deflated."""
    return spoiled(*segments()) | spoiled(*map(inflate, segments())).map(deflate)


@target(
    st.fixed_dictionaries(
        {
            "schema": spoiled_text(json.dumps(SCHEMA.as_dict())) | JSON.map(json.dumps),
            "start_ns": spoiled_text("0", "1719752582000000000"),
            "metadata": spoiled_text('{"title": "T"}'),
            "version": st.just("0123456789abcdef"),
            "frame_count": st.just("25") | spoiled_text("25"),
        }
    ),
    RecordingError,
)
def recording_with_hostile_metadata(about: dict[str, str]) -> None:
    """Whole and sealed, as somebody who knows the format could make it."""
    path = folder() / "metadata.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=0, compression=CompressionType.NONE, enable_crcs=True)
        writer.start(profile=PROFILE, library="fuzz")
        texts = {k: v.encode(errors="replace").decode() for k, v in about.items()}
        version = {name: texts.pop(name) for name in ("version", "frame_count")}
        writer.add_metadata(RECORDING_METADATA, _sealed(texts))
        schema_id = writer.register_schema(PROFILE, "jsonschema", b"{}")
        channel = writer.register_channel(TOPIC, MESSAGE_ENCODING, schema_id)
        for number, part in enumerate(segments()):
            writer.add_message(channel, number, part, publish_time=number, sequence=number)
        writer.add_metadata(VERSION_METADATA, _sealed(version))
        writer.finish()
    with contextlib.suppress(RecordingError), Recording(path) as opened:
        opened.columns(0, min(opened.frame_count, 25))
    with contextlib.suppress(RecordingError):
        recover_recording(path, folder() / "recovered.mcap")
    verify_recording(path)


@target(st.deferred(spoiled_segment), RecordingError)
def segment(data: bytes) -> None:
    _, columns = decode_segment(data, SCHEMA)
    assert all(v.dtype == np.int32 for v in columns.values.values())


@functools.cache
def messages() -> tuple[bytes, ...]:
    row = msgpack.packb({"frame": 3, "drivers": {"A": {"x": 1.5}}, "weather": {"rain": 0}})
    return (
        data_message(DataKind.SEGMENT, 1, 2, 0, 10, 1, segments()[0]),
        data_message(DataKind.ROW, 1, 2, 3, 1, -2, row),
    )


@target(
    st.deferred(
        lambda: (
            spoiled(*messages())
            | st.lists(JSON, min_size=6, max_size=8).map(packed)
            | st.tuples(*[st.integers(0, 9)] * 6, JSON).map(packed)
        )
    ),
    RecordingError,
)
def data_header(message: bytes) -> None:
    decode_data(message, SCHEMA)


def packed(value: object) -> bytes:
    try:
        return bytes(msgpack.packb(value))
    except (OverflowError, ValueError, UnicodeEncodeError):
        return b"\xc1"


# -- control --------------------------------------------------------------------------------------


@st.composite
def _commands(draw: st.DrawFn) -> str:
    names = (
        "id",
        "time",
        "frame",
        "speed",
        "fields",
        "seq",
        "room",
        "name",
        "fps",
        "resume",
        "window",
    )
    body = draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=6), JSON, max_size=6))
    body["action"] = draw(st.sampled_from([a.value for a in Action]) | st.text(max_size=5))
    return json.dumps(body)


@target(
    _commands()
    | spoiled_text('{"action": "seek", "time": 12.5, "id": 7}', '{"action": "hello", "window": 5}')
    | st.binary(max_size=100),
    CommandError,
)
def control_message(text: str | bytes) -> None:
    parse_command(text)


@target(spoiled_text("a" * 20 + ":1a2b3c:sig", "WyJhIiwx.x:y:z"), ResumeError)
def resume_token(token: str) -> None:
    read_token(token, "demo")


# -- imports --------------------------------------------------------------------------------------

CSV = 't,who,name,x,y,e\n0,a,Anna,1,2,go\n1,a,,2,3,\n0,b,Bo,5,5,\n2,b,Bo,6,,"st,op"\n'
RECORDS = json.dumps(
    [
        {
            "t": i,
            "who": "ab"[i % 2],
            "name": "N",
            "x": i,
            "y": 2.5,
            "e": None,
            "more": [1, {"a": 2}],
        }
        for i in range(4)
    ]
)


def parquet(**options: Any) -> bytes:
    out = io.BytesIO()
    rows = {"t": [0.0, 1.0, 2.0], "who": ["a", "b", "a"], "name": ["n", None, "m"],
            "x": [1, 2, 3], "y": [1.5, None, 2.5], "e": ["", "go", ""]}  # fmt: skip
    pq.write_table(pa.table(rows), out, **options)
    return out.getvalue()


def read_whole(name: str, data: bytes) -> None:
    """As a session, and each column as each type."""
    path = written(name, data)
    mapping = written("good.yaml", MAPPING.encode())
    try:
        import_table(path, ImportOptions(mapping=mapping))
    except (ImportSourceError, RecordingError) as error:
        assert_safe(error)
    try:
        read_table(path, {"t": ColumnType.NUMBER}, COLUMNS)
    except ImportSourceError as error:
        assert_safe(error)
        raise


def assert_safe(error: Exception) -> None:
    text = str(error)
    assert len(text) <= 500 or isinstance(error, RecordingError)
    assert "\n" not in text


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@target(spoiled_text(CSV).map(encoded) | spoiled(CSV.encode()), ImportSourceError)
def csv_table(data: bytes) -> None:
    read_whole("any.csv", data)


@target(
    spoiled_text(RECORDS).map(encoded)
    | st.lists(st.dictionaries(st.sampled_from(["t", "who", "name", "x", "y", "e"]), JSON)).map(
        lambda value: json.dumps(value).encode()
    ),
    ImportSourceError,
)
def json_table(data: bytes) -> None:
    read_whole("any.json", data)


@target(
    st.deferred(
        lambda: spoiled(
            parquet(), parquet(compression="zstd"), parquet(use_dictionary=False, version="1.0")
        )
    ),
    ImportSourceError,
)
def parquet_table(data: bytes) -> None:
    read_whole("any.parquet", data)


@target(
    spoiled(gzip.compress(CSV.encode(), mtime=0), gzip.compress(CSV.encode(), mtime=0) * 3),
    ImportSourceError,
)
def gzip_table(data: bytes) -> None:
    read_whole("any.csv.gz", data)


@target(
    spoiled_text(MAPPING).map(encoded) | JSON.map(lambda v: json.dumps(v).encode()),
    ImportSourceError,
)
def yaml_mapping(data: bytes) -> None:
    path = written("any.yaml", data)
    try:
        read_mapping(path)
    except ImportSourceError as error:
        assert_safe(error)
        raise
    table = written("good.csv", CSV.encode())
    with contextlib.suppress(RecordingError):
        import_table(table, ImportOptions(mapping=path))


# -- live sessions --------------------------------------------------------------------------------

LIVE_START = json.dumps(
    {
        "action": "start", "frame_rate": 10, "fields": [{"name": "x", "scale": 0.5}],
        "entities": [{"code": "A", "colour": "#112233"}], "take_over": False,
        "geometry": {"bounds": [0, 0, 1, 1], "lines": [[[0, 0], [1, 1]]], "corners": [{"x": 1}]},
    }
)  # fmt: skip
LIVE_EVENT = json.dumps({"action": "event", "frame": 3, "kind": "flag", "lap": 2})


@target(spoiled_text(LIVE_START, LIVE_EVENT, '{"action": "end"}'), IngestError)
def live_command(text: str) -> None:
    command = parse_live_command(text)
    if isinstance(command, Start) and command.fields:
        about = about_from(command, "fuzz", "v")
        with contextlib.suppress(RecordingError):
            _ = about.schema
        again = decode_record(encode_record(Part(1, {}, about)))
        assert isinstance(again, Part)
        assert again.about.fields == about.fields
        assert again.about.entities == about.entities


@target(spoiled(packed_frame(0), packed_frame(1, 5.0)))
def live_frames(data: bytes) -> None:
    layout = Layout(live_schema())
    taker = Intake(frame_rate=10.0, layout=layout)
    outcome = taker.take(data, 0.0, 0.0)
    numbers = [frame.number for frame in outcome.frames]
    assert numbers == sorted(set(numbers))
    assert all(len(frame.content) == 4 * layout.width for frame in outcome.frames)
    for refusal in outcome.refused:
        json.dumps(refusal.as_dict())


@target(
    spoiled(encode_record(Part(1, {}, live_about())), encode_record(Ended("x"))), RecordingError
)
def live_record(data: bytes) -> None:
    decode_record(data)
    for content, _end in whole_records(data):
        decode_record(content)


# -- headers, slugs and names ---------------------------------------------------------------------


@target(
    st.tuples(
        spoiled_text("bytes=0-", "bytes=-5", "bytes=10-19", "bytes=0-1,5-6"), st.integers(0, 2**40)
    ),
    Unsatisfiable,
)
def range_header(case: tuple[str, int]) -> None:
    header, size = case
    part = requested_range(header, size)
    assert part is None or 0 <= part[0] < part[1] <= size


TAG = entity_tag("fuzz")


@target(spoiled_text(TAG, f'"a", {TAG}, W/"b"', "*"))
def conditional_headers(header: str) -> None:
    request = RequestFactory().get("/", HTTP_IF_NONE_MATCH=header)
    if matches(request, TAG):
        assert "*" in header or TAG.removeprefix("W/") in header
    is_token(header)


@target(spoiled_text("races/austria", "races/a/b.csv", "one"), UnknownSource)
def source_name(name: str) -> None:
    base = folder() / "sources"
    (base / "austria").mkdir(parents=True, exist_ok=True)
    found = find_source(name, {"races": str(base)})
    assert found.path.resolve().is_relative_to(base.resolve())
    assert quote(found.slug) == found.slug


SLUG = RegexValidator(SLUG_PATTERN)


@target(st.text(max_size=100) | spoiled_text("austria-2024"), ValidationError, ImportSourceError)
def slugs_and_names(text: str) -> None:
    line = cleaned(text, 40)
    assert is_clean(line)
    assert len(line) <= 40
    assert cleaned(line, 40) == line
    assert len(shown(text)) <= 200
    name = EntityRecord("A", name=text, team=text, colour=text).name
    event = EventRecord(0, "flag", message=text, value=text)
    for made in (name, event.message, event.value, clean_name(text)):
        assert is_clean(made), made
        made.encode()
    SLUG(text)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", text)
    EntityRecord(text)


def names_of(wanted: list[str]) -> Mapping[str, Target]:
    """The targets of those names, all if there are none. Raises: KeyError for an unknown one."""
    return {name: TARGETS[name] for name in wanted or TARGETS}
