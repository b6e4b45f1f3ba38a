"""Progress, order and gaps on races worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.standings import (
    NEVER,
    gaps,
    hold,
    positions,
    positions_at_line,
    progress_from_track,
)

RATE = 25.0


def drive(*laps_a_second: float, seconds: float = 100.0, grid: float = 0.002) -> np.ndarray:
    """Progress of cars at constant speed from a grid, the first in front; (frames, cars)."""
    time = np.arange(int(seconds * RATE)) / RATE
    return np.column_stack([-grid * (i + 1) + v * time for i, v in enumerate(laps_a_second)])


# -- progress -------------------------------------------------------------------------------------


def sampled(true: np.ndarray) -> np.ndarray:
    return true % 1.0


def test_progress_follows_the_fraction_round_and_round() -> None:
    time = np.arange(0, 400, 0.24)
    true = -0.01 + np.maximum(time - 60, 0) / 80
    progress = progress_from_track(time, sampled(true), np.array([]), 60.0)
    assert progress == pytest.approx(true, abs=2e-3)


def test_progress_passes_whole_laps_at_the_crossings() -> None:
    time = np.arange(0, 400, 0.24)
    true = time / 80
    # This car's positions come half a second late.
    late = (time - 0.5) / 80
    crossings = np.array([80.0, 160.0, 240.0, 320.0])
    progress = progress_from_track(time, sampled(late), crossings, 0.0)
    inside = (time > 81) & (time < 319)
    assert progress[inside] == pytest.approx(true[inside], abs=5e-4)


def test_a_gap_of_more_than_half_a_lap_is_put_right_by_the_crossings() -> None:
    time = np.arange(0, 400, 0.24)
    time = time[(time < 100) | (time > 150)]
    true = time / 80
    progress = progress_from_track(time, sampled(true), np.array([80.0, 160.0, 240.0, 320.0]), 0.0)
    assert progress[time > 170] == pytest.approx(true[time > 170], abs=2e-3)


def test_a_projection_on_the_wrong_stretch_is_ignored() -> None:
    time = np.arange(0, 300, 0.24)
    true = time / 80
    wrong = true.copy()
    wrong[[200, 500, 501]] += 0.4
    progress = progress_from_track(time, sampled(wrong), np.array([80.0, 160.0]), 0.0)
    assert progress == pytest.approx(true, abs=5e-3)


def test_unknown_fractions_stay_unknown() -> None:
    time = np.arange(0, 100, 0.24)
    fraction = sampled(time / 80)
    fraction[100:120] = np.nan
    progress = progress_from_track(time, fraction, np.array([80.0]), 0.0)
    assert np.isnan(progress[100:120]).all()
    assert not np.isnan(np.delete(progress, np.s_[100:120])).any()
    nothing = progress_from_track(time, np.full(len(time), np.nan), np.array([80.0]), 0.0)
    assert np.isnan(nothing).all()


# -- order ----------------------------------------------------------------------------------------


def test_the_order_is_that_of_progress() -> None:
    progress = drive(0.0100, 0.0101, 0.0099)
    order = positions(progress)
    assert order[0].tolist() == [1, 2, 3]
    assert order[-1].tolist() == [2, 1, 3]


@given(
    st.integers(1, 6).flatmap(
        lambda cars: st.lists(
            st.lists(st.one_of(st.just(np.nan), st.floats(-1, 80)), min_size=cars, max_size=cars),
            min_size=1,
            max_size=12,
        )
    )
)
def test_every_position_is_taken_once(rows: list[list[float]]) -> None:
    progress = np.array(rows)
    order = positions(progress, start_frame=len(rows) // 2)
    cars = progress.shape[1]
    assert (np.sort(order, axis=1) == np.arange(1, cars + 1)).all()


def test_before_the_start_the_grid_counts() -> None:
    progress = drive(0.01, 0.01, 0.01)
    grid = np.array([3, 1, 2])
    order = positions(progress, start_frame=10, grid=grid)
    assert order[9].tolist() == [3, 1, 2]
    assert order[10].tolist() == [1, 2, 3]


def test_who_starts_from_the_pit_lane_is_last_until_it_moves() -> None:
    progress = drive(0.01, 0.01, 0.01, 0.01)
    progress[:, 3] = np.maximum(0.05, progress[:, 2] - 0.001)
    order = positions(progress)
    assert order[0].tolist() == [1, 2, 3, 4]
    assert order[100].tolist() == [1, 2, 3, 4]
    assert order[-1].tolist() == [1, 2, 3, 4]


def test_retired_cars_go_behind_those_that_drive() -> None:
    progress = drive(0.02, 0.01, 0.0099)
    progress[1000:, 0] = progress[1000, 0]
    retired = np.array([1000, NEVER, NEVER])
    order = positions(progress, retired_frame=retired)
    assert order[999].tolist() == [1, 2, 3]
    assert order[1000].tolist() == [3, 1, 2]


def test_of_two_retired_cars_the_one_with_more_laps_is_ahead() -> None:
    progress = drive(0.01, 0.02, 0.03)
    retired = np.array([NEVER, 2000, 500])
    order = positions(progress, retired_frame=retired)
    assert order[-1].tolist() == [1, 2, 3]


def test_finished_cars_keep_their_order_on_the_way_back() -> None:
    progress = drive(0.0202, 0.0201, 0.0100, seconds=120)
    finish = np.array([int(np.argmax(progress[:, c] >= n)) for c, n in ((0, 2), (1, 2), (2, 1))])
    progress[finish[1] + 1 :, 1] += 0.5  # drives on faster than the winner
    order = positions(progress, finish_frame=finish)
    assert order[-1].tolist() == [1, 2, 3]


def test_a_car_that_was_never_seen_is_last() -> None:
    progress = drive(0.01, 0.01)
    progress[:, 0] = np.nan
    assert (positions(progress)[:, 0] == 2).all()


def test_no_frames() -> None:
    assert positions(np.zeros((0, 3))).shape == (0, 3)
    assert gaps(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), RATE)[0].shape == (0, 3)


# -- gaps -----------------------------------------------------------------------------------------


def test_gaps_are_the_time_since_the_leader_was_there() -> None:
    progress = drive(0.02, 0.02, 0.02)
    progress[:, 1] = progress[:, 0] - 0.02 * 1.5
    progress[:, 2] = progress[:, 0] - 0.02 * 4.0
    gap, interval = gaps(progress, positions(progress), RATE)
    assert gap[1000] == pytest.approx([0.0, 1.5, 4.0], abs=1e-6)
    assert interval[1000] == pytest.approx([0.0, 1.5, 2.5], abs=1e-6)


def test_gaps_do_not_depend_on_how_fast_the_place_is_driven() -> None:
    time = np.arange(2500) / RATE
    leader = 0.02 * time + 0.05 * np.sin(0.2 * time) ** 2
    follower = np.interp(time - 3.0, time, leader, left=-0.01)
    progress = np.column_stack([leader, follower])
    gap, _ = gaps(progress, positions(progress), RATE)
    assert gap[200:2500, 1][::5] == pytest.approx(3.0, abs=0.05)


def test_a_lapped_car_is_a_lap_and_more_behind() -> None:
    progress = drive(0.02, 0.01, seconds=150)
    gap, _ = gaps(progress, positions(progress), RATE)
    # At 140 s car 2 is at 1.4 laps, where the leader was at 70 s.
    assert gap[3500, 1] == pytest.approx(70.0, abs=0.3)


def test_gaps_are_missing_before_the_start_and_after_retiring() -> None:
    progress = drive(0.02, 0.019, 0.018)
    gap, interval = gaps(
        progress,
        positions(progress, retired_frame=np.array([NEVER, NEVER, 1000])),
        RATE,
        start_frame=100,
        retired_frame=np.array([NEVER, NEVER, 1000]),
    )
    assert np.isnan(gap[:100]).all()
    assert np.isnan(interval[1000:, 2]).all()
    assert not np.isnan(gap[995, 2])


def test_gaps_stay_after_the_finish() -> None:
    progress = drive(0.02, 0.019, seconds=120)
    finish = np.array([int(np.argmax(progress[:, c] >= 2)) for c in (0, 1)])
    order = positions(progress, finish_frame=finish)
    gap, interval = gaps(progress, order, RATE, finish_frame=finish)
    behind = (finish[1] - finish[0]) / RATE
    assert gap[-1] == pytest.approx([0.0, behind], abs=0.05)
    assert interval[-1] == pytest.approx([0.0, behind], abs=0.05)


def test_gaps_are_held_between_their_ticks() -> None:
    progress = drive(0.02, 0.015)
    gap, _ = gaps(progress, positions(progress), RATE, rate=5.0)
    assert (gap[1000:1005, 1] == gap[1000, 1]).all()
    assert gap[1005, 1] != gap[1000, 1]


def test_hold_repeats_each_value_until_the_next() -> None:
    assert hold(np.array([7, 8]), 7, 5).tolist() == [7, 7, 7, 7, 7, 8, 8]


# -- the order as the timing counts it ------------------------------------------------------------


def at_line(*cars: list[float], seconds: int = 100, **more: object) -> np.ndarray:
    """Places each second; the first car stands in front on the grid."""
    grid = np.arange(1, len(cars) + 1)
    crossings = [np.array(own, dtype=float) for own in cars]
    return positions_at_line(crossings, np.arange(float(seconds)), grid, **more)  # type: ignore[arg-type]


def test_the_timing_counts_a_pass_when_the_line_is_crossed() -> None:
    order = at_line([30, 62], [31, 60])
    assert order[59].tolist() == [1, 2]
    assert order[60].tolist() == [2, 1]
    assert order[99].tolist() == [2, 1]


def test_until_the_first_crossing_the_grid_counts() -> None:
    order = at_line([33, 70], [32, 71])
    assert order[31].tolist() == [1, 2]
    assert order[32].tolist() == [2, 1]


def test_a_car_that_stops_is_passed_when_the_others_cross_the_line() -> None:
    order = at_line([30], [31, 61], [32, 62])
    assert order[60].tolist() == [1, 2, 3]
    assert order[61].tolist() == [2, 1, 3]
    assert order[62].tolist() == [3, 1, 2]


def test_a_lapped_car_that_passes_the_leader_is_no_further_ahead() -> None:
    order = at_line([20, 40, 60, 80], [39, 78])
    assert (order[20:] == [1, 2]).all()


def test_what_a_car_drives_after_its_finish_does_not_count() -> None:
    order = at_line([30, 60], [31, 61, 90], finish_time=np.array([60.0, 61.0]))
    assert order[99].tolist() == [1, 2]


def test_two_cars_that_cross_in_one_frame_are_in_the_order_of_their_times() -> None:
    order = at_line([30.6], [30.4])
    assert order[30].tolist() == [1, 2]
    assert order[31].tolist() == [2, 1]
