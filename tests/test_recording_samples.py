"""Format 2: samples come back as they were measured, and make the same frames in any segment."""

from __future__ import annotations

import itertools
import json
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
)
from sessions_app.recording.curves import TICKS, Clock, at_frames
from sessions_app.recording.file import Recording, write_recording
from sessions_app.recording.sampled import Frames, fill_frames, pack_measured, read_clocks
from sessions_app.recording.segment import deflate, inflate, read_header

from .golden.make import sampled_cases

GOLDEN = Path(__file__).parent / "golden"
LARGE = 2**31 - 1
X = Field("x", "m", 0.1, FieldKind.CUBIC)
SPEED = Field("speed", "m/s", 0.1, FieldKind.LINEAR)
HEADING = Field("heading", "°", 0.5, FieldKind.ANGLE)
GEAR = Field("gear")
RAIN = Field("rain", scope=Scope.SESSION)


def clock_of(
    ticks: list[int], values: list[int], field: Field = X, max_gap: int = 1000
) -> tuple[Clock, list[Field]]:
    samples = np.array(values, np.int32).reshape(-1, 1)
    there = np.ones(samples.shape, bool)
    return Clock(np.array(ticks), max_gap, [(field.name, 0)], samples, there), [field]


def frames_of(ticks: list[int], values: list[int], field: Field = X, **more: int) -> list[int]:
    clock, fields = clock_of(ticks, values, field, **more)
    return [int(v) for v in at_frames(clock, fields, 0, 5)[:, 0]]


def test_it_works() -> None:
    # Frames are at ticks 0, 8, 16, 24, 32.
    assert frames_of([0, 16, 32], [0, 200, 400]) == [0, 100, 200, 300, 400]
    assert frames_of([4, 12, 30], [0, 10, 40], SPEED) == [MISSING, 5, 17, 30, MISSING]


def test_a_curve_bends_towards_its_neighbours() -> None:
    # Squares: the slope between 4 and 16 is exact in the middle of even steps.
    assert frames_of([-16, 0, 16, 32, 48], [4, 0, 4, 16, 36]) == [0, 1, 4, 9, 16]


def test_angles_take_the_shorter_way() -> None:
    assert frames_of([0, 16, 32], [700, 20, 700], HEADING) == [700, 0, 20, 0, 700]


