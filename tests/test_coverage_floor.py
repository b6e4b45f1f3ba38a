"""The floor of coverage: each core room by itself, and nothing measured is nothing covered."""

from __future__ import annotations

import runpy

import pytest

from .conftest import ROOT

SCRIPT = runpy.run_path(str(ROOT / ".ci" / "coverage_floor.py"), run_name="coverage_floor")


def measured(branches: int, taken: int) -> dict[str, dict[str, int]]:
    return {"summary": {"num_branches": branches, "covered_branches": taken}}


def test_each_room_counts_by_itself() -> None:
    files = {
        "streaming/playback/viewer.py": measured(90, 90),
        "streaming/playback/plan.py": measured(10, 4),
        "streaming/store/rows.py": measured(100, 96),
        "streaming/other.py": measured(100, 0),
    }
    rooms = ("streaming/playback/", "streaming/store/", "streaming/statistics/")
    assert SCRIPT["covered"](files, rooms) == pytest.approx(
        {"streaming/playback/": 94.0, "streaming/store/": 96.0, "streaming/statistics/": 0.0}
    )


def test_the_rooms_are_there_and_measured() -> None:
    for room, floor in SCRIPT["FLOORS"].items():
        assert (ROOT / room).exists(), room
        assert floor > 80, room
