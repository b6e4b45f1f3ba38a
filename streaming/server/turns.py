"""Work that thousands may bring at once, done one by one, a piece in each turn of the event loop.

The loop does everything that is ready before it looks at the time again: when the handshakes of a
thousand clients have come, it does all of them, and whoever watches waits for seconds. Here they
stand in line, and between two of them everything else goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Work = Callable[[], None]


class Turns:
    """A line of work, first come, first served.

    soon: calls a function in the next turn of the event loop.
    """

    def __init__(self, soon: Callable[[Work], object]) -> None:
        self._soon = soon
        self._line: deque[Work] = deque()

    def __len__(self) -> int:
        """How much stands in line."""
        return len(self._line)

    def take(self, work: Work) -> None:
        """Do it in a turn of its own: not now, even if nothing else is waiting."""
        self._line.append(work)
        if len(self._line) == 1:
            self._soon(self._turn)

    def _turn(self) -> None:
        try:
            self._line[0]()
        finally:
            self._line.popleft()
            if self._line:
                self._soon(self._turn)
