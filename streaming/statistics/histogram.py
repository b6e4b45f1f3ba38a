"""Counting durations in HDR-style buckets: fixed precision, little memory, no sorting.

Durations are counted in units of 64 ns (reading the clock costs as much), linearly up to 512 ns and
eight buckets to an octave above, so a percentile is at most 12.5 % above the truth. The array of
counts grows only as far as the slowest call seen: 400 bytes for a callback that stays under 1 ms.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

UNIT_BITS = 6
LAST_BUCKET = 255
# Above anything that is ever measured; what a minimum starts from.
NEVER = 1 << 62

PERCENTILES = {"p50_ns": 500, "p90_ns": 900, "p99_ns": 990, "p999_ns": 999}
"""Report keys and what share of the calls, in thousandths, stay below."""


def bucket_of(nanoseconds: int) -> int:
    """The bucket (0…255) that counts a duration; the last one takes whatever is longer."""
    units = nanoseconds >> UNIT_BITS
    if units < 8:
        return max(units, 0)
    bits = units.bit_length()
    return min((bits << 3) + (units >> (bits - 4)) - 32, LAST_BUCKET)


def bucket_upper_ns(bucket: int) -> int:
    """The first nanosecond that is too long for `bucket`."""
    if bucket < 8:
        return (bucket + 1) << UNIT_BITS
    octave, part = divmod(bucket, 8)
    return (9 + part) << (octave - 1 + UNIT_BITS)


def count_in(buckets: array[int], bucket: int) -> None:
    """Add one to a bucket, growing the array up to it if needed."""
    if bucket >= len(buckets):
        buckets.extend([0] * (bucket + 1 - len(buckets)))
    buckets[bucket] += 1


def add_buckets(into: array[int], other: Sequence[int]) -> None:
    """Add the counts of `other` to `into`."""
    if len(other) > len(into):
        into.extend([0] * (len(other) - len(into)))
    for bucket, count in enumerate(other):
        if count:
            into[bucket] += count


def percentile_ns(buckets: Sequence[int], total: int, thousandths: int) -> int | None:
    """The duration that so many thousandths of all calls stay below, ns, rounded up to its bucket.

    total: the sum of all buckets, which the caller has. None if nothing was counted.
    """
    if not total:
        return None
    # From the top, since the few slow calls are what is usually asked for.
    above = total - max(1, -(-total * thousandths // 1000))
    for bucket in range(len(buckets) - 1, -1, -1):
        above -= buckets[bucket]
        if above < 0:
            return bucket_upper_ns(bucket)
    raise AssertionError("unreachable: the buckets sum up to the total")


def histogram(buckets: Sequence[int]) -> list[tuple[int, int]]:
    """The buckets that counted anything: (first ns that is too long, calls), shortest first."""
    return [(bucket_upper_ns(at), count) for at, count in enumerate(buckets) if count]


class Distribution:
    """Durations without a rhythm: count, extremes, mean, percentiles; all in ns."""

    __slots__ = ("buckets", "count", "last_ns", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.count = 0
        self.total_ns = 0
        self.last_ns = 0
        self.min_ns = NEVER
        self.max_ns = 0
        self.buckets: array[int] = array("I")

    def add(self, nanoseconds: int) -> None:
        """Count one duration."""
        self.count += 1
        self.total_ns += nanoseconds
        self.last_ns = nanoseconds
        if nanoseconds < self.min_ns:
            self.min_ns = nanoseconds
        if nanoseconds > self.max_ns:
            self.max_ns = nanoseconds
        count_in(self.buckets, bucket_of(nanoseconds))

    def percentile_ns(self, thousandths: int) -> int | None:
        """As the function of that name, but never above the longest duration seen."""
        found = percentile_ns(self.buckets, self.count, thousandths)
        return None if found is None else min(found, self.max_ns)

    def report(self) -> dict[str, Any]:
        """Plain figures; None for what was not measured yet."""
        report: dict[str, Any] = {
            "count": self.count,
            "last_ns": self.last_ns if self.count else None,
            "min_ns": self.min_ns if self.count else None,
            "mean_ns": self.total_ns // self.count if self.count else None,
            "max_ns": self.max_ns if self.count else None,
        }
        report["histogram"] = histogram(self.buckets)
        report.update({name: self.percentile_ns(share) for name, share in PERCENTILES.items()})
        return report
