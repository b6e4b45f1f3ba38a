"""Practice and qualifying: the order by best lap at every moment."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.best_laps import BestLapOrder, CarLaps, Part, TimedLap, best_lap_order

NAN = math.nan


def lap(
    ended: float, duration: float, withdrawn: float = math.inf, reinstated: float = math.inf
) -> TimedLap:
    return TimedLap(ended - duration, ended, duration, True, withdrawn, reinstated)


def order_at(result: BestLapOrder, frame: int) -> list[int]:
    return np.argsort(result.position[frame]).tolist()


def seconds(last: int) -> np.ndarray:
    return np.arange(0.0, last + 1.0)


def test_the_best_lap_leads_from_the_moment_when_it_is_known() -> None:
    cars = [CarLaps([lap(100, 80)]), CarLaps([lap(110, 79), lap(200, 85)])]
    result = best_lap_order(seconds(300), cars)
    assert order_at(result, 99) == [0, 1]
    assert order_at(result, 109) == [0, 1]
    assert order_at(result, 110) == [1, 0]
    assert result.best[300].tolist() == [80, 79]
    assert result.gap[300].tolist() == [1, 0]
    assert np.isnan(result.gap[99]).all()


def test_of_two_equal_times_the_earlier_one_leads() -> None:
    cars = [CarLaps([lap(120, 80)]), CarLaps([lap(110, 80)])]
    assert order_at(best_lap_order(seconds(130), cars), 130) == [1, 0]


def test_without_a_time_who_tried_is_ahead_of_who_did_not() -> None:
    stayed, left, tried = (
        CarLaps(),
        CarLaps(left_pits=[10.0]),
        CarLaps([TimedLap(90.0, NAN, NAN)], left_pits=[20.0]),
    )
    result = best_lap_order(seconds(100), [stayed, left, tried], first_order=[0, 1, 2])
    assert order_at(result, 9) == [0, 1, 2]
    assert order_at(result, 10) == [1, 0, 2]
    assert order_at(result, 20) == [1, 2, 0], "among equals the order from before stays"
    assert order_at(result, 90) == [2, 1, 0]


def test_a_deleted_lap_counts_until_it_is_withdrawn_and_again_when_reinstated() -> None:
    cars = [
        CarLaps([lap(100, 80, withdrawn=150.0, reinstated=200.0)]),
        CarLaps([lap(110, 81)]),
    ]
    result = best_lap_order(seconds(210), cars)
    assert [order_at(result, t)[0] for t in (149, 150, 199, 200)] == [0, 1, 1, 0]
    assert math.isnan(result.best[150][0])


def test_who_does_not_go_on_keeps_place_and_times() -> None:
    cars = [
        CarLaps([lap(100, 80), lap(300, 70)]),
        CarLaps([lap(101, 79), lap(301, 78)]),
        CarLaps([lap(102, 81), lap(302, 60)]),
        CarLaps([lap(103, 82)]),
    ]
    parts = [Part(), Part(200.0, 2)]
    result = best_lap_order(seconds(310), cars, parts)
    assert order_at(result, 199) == [1, 0, 2, 3]
    assert order_at(result, 200) == [1, 0, 2, 3], "a new part begins in the order of the last"
    assert np.isnan(result.best[200][:2]).all()
    assert order_at(result, 310) == [0, 1, 2, 3]
    assert result.best[310].tolist() == [70, 78, 81, 82], "a lap after the elimination is none"
    assert result.gap[310].tolist() == [0, 8, 2, 3]
    assert result.eliminated.tolist() == [-1, -1, 1, 1]


LAPS = st.lists(
    st.builds(
        lap,
        st.floats(0, 500).map(lambda t: round(t, 1)),
        st.floats(60, 90).map(lambda t: round(t, 1)),
    ),
    max_size=4,
)


@given(st.lists(LAPS.map(CarLaps), min_size=1, max_size=6), st.integers(1, 6))
def test_every_frame_has_each_place_once_and_best_times_in_order(
    cars: list[CarLaps], entries: int
) -> None:
    result = best_lap_order(seconds(500)[::7], cars, [Part(), Part(250.0, entries)])
    for row, best in zip(result.position, result.best, strict=True):
        assert sorted(row) == list(range(1, len(cars) + 1))
        running = [i for i in np.argsort(row) if result.eliminated[i] < 0]
        times = [best[i] for i in running if not math.isnan(best[i])]
        assert times == sorted(times)
