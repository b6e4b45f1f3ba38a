"""Samples at their own times become frames: in one place, the same for any part of a session."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions_app.importers.samples import (
    Series,
    SourceSamples,
    at_frames,
    series_of,
    series_of_changes,
)
from sessions_app.recording import Field, FieldKind, InvalidColumns, Schema, Scope

SCHEMA = Schema(
    (
        Field("x", "m", 0.1, FieldKind.CUBIC),
        Field("speed", "m/s", 0.1, FieldKind.LINEAR),
        Field("heading", "°", 1.0, FieldKind.ANGLE),
        Field("gear"),
        Field("rain", scope=Scope.SESSION),
    ),
    ("A", "B"),
    frame_rate=10.0,
)
T = np.array([0.0, 1.0, 2.0, 3.0])


def frames(series: list[Series], name: str, column: int = 0, count: int = 41) -> np.ndarray:
    return SourceSamples(SCHEMA, count, series).whole.quantities(name)[:, column]


def test_it_works() -> None:
    series = Series("A", T, {"x": 10 * T, "gear": np.array([1.0, 2, 3, 4])})
    assert frames([series], "x")[:31] == pytest.approx(np.arange(31.0))
    assert frames([series], "gear")[[0, 9, 10, 29, 30]].tolist() == [1, 1, 2, 3, 4]
    # After the last sample nothing is known, and of the other car nothing at all.
    assert np.isnan(frames([series], "x")[31:]).all()
    assert np.isnan(frames([series], "x", 1)).all()


def test_a_nan_is_a_value_that_ends_there() -> None:
    values = np.array([1.0, np.nan, 3.0, 4.0])
    gear = frames([Series("A", T, {"gear": values})], "gear")
    assert gear[[9, 20, 30]].tolist() == [1, 3, 4]
    assert np.isnan(gear[10:20]).all()
    speed = frames([Series("A", T, {"speed": values})], "speed")
    assert speed[[0, 20, 25]].tolist() == [1, 3, 3.5]
    assert np.isnan(speed[1:20]).all()


def test_what_was_not_measured_is_between_its_neighbours() -> None:
    both = {"x": T, "speed": np.array([0.0, np.nan, 2.0, 3.0])}
    made = series_of("A", T, both)
    assert frames(made, "speed")[10] == 1.0
    assert [sorted(series.values) for series in made] == [["x"], ["speed"]]
    together = series_of("A", T, {"x": T, "gear": T})
    assert [sorted(series.values) for series in together] == [["gear", "x"]]


def test_what_lasts_goes_on_over_gaps_and_after_the_end() -> None:
    times = np.array([1.0, 2.0, 4.0])
    values = {"x": np.array([0.0, 10.0, 30.0]), "gear": np.array([1.0, 2.0, np.nan])}
    series = [Series("A", times, values, max_gap=1.5, lasting=True)]
    x, gear = frames(series, "x"), frames(series, "gear")
    assert np.isnan(x[:10]).all()
    assert np.isnan(gear[:10]).all()
    assert x[[15, 25, 30, 40]].tolist() == [5, 15, 20, 30]
    assert gear[[20, 39]].tolist() == [2, 2]
    assert np.isnan(gear[40])


def test_angles_take_the_shorter_way() -> None:
    heading = frames([Series("A", T, {"heading": np.array([350.0, 10, 30, 350])})], "heading")
    assert heading[[0, 5, 10]].tolist() == [350, 0, 10]


@given(st.lists(st.sampled_from([0.0, 1.0, 7.0, np.nan]), min_size=1, max_size=40))
def test_changes_give_the_frames_that_they_were_made_of(values: list[float]) -> None:
    series = series_of_changes(None, "rain", np.array(values), SCHEMA.frame_rate)
    np.testing.assert_array_equal(frames([series], "rain", count=len(values)), values)
    assert len(series.times) <= 1 + sum(
        a != b and not (np.isnan(a) and np.isnan(b)) for a, b in itertools.pairwise(values)
    )


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_held_changes_on_the_frames_that_sampling_says(seed: int, lasting: bool) -> None:
    rng = np.random.default_rng(seed)
    times = np.unique(np.round(np.cumsum(rng.choice([0.03, 0.1, 0.5, 2.0], 25)) - 2, 1))
    values = rng.choice([1.0, 2.0, np.nan], len(times))
    series = Series("A", times, {"gear": values}, 0.6, lasting)
    expected = at_frames(series, SCHEMA["gear"], np.arange(90) / SCHEMA.frame_rate)
    np.testing.assert_array_equal(frames([series], "gear", count=90), expected)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 99), st.integers(1, 100))
def test_a_part_is_the_same_as_in_the_whole(seed: int, start: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.round(np.cumsum(rng.uniform(0.05, 1.0, 30)) - 2, 3)
    values = {"x": rng.normal(0, 50, 30), "gear": np.rint(rng.uniform(0, 8, 30))}
    samples = SourceSamples(SCHEMA, 100, series_of("B", times, values, 0.8))
    stop = min(100, start + count)
    part = samples.columns(start, stop)
    for name, whole in samples.whole.values.items():
        np.testing.assert_array_equal(part.values[name], whole[start:stop], err_msg=name)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (lambda: Series("A", T[::-1], {}), "seconds that increase"),
        (lambda: Series("A", T, {"x": T[1:]}), "one value for each of 4 times"),
        (lambda: Series("C", T, {"x": T}), "no such entity"),
        (lambda: Series("A", T, {"z": T}), "no such entity field"),
        (lambda: Series("A", T, {"rain": T}), "'rain': the schema has no such entity field"),
        (lambda: Series(None, T, {"x": T}), "no such session field"),
    ],
)
def test_what_does_not_fit_is_named(series: Callable[[], Series], message: str) -> None:
    with pytest.raises(InvalidColumns, match=message):
        SourceSamples(SCHEMA, 10, [series()])


def test_a_field_is_measured_once() -> None:
    twice = [Series("A", T, {"x": T}), Series("A", T, {"x": T})]
    with pytest.raises(InvalidColumns, match="two series"):
        SourceSamples(SCHEMA, 10, twice)
    with pytest.raises(IndexError, match="the session has 10"):
        SourceSamples(SCHEMA, 10, []).columns(5, 11)
