"""Overtakes on the track, told from the order of the race. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...racing import CarStatus
from ..result import EventRecord

Samples = NDArray[np.int32]

SETTLED = 5
"""Seconds before and after for which the order must stand: side by side is no overtake yet."""
CLEAR_OF_PITS = 20
"""Seconds before and after in which neither car may be anywhere but on the track: places won by
another's pit stop are not overtakes."""
AFTER_START = 30.0
"""Seconds from the start in which the field sorts itself out and everyone passes someone."""


def overtakes(
    position: Samples,
    status: Samples,
    lap: Samples,
    codes: Sequence[str],
    rate: float,
    start_frame: int,
) -> list[EventRecord]:
    """One event per car passed. position, status, lap: shape (frames, cars); rate: frames/s."""
    step = max(1, round(rate))
    first = start_frame + round(AFTER_START * rate)
    seconds = np.arange(first, len(position), step)
    if len(seconds) < 2 * CLEAR_OF_PITS + 2:
        return []
    place = position[seconds]
    racing = status[seconds] == CarStatus.TRACK
    window = 2 * CLEAR_OF_PITS + 1
    steady = np.zeros_like(racing)
    steady[CLEAR_OF_PITS:-CLEAR_OF_PITS] = np.lib.stride_tricks.sliding_window_view(
        racing, window, axis=0
    ).all(axis=-1)
    events = []
    for now in range(CLEAR_OF_PITS, len(seconds) - CLEAR_OF_PITS):
        changed = np.flatnonzero((place[now] != place[now - 1]) & steady[now]).tolist()
        for car in changed:
            for other in changed:
                was_behind = (
                    place[now - SETTLED : now, car] > place[now - SETTLED : now, other]
                ).all()
                if (
                    was_behind
                    and (place[now : now + SETTLED, car] < place[now : now + SETTLED, other]).all()
                ):
                    frame = int(seconds[now])
                    events.append(
                        EventRecord(
                            frame=frame,
                            kind="overtake",
                            message=f"{codes[car]} passes {codes[other]} "
                            f"for place {place[now, car]}",
                            entity=codes[car],
                            value=codes[other],
                            lap=int(lap[frame, car]),
                        )
                    )
    return events
