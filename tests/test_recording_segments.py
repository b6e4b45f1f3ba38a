"""Segments: what goes in comes out, bytes stay what they were, damage is noticed."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions_app.recording import (
    MISSING,
    Columns,
    CorruptRecording,
    Field,
    FieldKind,
    InvalidColumns,
    Schema,
    Scope,
    decode_segment,
    encode_segment,
    encode_segments,
)
from sessions_app.recording.segment import deflate, inflate, pack_segments, read_header
from tests.effort import many

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(p.stem for p in GOLDEN.glob("*.json"))
LARGE = 2**31 - 1


def assert_same_samples(left: Columns, right: Columns) -> None:
    assert set(left.values) == set(right.values)
    for name, samples in left.values.items():
        np.testing.assert_array_equal(samples, right.values[name], err_msg=name)


def small_schema(entities: int = 2) -> Schema:
    return Schema(
        (Field("x", "dm", 1, FieldKind.CUBIC), Field("gear"), Field("rain", scope=Scope.SESSION)),
        tuple(f"E{i}" for i in range(entities)),
    )


def small_columns(frames: int, entities: int = 2) -> Columns:
    return Columns(
        small_schema(entities),
        {
            "x": (np.arange(frames)[:, None] * 7 + np.arange(entities)).astype(np.int32),
            "gear": np.full((frames, entities), 5, np.int32),
            "rain": np.zeros((frames, 1), np.int32),
        },
    )


def load_golden(name: str) -> tuple[dict, Columns]:
    data = json.loads((GOLDEN / f"{name}.json").read_text())
    schema = Schema.from_dict(data["schema"])
    values = {k: np.array(v, np.int32) for k, v in data["samples"].items()}
    return data, Columns(schema, values)


def test_it_works() -> None:
    columns = small_columns(25)
    header, decoded = decode_segment(encode_segment(columns, 50), columns.schema)
    assert (header.frames, header.entities, header.first_frame, header.stride) == (25, 2, 50, 1)
    assert_same_samples(columns, decoded)


def test_there_are_golden_segments() -> None:
    assert len(NAMES) >= 6


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("sampled")])
def test_encoding_gives_the_golden_bytes(name: str) -> None:
    data, columns = load_golden(name)
    packed = next(pack_segments(columns, data["frames"], data["first_frame"], data["stride"]))
    assert packed == (GOLDEN / f"{name}.packed").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_golden_segments_decode(name: str) -> None:
    data, columns = load_golden(name)
    header, decoded = decode_segment((GOLDEN / f"{name}.segment").read_bytes(), columns.schema)
    assert (header.first_frame, header.stride) == (data["first_frame"], data["stride"])
    assert_same_samples(columns, decoded)


samples = st.one_of(
    st.integers(-LARGE, LARGE), st.integers(-300, 300), st.just(MISSING), st.sampled_from([0, 1])
)


@st.composite
def any_columns(draw: st.DrawFn) -> Columns:
    """1 to 1,000 entities and 1 to 250 frames, all kinds, any integers, missing ones too."""
    entities = draw(st.one_of(st.integers(1, 12), st.integers(1, 1000)))
    frames = draw(st.one_of(st.integers(1, 30), st.integers(1, 250)))
    fields = tuple(
        Field(f"f{i}", kind=draw(st.sampled_from(FieldKind)), scope=draw(st.sampled_from(Scope)))
        for i in range(draw(st.integers(1, 4)))
    )
    schema = Schema(fields, tuple(map(str, range(entities))))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    values = {}
    for f in fields:
        width = schema.width(f)
        pool = np.array(draw(st.lists(samples, min_size=1, max_size=8)), np.int64)
        shape = (frames, width)
        if draw(st.booleans()):
            array = rng.choice(pool, shape)
        else:
            array = np.cumsum(rng.integers(-9, 10, shape), axis=0) + (pool[0] // 2)
            array[rng.random(shape) < 0.1] = MISSING
        values[f.name] = array.astype(np.int32)
    return Columns(schema, values)


@settings(max_examples=many(40), deadline=None)
@given(any_columns(), st.integers(0, 2**31), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
def test_any_integers_survive(columns: Columns, first: int, stride: int) -> None:
    segment = encode_segment(columns, first, stride)
    header, decoded = decode_segment(segment, columns.schema)
    assert (header.frames, header.first_frame, header.stride) == (
        columns.frame_count,
        first,
        stride,
    )
    assert_same_samples(columns, decoded)


@settings(max_examples=many(15), deadline=None)
@given(any_columns(), st.integers(1, 40), st.sampled_from([1, 4]))
def test_many_at_once_are_the_same_bytes_as_one_by_one(
    columns: Columns, frames: int, stride: int
) -> None:
    together = list(encode_segments(columns, frames, 10, stride))
    single = [
        encode_segment(part, 10 + start * stride, stride) for start, part in columns.blocks(frames)
    ]
    assert together == single


@settings(max_examples=many(20), deadline=None)
@given(any_columns(), st.data())
def test_a_subset_decodes_to_the_same_samples(columns: Columns, data: st.DataObject) -> None:
    names = [f.name for f in columns.schema.fields]
    fields = data.draw(st.sets(st.sampled_from(names), min_size=1))
    entities = data.draw(st.sets(st.sampled_from(columns.schema.entities), min_size=1, max_size=5))
    part = columns.subset(columns.schema.subset(fields, entities))
    _, decoded = decode_segment(encode_segment(part, 0), part.schema)
    assert_same_samples(part, decoded)


def test_the_sizes_stay_small_for_smooth_motion() -> None:
    t = np.arange(25)[:, None] / 25
    columns = Columns.from_quantities(
        Schema((Field("x", "dm", 1, FieldKind.CUBIC),), tuple(map(str, range(20)))),
        {"x": 800 * t + 3 * t * t * np.arange(20)},
    )
    assert len(encode_segment(columns, 0)) < 20 * 25  # under a byte per car and frame


@settings(max_examples=many(60), deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4), st.booleans())
def test_damage_never_passes_as_another_shape(at: int, junk: bytes, truncate: bool) -> None:
    columns = small_columns(25)
    good = next(pack_segments(columns, 25, 0))
    at %= len(good)
    bad = good[:at] if truncate else good[:at] + junk + good[at + len(junk) :]
    try:
        _, decoded = decode_segment(deflate(bad), columns.schema)
    except CorruptRecording:
        return
    assert not truncate
    assert all(v.shape[1] == columns.values[k].shape[1] for k, v in decoded.values.items())


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (b"", "ends early"),
        (b"not deflate", "inflate"),
        (deflate(b"short"), "shorter than its header"),
        (encode_segment(small_columns(5), 0)[:-3], "ends early"),
        (encode_segment(small_columns(5), 0) + b"x", "left over"),
        (encode_segment(small_columns(5, entities=3), 0), "3"),
    ],
)
def test_damage_is_named(segment: bytes, message: str) -> None:
    with pytest.raises(CorruptRecording, match=message):
        decode_segment(segment, small_schema())


def test_another_format_is_refused() -> None:
    payload = bytearray(inflate(encode_segment(small_columns(5), 0)))
    payload[0] = 9
    with pytest.raises(CorruptRecording, match="format 9"):
        read_header(bytes(payload))


def test_browsers_can_inflate_it() -> None:
    """deflate-raw has neither header nor checksum: what DecompressionStream expects."""
    segment = encode_segment(small_columns(25), 0)
    assert zlib.decompress(segment, wbits=-15) == inflate(segment)


def test_nothing_to_encode_is_an_error() -> None:
    with pytest.raises(InvalidColumns, match="no frames"):
        encode_segment(small_columns(0), 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": np.zeros((3, 2), np.int64)}, "int64"),
        ({"x": np.zeros((3, 5), np.int32)}, r"expected int32 \(3, 2\)"),
        ({"y": np.zeros((3, 2), np.int32)}, "'y'"),
    ],
)
def test_columns_that_do_not_fit_are_named(values: dict, message: str) -> None:
    schema = Schema((Field("x"),), ("A", "B"))
    with pytest.raises(InvalidColumns, match=message):
        Columns(schema, values)


def test_quantities_round_to_the_step_and_keep_what_is_missing() -> None:
    field = Field("t", "s", 0.001)
    found = field.quantise(np.array([1.2344, np.nan, -0.0006]))
    assert found.tolist() == [1234, MISSING, -1]
    assert np.isnan(field.quantities(found)[1])


def test_a_quantity_too_large_for_its_scale_is_named() -> None:
    with pytest.raises(InvalidColumns, match=r"'t'.*32 bits"):
        Field("t", "s", 0.001).quantise(np.array([1e9]))


def test_an_unknown_field_of_a_subset_is_named() -> None:
    with pytest.raises(InvalidColumns, match=r"unknown field 'sped'"):
        small_schema().subset(["sped"], None)


def test_a_segment_inflates_to_what_its_schema_needs_at_most() -> None:
    bomb = deflate(b"\x01" + bytes(20_000_000))
    assert len(bomb) < 30_000
    with pytest.raises(CorruptRecording, match="inflates to more than"):
        decode_segment(bomb, small_schema())
    with pytest.raises(CorruptRecording, match="inflates to more than 1,000 bytes"):
        inflate(bomb, 1000)


def test_a_header_cannot_ask_for_frames_that_no_segment_has() -> None:
    payload = bytearray(inflate(encode_segment(small_columns(5), 0)))
    payload[2:4] = (60_000).to_bytes(2, "little")
    with pytest.raises(CorruptRecording, match="60000 frames: expected 1 to 1000"):
        decode_segment(deflate(bytes(payload)), small_schema())
