"""The centre line: where a place lies along it, where it begins, its edges."""

from __future__ import annotations

import numpy as np
import pytest

from sessions_app.importers.track import CentreLine, direction, from_laps

RADIUS = 3000.0


def circle(count: int = 400, radius: float = RADIUS) -> np.ndarray:
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.column_stack((np.cos(angle), np.sin(angle)))


def on_circle(fraction: np.ndarray, radius: float = RADIUS) -> tuple[np.ndarray, np.ndarray]:
    return radius * np.cos(2 * np.pi * fraction), radius * np.sin(2 * np.pi * fraction)


def test_a_place_is_projected_on_the_line() -> None:
    line = CentreLine(circle())
    wanted = np.linspace(0, 0.999, 777)
    for radius in (RADIUS - 150, RADIUS, RADIUS + 300):
        fraction, distance = line.project(*on_circle(wanted, radius))
        off = (fraction - wanted + 0.5) % 1.0 - 0.5
        assert np.abs(off).max() < 2e-4
        assert distance == pytest.approx(abs(radius - RADIUS), abs=2)


def test_unknown_and_distant_places() -> None:
    line = CentreLine(circle())
    fraction, distance = line.project(np.array([np.nan, 1e6]), np.array([0.0, 0.0]))
    assert np.isnan(fraction[0])
    assert distance[1] == pytest.approx(1e6 - RADIUS, abs=10)


def test_the_line_can_begin_anywhere() -> None:
    line = CentreLine(circle()).starting_at(0.3)
    fraction, _ = line.project(*on_circle(np.array([0.3001, 0.5, 0.2])))
    assert fraction == pytest.approx([0.0001, 0.2, 0.9], abs=1e-4)
    assert line.length == pytest.approx(2 * np.pi * RADIUS, rel=1e-3)


def test_the_line_follows_the_cars() -> None:
    line = CentreLine(circle())
    forwards = on_circle(np.linspace(0, 3, 500) % 1)
    backwards = on_circle(np.linspace(3, 0, 500) % 1)
    assert direction(line, [forwards]) == 1
    assert direction(line, [backwards]) == -1
    assert direction(line.reversed(), [backwards]) == 1
    assert line.reversed().points[0] == pytest.approx(line.points[0])


@pytest.mark.parametrize("turn", [1, -1])
def test_edges_lie_on_both_sides(turn: int) -> None:
    points = circle() if turn == 1 else circle()[::-1]
    inner, outer = CentreLine(points).edges(60.0)
    assert np.hypot(*inner.T) == pytest.approx(RADIUS - 60, abs=1)
    assert np.hypot(*outer.T) == pytest.approx(RADIUS + 60, abs=1)


def test_a_line_from_laps_takes_out_their_jitter() -> None:
    chance = np.random.default_rng(1)
    laps = []
    for shift in np.linspace(0, 0.9, 12):
        at = (np.arange(170) + shift) / 170
        x, y = on_circle(at)
        laps.append((x + chance.normal(0, 15, 170), y + chance.normal(0, 15, 170)))
    line = from_laps(laps)
    one = np.abs(np.hypot(*from_laps(laps[:1]).points.T) - RADIUS).mean()
    all_of_them = np.abs(np.hypot(*line.points.T) - RADIUS).mean()
    assert all_of_them < 0.7 * one
    assert line.length == pytest.approx(2 * np.pi * RADIUS, rel=0.02)
