"""What counts as an overtake, and what does not."""

from __future__ import annotations

import numpy as np

from sessions_app.importers.openf1.overtakes import overtakes
from sessions_app.racing import CarStatus

RATE = 25.0
SECONDS = 200


def order(*changes: tuple[float, tuple[int, ...]]) -> np.ndarray:
    """Positions of three cars over time: from each second on, those given."""
    position = np.tile(np.array([1, 2, 3], dtype=np.int32), (int(SECONDS * RATE), 1))
    for second, places in changes:
        position[int(second * RATE) :] = places
    return position


def found(position: np.ndarray, status: np.ndarray | None = None) -> list[tuple[str, str]]:
    if status is None:
        status = np.full(position.shape, CarStatus.TRACK, dtype=np.int32)
    lap = np.full(position.shape, 2, dtype=np.int32)
    events = overtakes(position, status, lap, ("A", "B", "C"), RATE, 0)
    return [(e.entity, e.value) for e in events]


def test_one_car_passes_another() -> None:
    assert found(order((100, (2, 1, 3)))) == [("B", "A")]


def test_a_pass_of_two_cars_is_two_overtakes() -> None:
    assert found(order((100, (2, 3, 1)))) == [("C", "A"), ("C", "B")]


def test_side_by_side_is_no_overtake() -> None:
    assert found(order((100, (2, 1, 3)), (103, (1, 2, 3)))) == []


def test_a_place_won_in_the_pits_is_no_overtake() -> None:
    position = order((100, (2, 1, 3)))
    status = np.full(position.shape, CarStatus.TRACK, dtype=np.int32)
    status[int(90 * RATE) : int(95 * RATE), 0] = CarStatus.PIT
    assert found(position, status) == []


def test_the_start_is_no_overtake() -> None:
    assert found(order((10, (2, 1, 3)))) == []


def test_a_short_recording() -> None:
    assert found(order()[:50]) == []
