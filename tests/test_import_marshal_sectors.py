"""Marshal sectors of an outline become fractions of the lap, or nothing where they cannot be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from sessions_app.importers.openf1.outline import Outline
from sessions_app.importers.openf1.records import marshal_sector_starts
from sessions_app.importers.track import CentreLine


def on_circle(fraction: float) -> tuple[float, float]:
    angle = 2 * math.pi * fraction
    return 3000.0 * math.cos(angle), 3000.0 * math.sin(angle)


def outline(fractions: Sequence[float]) -> Outline:
    line = CentreLine(np.array([on_circle(i / 400) for i in range(400)]))
    return Outline(line, "file", 0.0, marshal_sectors=[on_circle(f) for f in fractions])


def test_it_works() -> None:
    assert marshal_sector_starts(outline([0.1, 0.4, 0.9])) == pytest.approx(
        [0.1, 0.4, 0.9], abs=1e-3
    )


def test_the_first_may_lie_before_the_start_line() -> None:
    assert marshal_sector_starts(outline([0.98, 0.2, 0.6])) == pytest.approx(
        [0.98, 0.2, 0.6], abs=1e-3
    )


@pytest.mark.parametrize("fractions", [[], [0.3], [0.1, 0.9, 0.4, 0.6], [0.5, 0.3, 0.1]])
def test_sectors_that_do_not_follow_each_other_are_not_believed(fractions: list[float]) -> None:
    assert marshal_sector_starts(outline(fractions)) == []
