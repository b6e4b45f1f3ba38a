"""Irregular samples on a regular time base: exact where known, silent where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.importers.resample import Resampling, forward, spans, still

steps = st.lists(st.floats(0.05, 4.0), min_size=2, max_size=30)


@given(steps, st.integers(0, 2**32 - 1))
def test_a_sample_is_hit_exactly(step: list[float], seed: int) -> None:
    times = np.cumsum(step)
    values = np.random.default_rng(seed).normal(0, 100, len(times))
    resampling = Resampling(times, times)
    for made in (
        resampling.linear(values),
        resampling.cubic(values),
        resampling.held(values),
    ):
        assert made == pytest.approx(values, abs=1e-6)


@given(steps)
def test_nothing_is_made_up_in_gaps_or_outside(step: list[float]) -> None:
    times = 10.0 + np.cumsum(step)
    frames = np.arange(0, times[-1] + 5, 0.04)
    made = Resampling(times, frames, 2.0).linear(times)
    after = np.searchsorted(times, frames, side="right")
    inside = (after > 0) & (after < len(times))
    width = np.diff(times)[np.clip(after - 1, 0, len(times) - 2)]
    known = inside & (width <= 2.0)
    assert not np.isnan(made[known]).any()
    on_sample = np.isin(frames, times)
    assert np.isnan(made[~known & ~on_sample]).all()


@given(steps)
def test_straight_lines_stay_straight(step: list[float]) -> None:
    times = np.cumsum(step)
    frames = np.arange(times[0], times[-1], 0.04)
    frames = frames[frames <= times[-1]]  # rounding may put the last one beyond
    resampling = Resampling(times, frames, np.inf)
    assert resampling.cubic(3 * times - 7) == pytest.approx(3 * frames - 7, abs=1e-6)


def test_curves_are_closer_than_chords() -> None:
    times = np.arange(0, 10, 0.25) + 0.02 * np.sin(np.arange(40))
    frames = np.arange(0.5, 9.0, 0.04)
    resampling = Resampling(times, frames)
    cubic = np.abs(resampling.cubic(np.sin(times)) - np.sin(frames)).max()
    linear = np.abs(resampling.linear(np.sin(times)) - np.sin(frames)).max()
    assert cubic < linear / 5


def test_held_values_wait_for_the_next_sample() -> None:
    resampling = Resampling(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.99, 1.0, 1.5, 2.0]))
    assert resampling.held(np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_samples(count: int) -> None:
    times = np.arange(count, dtype=float)
    made = Resampling(times, np.array([-1.0, 0.0, 1.0])).cubic(times + 5)
    assert np.isnan(made[[0, 2]]).all()
    assert np.isnan(made[1]) == (count == 0)


def test_forward_holds_for_ever_but_not_before_the_first() -> None:
    made = forward(np.array([1.0, 5.0]), np.array([7.0, 8.0]), np.array([0.0, 1.0, 4.9, 99.0]))
    assert np.isnan(made[0])
    assert made[1:].tolist() == [7.0, 7.0, 8.0]
    assert np.isnan(forward(np.zeros(0), np.zeros(0), np.array([1.0]))).all()


def test_spans_and_stillness() -> None:
    assert spans(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    x = np.array([5.0, 5.0, 5.0, 5.0, 6.0, 6.0])
    assert still(times, x, np.zeros(6)) == [(0, 3)]
