"""Timing one callback: how long its calls take and how regularly they come.

A `CallbackTimer` is recorded on the hot path: plain integers, nothing allocated once warm, no lock
(whoever records or reads it does so on its worker's event loop).

All times are nanoseconds of one monotonic clock (`time.monotonic_ns`), which the caller passes in.
"""

from __future__ import annotations

import enum
from array import array
from typing import Any

from .histogram import (
    NEVER,
    PERCENTILES,
    add_buckets,
    bucket_of,
    count_in,
    histogram,
    percentile_ns,
)

SECOND = 1_000_000_000
# After ten calls caches are warm and imports done.
WARM_UP = 10
# A loop that serves 10,000 viewers at one message a second has 100 µs for each; what takes longer
# is counted as an outlier.
OUTLIER_NS = 100_000
# Slots of a second each: a minute, the second that is running, and a power of two.
_RING = 64


class Callback(enum.StrEnum):
    """The timed callbacks; the values are attributes of a connection's statistics."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    RECEIVE = "receive"
    WRITABLE = "writable"
    TICK = "tick"


class CallbackTimer:
    """Durations and rhythm of one callback, in ns.

    `count`: calls since start or reset. `total_ns`, `min_ns`, `max_ns`: durations. `first_ns`,
    `last_ns`: when the first and the last call ended. `interval_…`: between the ends of two calls.
    The first `warm_up` calls count, but stay out of the extremes. `peak_ns`, `interval_peak_ns`:
    the longest since a sampler last set them back to 0.
    """

    __slots__ = (
        "_counts",
        "_second_ends_ns",
        "_slot",
        "_warm_up",
        "buckets",
        "count",
        "first_ns",
        "interval_count",
        "interval_max_ns",
        "interval_min_ns",
        "interval_peak_ns",
        "interval_total_ns",
        "last_ns",
        "max_ns",
        "min_ns",
        "peak_ns",
        "total_ns",
    )

    def __init__(self, warm_up: int = WARM_UP) -> None:
        self._warm_up = warm_up
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next calls are warm-up again."""
        self.count = 0
        self.total_ns = 0
        self.min_ns = NEVER
        self.max_ns = 0
        self.peak_ns = 0
        self.first_ns = 0
        self.last_ns = 0
        self.interval_count = 0
        self.interval_total_ns = 0
        self.interval_min_ns = NEVER
        self.interval_max_ns = 0
        self.interval_peak_ns = 0
        self.buckets: array[int] = array("I")
        # Calls in each of the last seconds; made at the second call, which connect never gets.
        self._counts: array[int] | None = None
        self._second_ends_ns = 0
        self._slot = 0

    def record(self, duration_ns: int, now_ns: int) -> None:
        """Count one call that took `duration_ns` (≥ 0) and ended at `now_ns`.

        Written out in line, since each call of a function would cost as much as half of the rest.
        """
        self.count = count = self.count + 1
        self.total_ns += duration_ns
        bucket = duration_ns >> 6
        if bucket >= 8:
            bits = bucket.bit_length()
            bucket = (bits << 3) + (bucket >> (bits - 4)) - 32
        try:
            self.buckets[bucket] += 1
        except IndexError:
            count_in(self.buckets, bucket_of(duration_ns))
        if duration_ns > self.peak_ns:
            self.peak_ns = duration_ns
        if now_ns >= self._second_ends_ns:
            self._turn(now_ns)
        if self._counts is not None:
            self._counts[self._slot] += 1
        last_ns = self.last_ns
        self.last_ns = now_ns
        if count > self._warm_up:
            if duration_ns < self.min_ns:
                self.min_ns = duration_ns
            if duration_ns > self.max_ns:
                self.max_ns = duration_ns
        if last_ns:
            interval_ns = now_ns - last_ns
            self.interval_count += 1
            self.interval_total_ns += interval_ns
            if count > self._warm_up:
                if interval_ns > self.interval_peak_ns:
                    self.interval_peak_ns = interval_ns
                    if interval_ns > self.interval_max_ns:
                        self.interval_max_ns = interval_ns
                if interval_ns < self.interval_min_ns:
                    self.interval_min_ns = interval_ns

    def break_interval(self) -> None:
        """Let the next call begin a new rhythm: a pause is not a stall."""
        self.last_ns = 0

    def rate(self, seconds: int, now_ns: int) -> float:
        """Calls a second (Hz) over the last `seconds` (1…60) whole seconds, or over its age."""
        if self._counts is None:
            recent = self.count and now_ns - self.first_ns < seconds * SECOND
            return self.count / seconds if recent else 0.0
        if now_ns >= self._second_ends_ns:
            self._turn(now_ns)
        # The second that is running counts only for a callback that has seen no other.
        span = min(seconds, now_ns // SECOND - self.first_ns // SECOND)
        if span < 1:
            return self.count / max((now_ns - self.first_ns) / SECOND, 0.1)
        counts, slot = self._counts, self._slot
        before = sum(counts[slot - span :]) if slot < span else 0
        return (sum(counts[max(0, slot - span) : slot]) + before) / span

    @property
    def mean_ns(self) -> int | None:
        """Mean duration."""
        return self.total_ns // self.count if self.count else None

    @property
    def interval_mean_ns(self) -> int | None:
        """Mean interval."""
        return self.interval_total_ns // self.interval_count if self.interval_count else None

    def percentile_ns(self, thousandths: int) -> int | None:
        """Duration that so many thousandths of the calls, warm-up included, stay below."""
        return percentile_ns(self.buckets, self.count, thousandths)

    def outliers(self) -> int:
        """Calls longer than 100 µs, to the precision of a bucket."""
        return sum(self.buckets[bucket_of(OUTLIER_NS) + 1 :])

    def add(self, other: CallbackTimer) -> None:
        """Take in the totals and extremes of another timer; rates stay this one's own."""
        self.count += other.count
        self.total_ns += other.total_ns
        self.min_ns = min(self.min_ns, other.min_ns)
        self.max_ns = max(self.max_ns, other.max_ns)
        self.interval_count += other.interval_count
        self.interval_total_ns += other.interval_total_ns
        self.interval_min_ns = min(self.interval_min_ns, other.interval_min_ns)
        self.interval_max_ns = max(self.interval_max_ns, other.interval_max_ns)
        add_buckets(self.buckets, other.buckets)

    def report(self, now_ns: int) -> dict[str, Any]:
        """Plain figures: ns, Hz, counts; None for what was not measured yet."""
        timed = self.min_ns != NEVER
        paced = self.interval_min_ns != NEVER
        return {
            "count": self.count,
            "since_last_ns": now_ns - self.last_ns if self.last_ns else None,
            "total_ns": self.total_ns,
            "min_ns": self.min_ns if timed else None,
            "mean_ns": self.mean_ns,
            "max_ns": self.max_ns if timed else None,
            **{name: self.percentile_ns(share) for name, share in PERCENTILES.items()},
            "histogram": histogram(self.buckets),
            "outliers": self.outliers(),
            "interval_min_ns": self.interval_min_ns if paced else None,
            "interval_mean_ns": self.interval_mean_ns,
            "interval_max_ns": self.interval_max_ns if paced else None,
            "rate_1s": self.rate(1, now_ns),
            "rate_10s": self.rate(10, now_ns),
            "rate_60s": self.rate(60, now_ns),
            "warming_up": self.count <= self._warm_up,
        }

    def log_lines(self, name: str, expected_interval_ns: int | None = None) -> list[str]:
        """This callback's block in a log.

        With `expected_interval_ns`, the line of the longest interval is marked as the key metric
        if that is more than twice as long.
        """
        lines = [name, f"  total invocations: {self.count}"]
        if self.count:
            lines.append(f"  average duration: {self.mean_ns} ns")
        if self.interval_min_ns != NEVER:
            lines.append(f"  min interval: {interval_text(self.interval_min_ns)}")
            line = f"  max interval: {interval_text(self.interval_max_ns)}"
            if expected_interval_ns and self.interval_max_ns > 2 * expected_interval_ns:
                line += f"  <-- KEY METRIC: expected {interval_text(expected_interval_ns)}"
            lines.append(line)
        return lines

    def _turn(self, now_ns: int) -> None:
        """Go on to the slot of the second that `now_ns` lies in, emptying what was passed."""
        second = now_ns // SECOND
        if self._counts is None:
            if self.count == 1:
                self.first_ns = now_ns
                return
            self._counts = array("I", bytes(4 * _RING))
            first = self.first_ns // SECOND
            if second - first < _RING:
                self._counts[first % _RING] = 1
        else:
            current = self._second_ends_ns // SECOND - 1
            for passed in range(max(current + 1, second - _RING + 1), second + 1):
                self._counts[passed % _RING] = 0
        self._second_ends_ns = (second + 1) * SECOND
        self._slot = second % _RING


def interval_text(nanoseconds: int) -> str:
    """An interval, ns, with its rate in Hz."""
    return f"{nanoseconds} ns ({SECOND / max(nanoseconds, 1):.2f} Hz)"


class SilentTimer(CallbackTimer):
    """Counts nothing: what a connection gets where the statistics are switched off."""

    __slots__ = ()

    def record(self, duration_ns: int, now_ns: int) -> None:
        """Do nothing."""
