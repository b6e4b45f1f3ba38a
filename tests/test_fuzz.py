"""The short form of `make fuzz`: some cases of every target, the same in each run."""

from __future__ import annotations

import pytest

from .fuzz.run import Tally, run_cases
from .fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors(name: str) -> None:
    tally = Tally()
    run_cases(TARGETS[name], 25, 1, tally, timed=False)
    assert tally.cases >= 25
