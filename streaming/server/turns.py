"""Work that thousands may bring at once, done a few pieces in each turn of the event loop.

The loop does everything that is ready before it looks at the time again: when the handshakes of a
thousand clients have come, it does all of them, and whoever watches waits for seconds. Here they
stand in line, and between two turns everything else goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

TURN_SECONDS = 0.01
"""A turn of the loop that took longer than this is followed by one with half as many pieces, any
other by one with a piece more. So what the work starts is counted too, and a viewer's frame is at
most about this late: a quarter of the time to the next."""

MOST = 16
"""Pieces in one turn."""

Work = Callable[[], None]


class Turns:
    """A line of work, first come, first served.

    Args:
        soon: calls a function in the next turn of the event loop.
        clock: seconds, monotonic.
    """

    def __init__(
        self, soon: Callable[[Work], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._soon = soon
        self._clock = clock
        self._line: deque[Work] = deque()
        self._pieces = 1
        self._began = 0.0

    def __len__(self) -> int:
        """How much stands in line."""
        return len(self._line)

    def take(self, work: Work) -> None:
        """Do it in a later turn: not now, even if nothing else is waiting."""
        self._line.append(work)
        if len(self._line) == 1:
            self._pieces = 1
            self._began = self._clock()
            self._soon(self._turn)

    def _turn(self) -> None:
        now = self._clock()
        slow = now - self._began > TURN_SECONDS
        self._pieces = max(1, self._pieces // 2) if slow else min(MOST, self._pieces + 1)
        self._began = now
        done = 0
        try:
            while done < min(self._pieces, len(self._line)):
                done += 1
                self._line[done - 1]()
        finally:
            for _ in range(done):
                self._line.popleft()
            if self._line:
                self._soon(self._turn)
