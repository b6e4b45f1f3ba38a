"""What a producer is told of its viewers, and that it goes down under a slow one and up again."""

from __future__ import annotations

from typing import Any

from streaming.live.pressure import Adviser, Watched

FAST, SLOW = Watched(30, 0), Watched(12, 18)


def second(adviser: Adviser, *viewers: Watched) -> dict[str, Any]:
    return adviser.second(viewers, watching=len(viewers), disk_lag=0.0)


def test_it_works() -> None:
    told = second(Adviser(60.0), FAST, FAST, SLOW)
    assert (told["viewers"], told["delivered"], told["dropped"]) == (3, 0.8, 0.2)
    assert (told["slowest"], told["median"]) == (12, 30)
    assert told["suggest"] == {"rate": 30.0, "quality": 75}


def test_nobody_watches() -> None:
    told = second(Adviser(10.0))
    assert (told["delivered"], told["slowest"], told["suggest"]["rate"]) == (1.0, None, 10.0)


def test_it_goes_down_under_a_slow_viewer_and_up_again() -> None:
    adviser = Adviser(30.0)
    down = [second(adviser, FAST, SLOW)["suggest"] for _ in range(8)]
    assert [told["quality"] for told in down][:5] == [75, 65, 55, 45, 40]
    # The worst quality is still too much: fewer pictures.
    assert down[-1] == {"rate": 13.0, "quality": 40}
    up = [second(adviser, FAST)["suggest"] for _ in range(20)]
    # Not at once, so that it does not swing.
    assert up[1] == down[-1]
    assert up[2] == {"rate": 30.0, "quality": 45}
    assert up[-1] == {"rate": 30.0, "quality": 85}