def test_nothing_is_made_up_beyond_a_gap_or_a_missing_sample() -> None:
    gap = frames_of([0, 8, 32], [1, 2, 5], SPEED, max_gap=16)
    assert gap == [1, 2, MISSING, MISSING, 5]
    assert frames_of([0, 16, 32], [0, MISSING, 8], SPEED) == [0, MISSING, MISSING, MISSING, 8]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Frames, int]:
    """Something measured, and the frames of a segment: clocks shared or not, gaps, values that do
    not fit each other, sessions shorter than a segment, samples denser than frames."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    entities = draw(st.integers(1, 5))
    frames = draw(st.integers(1, 120))
    schema = Schema((X, SPEED, HEADING, GEAR, RAIN), tuple(f"E{i}" for i in range(entities)))
    spread = draw(st.sampled_from([0, 3, 300, LARGE]))

    def clock(columns: list[tuple[str, int]]) -> Clock:
        step = int(rng.choice([1, 7, 30, 90]))
        steps = rng.integers(1, 2 * step + 1, int(rng.integers(0, 150)))
        ticks = np.cumsum(steps) - int(rng.integers(0, 200))
        shape = (len(ticks), len(columns))
        values = rng.integers(-spread, spread + 1, shape)
        if draw(st.booleans()) and spread < LARGE:
            values = np.cumsum(values, axis=0)
        values[rng.random(shape) < rng.choice([0, 0.1])] = MISSING
        there = rng.random(shape) >= rng.choice([0.0, 0.3, 1.0])
        gap = int(rng.choice([10, 100, 5000]))
        return Clock(ticks.astype(np.int64), gap, columns, values.astype(np.int32), there)

    if draw(st.booleans()):
        every = [(name, e) for e in range(entities) for name in ("x", "speed", "heading")]
        clocks = [clock([c for c in every if c[0] != "speed"])]
        clocks.append(clock([c for c in every if c[0] == "speed"]))
    else:
        clocks = [clock([("x", e), ("heading", e)]) for e in range(entities) if rng.random() < 0.7]
    held = rng.integers(-3, 4, (frames, entities)).cumsum(axis=0)
    held[rng.random(held.shape) < 0.05] = MISSING
    slowly = held[:: int(rng.choice([1, 5, 10]))].repeat(10, axis=0)[:frames]
    rain = np.where(np.arange(frames) > frames // 2, LARGE, -LARGE).reshape(-1, 1)
    values = {name: np.full((frames, entities), MISSING, np.int32) for name in ("x", "speed")}
    values["heading"] = values["x"].copy()
    values["gear"] = slowly[:frames].astype(np.int32)
    if len(values["gear"]) < frames:
        values["gear"] = held.astype(np.int32)
    values["rain"] = rain.astype(np.int32)
    fill_frames(values, clocks, schema, 0, frames)
    return Frames(Columns(schema, values), clocks), draw(st.sampled_from([1, 7, 25, 50, 300]))


@settings(max_examples=150, deadline=None)
@given(recordings())
def test_every_segment_alone_gives_the_frames_of_the_whole(made: tuple[Frames, int]) -> None:
    content, size = made
    schema = content.schema
    parts = list(pack_measured(content, size))
    assert len(parts) == -(-content.frame_count // size)
    for number, part in enumerate(parts):
        header, decoded = decode_segment(deflate(part), schema)
        first = size * number
        assert (header.first_frame, header.stride, header.format) == (first, 1, 2)
        expected = content.columns(first, min(first + size, content.frame_count))
        for name, samples in expected.values.items():
            np.testing.assert_array_equal(decoded.values[name], samples, err_msg=name)


@settings(max_examples=80, deadline=None)
@given(recordings())
def test_samples_come_back_as_they_were(made: tuple[Frames, int]) -> None:
    content, size = made
    measured: dict[tuple[str, int], dict[int, int]] = {}
    for clock in content.clocks:
        for number, key in enumerate(clock.columns):
            own = clock.there[:, number]
            measured[key] = dict(
                zip(clock.ticks[own].tolist(), clock.values[own, number].tolist(), strict=True)
            )
    for part in pack_measured(content, size):
        header = read_header(part)
        for clock in read_clocks(part, header, content.schema)[0]:
            for number, key in enumerate(clock.columns):
                own = clock.there[:, number]
                stored = zip(
                    clock.ticks[own].tolist(), clock.values[own, number].tolist(), strict=True
                )
                for tick, value in stored:
                    assert measured[key][tick] == value


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4), st.booleans())
def test_damage_never_passes_as_another_shape(at: int, junk: bytes, truncate: bool) -> None:
    content, size, number = sampled_cases()["sampled_holes"]
    good = list(pack_measured(content, size))[number]
    at %= len(good)
    bad = good[:at] if truncate else good[:at] + junk + good[at + len(junk) :]
    try:
        _, decoded = decode_segment(deflate(bad), content.schema)
    except CorruptRecording:
        return
    assert not truncate
    for field in content.schema.fields:
        assert decoded.values[field.name].shape[1] == content.schema.width(field)


@pytest.mark.parametrize("name", sorted(sampled_cases()))
def test_encoding_gives_the_golden_bytes(name: str) -> None:
    content, size, number = sampled_cases()[name]
    assert list(pack_measured(content, size))[number] == (GOLDEN / f"{name}.packed").read_bytes()
    data = json.loads((GOLDEN / f"{name}.json").read_text())
    assert Schema.from_dict(data["schema"]) == content.schema


def test_positions_on_both_sides_of_a_border_are_of_one_curve(tmp_path: Path) -> None:
    ticks = np.arange(-40, 420 * TICKS, 6 * TICKS + 1)
    angle = ticks / TICKS / 25
    values = np.rint(1e5 * np.sin(angle)).astype(np.int32).reshape(-1, 1)
    clock = Clock(ticks, 50 * TICKS, [("x", 0)], values, np.ones(values.shape, bool))
    schema = Schema((X,), ("A",), 25.0, 100)
    whole = {"x": np.full((400, 1), MISSING, np.int32)}
    fill_frames(whole, [clock], schema, 0, 400)
    path = tmp_path / "curve.mcap"
    write_recording(path, Frames(Columns(schema, whole), [clock]))
    with Recording(path) as recording:
        parts = [decode_segment(recording.segment(i), schema)[1].values["x"] for i in range(4)]
    truth = np.diff(1e5 * np.sin(np.arange(400) / 25))
    for number, (before, after) in enumerate(itertools.pairwise(parts), start=1):
        # 4 km/s in units of 0.1 m: a step of two units is 5 mm of a car's.
        step = float(after[0, 0]) - float(before[-1, 0])
        assert step == pytest.approx(truth[100 * number - 1], abs=20)


def test_a_held_field_has_no_clock() -> None:
    clock, _ = clock_of([0, 8], [1, 2], GEAR)
    frames = Columns(Schema((GEAR,), ("A",)), {"gear": np.zeros((5, 1), np.int32)})
    with pytest.raises(InvalidColumns, match="'gear' is held"):
        next(pack_measured(Frames(frames, [clock]), 5))


def test_other_ticks_are_refused() -> None:
    content, size, number = sampled_cases()["sampled"]
    payload = bytearray(list(pack_measured(content, size))[number])
    payload[12] += 1
    with pytest.raises(CorruptRecording, match="9 ticks a frame: expected 8"):
        decode_segment(deflate(bytes(payload)), content.schema)
    assert inflate(deflate(bytes(payload))) == bytes(payload)
