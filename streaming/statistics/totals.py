"""A worker's totals over all its connections, open and closed: what only ever grows."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .connection import Callback, CallbackTimer, ConnectionStatistics
from .histogram import LAST_BUCKET, NEVER, PERCENTILES, percentile_ns
from .timer import interval_text

COUNTERS = (
    "bytes_in",
    "bytes_out",
    "messages_in",
    "messages_out",
    "frames_out",
    "seeks",
    "pauses",
    "paused_ns",
)


class Totals:
    """Sums of counters; for each callback the buckets of its durations (256), their sum, and the
    shortest and longest interval that any one connection saw."""

    __slots__ = (
        "buckets",
        "counters",
        "dropped",
        "durations_ns",
        "longest_intervals_ns",
        "shortest_intervals_ns",
    )

    def __init__(self) -> None:
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.dropped: dict[str, int] = {}
        self.buckets: NDArray[np.int64] = np.zeros((len(Callback), LAST_BUCKET + 1), np.int64)
        self.durations_ns = [0] * len(Callback)
        self.shortest_intervals_ns = [NEVER] * len(Callback)
        self.longest_intervals_ns = [0] * len(Callback)

    def add_connection(self, statistics: ConnectionStatistics) -> None:
        """Add what one connection has counted."""
        counters = self.counters
        for name in COUNTERS:
            counters[name] += getattr(statistics, name)
        for reason, frames in statistics.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + frames
        for row, callback in enumerate(_TIMERS):
            timer: CallbackTimer = getattr(statistics, callback)
            if timer.count:
                buckets: array[int] = timer.buckets
                self.buckets[row, : len(buckets)] += np.frombuffer(buckets, np.uint32)
                self.durations_ns[row] += timer.total_ns
                self._take_intervals(row, timer.interval_min_ns, timer.interval_max_ns)

    def add(self, other: Totals) -> None:
        """Add other totals."""
        for name, value in other.counters.items():
            self.counters[name] += value
        for reason, frames in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + frames
        self.buckets += other.buckets
        for row, duration_ns in enumerate(other.durations_ns):
            self.durations_ns[row] += duration_ns
            self._take_intervals(
                row, other.shortest_intervals_ns[row], other.longest_intervals_ns[row]
            )

    def _take_intervals(self, row: int, shortest_ns: int, longest_ns: int) -> None:
        if shortest_ns < self.shortest_intervals_ns[row]:
            self.shortest_intervals_ns[row] = shortest_ns
        if longest_ns > self.longest_intervals_ns[row]:
            self.longest_intervals_ns[row] = longest_ns

    def report(self) -> dict[str, Any]:
        """Plain values; `callbacks` with count, total_ns, percentiles, intervals and `octaves`.

        octaves: calls by the power of two of their duration: [[upper bound in ns, calls], …].
        """
        callbacks = {}
        for row, callback in enumerate(_TIMERS):
            counts = self.buckets[row]
            calls = int(counts.sum())
            listed = counts.tolist()
            paced = self.shortest_intervals_ns[row] != NEVER
            callbacks[callback] = {
                "count": calls,
                "total_ns": self.durations_ns[row],
                **{n: percentile_ns(listed, calls, share) for n, share in PERCENTILES.items()},
                "interval_min_ns": self.shortest_intervals_ns[row] if paced else None,
                "interval_max_ns": self.longest_intervals_ns[row] if paced else None,
                "octaves": counts.reshape(-1, 8).sum(axis=1).tolist(),
            }
        return {**self.counters, "dropped": dict(self.dropped), "callbacks": callbacks}

    def log_lines(self) -> list[str]:
        """One block for each callback that was ever invoked."""
        lines = []
        for name, figures in self.report()["callbacks"].items():
            if not figures["count"]:
                continue
            lines += [
                name,
                f"  total invocations: {figures['count']}",
                f"  average duration: {figures['total_ns'] // figures['count']} ns",
                f"  p99 duration: {figures['p99_ns']} ns",
            ]
            if figures["interval_min_ns"] is not None:
                lines.append(f"  min interval: {interval_text(figures['interval_min_ns'])}")
                lines.append(f"  max interval: {interval_text(figures['interval_max_ns'])}")
        return lines


_TIMERS = tuple(callback.value for callback in Callback)
