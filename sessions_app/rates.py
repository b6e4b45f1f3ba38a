"""How often something may happen, and how many bytes may come, for each of whoever asks.

No framework and no event loop inside. Counts belong to one process.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

MAX_KEYS = 50_000
"""Of one process, some 200 bytes each; who has not come for longest is forgotten first."""


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
        self._refill(now)
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def spend(self, now: float, cost: float) -> bool:
        """Take `cost` tokens also if there are fewer. Returns: whether there were so many."""
        self._refill(now)
        self._tokens -= cost
        return self._tokens >= 0.0

    def wait(self, cost: float = 1.0, now: float | None = None) -> float:
        """Seconds until there are `cost` tokens, from `now` or the last `take` on."""
        if now is not None:
            self._refill(now)
        return max(0.0, (cost - self._tokens) / self.rate)

    def _refill(self, now: float) -> None:
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now


class Buckets:
    """Token buckets by key, as many as were used last."""

    def __init__(self, rate: float, burst: float, most: int = MAX_KEYS) -> None:
        """rate, burst: of each. most: keys that are remembered."""
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: str, now: float) -> TokenBucket:
        """The bucket of a key; a new one is full."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket

    def take(self, key: str, cost: float, now: float) -> float:
        """Take `cost`. Returns: 0.0 if it was there, else the seconds until it is."""
        bucket = self.of(key, now)
        # One expensive request must be possible at a rate below its cost.
        cost = min(cost, bucket.burst)
        return 0.0 if bucket.take(now, cost) else bucket.wait(cost)


class ByteAllowance:
    """So many bytes in a period, for each address, user, login or token. Safe to use from threads.

    Whoever asks names all that the bytes are counted for, and

    1. calls `wait` before the first byte: it must be 0.0;
    2. calls `spend` for what has come or gone, in as many pieces as there are.

    What was begun may go beyond the allowance; the next then waits until that is made up for.
    """

    def __init__(
        self, most: float, period: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            most: bytes in a period, which may come at once; 0 for no limit.
            period: seconds.
            clock: seconds that do not go back.
        """
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._buckets = Buckets(most / period, most)

    def wait(self, keys: Iterable[str], size: int = 1) -> float:
        """Seconds until `size` bytes may come for all of `keys`; 0.0: now.

        size: as far as it is known. One that is larger than the allowance waits for all of it.
        """
        if not self._most:
            return 0.0
        now, wanted = self._clock(), min(max(1, size), self._most)
        with self._lock:
            return max((self._buckets.of(key, now).wait(wanted, now) for key in keys), default=0.0)

    def spend(self, keys: Iterable[str], size: int) -> bool:
        """So many bytes have come for all of `keys`. Returns: whether all had so many left."""
        if not self._most:
            return True
        now, within = self._clock(), True
        with self._lock:
            for key in keys:
                within &= self._buckets.of(key, now).spend(now, size)
        return within
