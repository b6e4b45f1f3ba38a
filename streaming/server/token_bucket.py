"""How often something may happen: so often a second, and a few more at once. Pure."""

from __future__ import annotations


class TokenBucket:
    """Tokens that come back with time; each event takes one or more.

    Attributes:
        rate: tokens that come back a second.
        burst: tokens that it holds when nothing has happened for a while; it begins full.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """now: seconds of any clock that does not go back, as in `take`."""
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens at time `now`. Returns: whether there were so many."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def wait(self, cost: float = 1.0) -> float:
        """Seconds from the last `take` until there are `cost` tokens."""
        return max(0.0, (cost - self._tokens) / self.rate)
