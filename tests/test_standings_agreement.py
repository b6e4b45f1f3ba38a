"""Standings compared with lap times, an official order and official gaps, on races by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sessions_app.agreement import (
    Agreement,
    Feed,
    Standings,
    compare_crossings,
    compare_gaps,
    compare_order,
    lines,
)

RATE = 5.0
START = 1000.0


def standings(
    places: list[tuple[float, list[int]]], seconds: float = 100.0, **more: object
) -> Standings:
    """places: (seconds from which, each car's place)."""
    frames = int(seconds * RATE)
    position = np.zeros((frames, len(places[0][1])), dtype=np.int32)
    for since, order in places:
        position[int(since * RATE) :] = order
    codes = ["AAA", "BBB", "CCC"][: position.shape[1]]
    return Standings(codes, START, RATE, position, **more)  # type: ignore[arg-type]


def crossings(*seconds: float) -> np.ndarray:
    return START + np.array(seconds)


def feed(*rows: tuple[float, int, float]) -> Feed:
    """(seconds, car, value)."""
    times, cars, values = zip(*rows, strict=True)
    return Feed(START + np.array(times), np.array(cars), np.array(values, dtype=float))


def test_the_order_at_the_line_agrees() -> None:
    race = standings([(0, [1, 2]), (45, [2, 1])])
    found = compare_crossings(race, [crossings(20, 50), crossings(21, 49)])
    assert (found.compared.tolist(), found.agreeing.tolist()) == ([2, 2], [2, 2])
    assert found.share == 1.0
    assert found.differences == []


def test_a_change_that_comes_too_late_is_found_at_both_cars() -> None:
    race = standings([(0, [1, 2]), (52, [2, 1])])
    found = compare_crossings(race, [crossings(20, 50), crossings(21, 49)])
    assert found.agreeing.tolist() == [1, 1]
    assert [(d.entity, d.lap, d.place, d.official) for d in found.differences] == [
        ("BBB", 2, 2, 1),
        ("AAA", 2, 1, 2),
    ]


def test_a_lapped_car_is_behind_though_it_crosses_first() -> None:
    race = standings([(0, [1, 2])])
    # B ends its first lap after A's second.
    found = compare_crossings(race, [crossings(20, 40, 60), crossings(41, 81)])
    assert found.share == 1.0


def test_a_retired_car_counts_neither_way() -> None:
    running = np.ones((500, 3), dtype=bool)
    running[int(30 * RATE) :, 0] = False
    race = standings([(0, [1, 2, 3]), (30, [3, 1, 2])], running=running)
    # A led lap 1, and stopped in lap 2 when C was still in lap 1.
    found = compare_crossings(race, [crossings(20), crossings(21, 41), crossings(31, 60)])
    assert found.compared.tolist() == [1, 2, 2]
    assert found.share == 1.0


def test_a_lap_without_a_time_is_not_compared_but_the_car_is_known_to_be_ahead() -> None:
    race = standings([(0, [1, 2])])
    lost = crossings(20, np.nan, 60)
    found = compare_crossings(race, [lost, crossings(21, 41, 61)])
    # Who was first at the end of lap 2 is not known.
    assert found.compared.tolist() == [2, 2]
    assert found.share == 1.0


def test_an_order_is_not_compared_around_its_changes() -> None:
    race = standings([(0, [1, 2]), (51, [2, 1])])
    official = feed((0, 0, 1), (0, 1, 2), (50, 0, 2), (50, 1, 1))
    found = compare_order(race, official, START, START + 99)
    assert found is not None
    assert (found.leader, found.cars) == (1.0, 1.0)
    assert found.seconds == pytest.approx(95, abs=0.5)
    assert found.car_seconds == pytest.approx(190, abs=1)
    assert found.leader_everywhere == pytest.approx(1 - 1 / 99, abs=2e-3)


def test_a_wrong_order_counts_in_car_seconds() -> None:
    race = standings([(0, [1, 2, 3]), (50, [1, 3, 2])])
    found = compare_order(race, feed((0, 0, 1), (0, 1, 2), (0, 2, 3)), START, START + 99)
    assert found is not None
    assert found.leader == 1.0
    assert found.cars == pytest.approx(2 / 3, abs=0.01)
    assert found.of_car == pytest.approx([1, 0.5, 0.5], abs=0.01)


def test_nothing_to_compare_is_no_agreement() -> None:
    race = standings([(0, [1, 2])])
    assert compare_order(race, feed((0, 0, 1)), START + 200, START + 300) is None
    assert compare_gaps(race, feed((10, 1, 1.0))) is None


def test_gaps_are_compared_row_by_row() -> None:
    gap = np.zeros((500, 2))
    gap[:, 1] = 2.0
    gap[: int(10 * RATE), 1] = np.nan
    race = standings([(0, [1, 2])], gap=gap)
    official = feed((5, 1, 1.0), (20, 1, 2.1), (30, 1, 2.3), (40, 0, 0.0), (500, 1, 9.0))
    found = compare_gaps(race, official)
    assert found is not None
    assert (found.rows, found.not_known) == (2, 1)
    assert found.median == pytest.approx(0.2)
    assert found.p99 == pytest.approx(0.3, abs=0.01)


def test_an_agreement_is_said_in_lines() -> None:
    race = standings([(0, [1, 2])], gap=np.full((500, 2), 2.0))
    found = Agreement(
        compare_crossings(race, [crossings(20), crossings(21)]),
        compare_order(race, feed((0, 0, 1), (0, 1, 2)), START, START + 50),
        compare_gaps(race, feed((20, 1, 2.1))),
    )
    said = " | ".join(lines(found.as_dict()))
    assert "2 of 2 crossings agree with the lap table (100.00%)" in said
    assert "leader 100.00% of 50 s" in said
    assert "0.100 s median" in said
    assert lines(Agreement().as_dict()) == []
