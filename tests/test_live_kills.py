"""Kill -9 of the process that writes: no acknowledged frame is lost, doubled or out of order.

`make bench ARGS=live` does a thousand of these, and kills the workers of a service.
"""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.live_writer import kill_once, read

KILLS = 20


def test_what_was_acknowledged_survives(tmp_path: Path) -> None:
    chance = random.Random(13)
    for _ in range(KILLS):
        acknowledged = kill_once(tmp_path, chance)
        state, _, numbers = read(tmp_path)
        assert state.next_frame > acknowledged
        assert numbers == list(range(state.next_frame))
    assert state.growing is not None
    x = state.growing.columns(0, state.next_frame).quantities("x")[:, 0]
    assert x.tolist() == list(range(state.next_frame))
