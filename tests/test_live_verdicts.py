"""What is said of a producer, and which of several troubles comes first."""

from __future__ import annotations

import pytest

from streaming.live.verdicts import producer_verdict

FINE = {"frame_rate": 25.0, "silent": 0.04, "disk_lag": 0.01, "frames": 25, "refused": 0}


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ({}, "healthy"),
        ({"silent": 4.0, "frames": 0}, "producer stalled"),
        ({"silent": 4.0, "frames": 0, "frame_rate": 1.0}, "healthy"),
        ({"silent": 11.0, "frames": 0, "frame_rate": 1.0}, "producer stalled"),
        ({"disk_lag": 0.5, "silent": 4.0}, "disk behind"),
        ({"refused": 1}, "healthy"),
        ({"refused": 5}, "refusing"),
    ],
)
def test_verdicts(figures: dict[str, float], verdict: str) -> None:
    found = producer_verdict(**{**FINE, **figures})  # type: ignore[arg-type]
    assert found.name == verdict
    assert bool(found.advice) == (verdict != "healthy")
