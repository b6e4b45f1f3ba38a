"""What a connection did lately: five minutes in fixed memory.

A sampler (the registry's, about once a second) hands in running totals and peaks; the history keeps
the difference to the sample before. Nothing here runs on the hot path.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

SECOND = 1_000_000_000
# 60 points of one second for the sparkline and the trend, 60 points of five for the time line.
POINTS = 60
COARSE_S = 5
_MOST = 0xFFFFFFFF


@dataclass(slots=True)
class Sample:
    """What a sampler saw: totals since the start, and the peaks since the sample before.

    `intervals`, `intervals_ns`: how many intervals between sends there were, and their sum.
    """

    frames: int
    drops: int
    pending_bytes: int
    interval_peak_ns: int
    send_peak_ns: int
    intervals: int = 0
    intervals_ns: int = 0
    store_peak_ns: int = 0
    paused_ns: int = 0
    commands: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """Five seconds of a connection's life. Seconds, milliseconds, bytes, frames."""

    ended_s_ago: float
    frames: int
    drops: int
    pending_bytes: int
    interval_ms: float
    send_ms: float
    store_ms: float
    paused_ms: int
    commands: int


@dataclass(slots=True)
class Recent:
    """The last five to ten seconds. Peaks in ms, share 0…1, drops in frames, frames a second."""

    interval_ms: float
    send_ms: float
    store_ms: float
    paused_share: float
    drops: int
    frames_rate: float
    commands_rate: float


class History:
    """Rings of the last minute (by second) and of the last five minutes (by five seconds)."""

    __slots__ = (
        "_before",
        "_coarse",
        "_coarse_at",
        "_coarse_from",
        "_fine",
        "_fine_at",
        "_intervals",
        "_slots_since_ns",
        "sampled_ns",
    )

    # Of one coarse point: frames, drops, pending bytes; peaks of interval, send and store in µs;
    # ms that the transport was paused; commands of the client.
    _FIELDS = 8

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._before: Sample | None = None
        self.sampled_ns = 0
        self._fine = bytearray(POINTS)
        self._intervals: array[float] = array("f", bytes(4 * POINTS))
        self._fine_at = -1
        self._coarse: array[int] | None = None
        self._coarse_at = -1
        self._coarse_from = 0
        # Where what the last coarse slot holds began, and the one before it.
        self._slots_since_ns = (0, 0)

    def begin(self, now_ns: int) -> None:
        """Count from zero at `now_ns`, so that what comes before the first sample is in it."""
        self.reset()
        self._before = Sample(0, 0, 0, 0, 0)
        self.sampled_ns = now_ns

    def add(self, sample: Sample, now_ns: int) -> None:
        """Keep what happened since the sample before. Samples may come at any rhythm."""
        before, since_ns = self._before, self.sampled_ns
        self._before, self.sampled_ns = sample, now_ns
        if before is None or now_ns <= since_ns:
            return
        frames = max(0, sample.frames - before.frames)
        drops = max(0, sample.drops - before.drops)
        intervals = sample.intervals - before.intervals
        interval_ms = 0.0
        if intervals > 0:
            interval_ms = (sample.intervals_ns - before.intervals_ns) / intervals / 1e6
        second = now_ns // SECOND
        # A sampler that came late spreads what it saw over the seconds that it missed.
        rate = min(255, (frames * SECOND + SECOND // 2) // (now_ns - since_ns))
        first = max(since_ns // SECOND + 1, second - POINTS + 1, self._fine_at + 1)
        for passed in range(min(first, second), second + 1):
            self._fine[passed % POINTS] = rate
            self._intervals[passed % POINTS] = interval_ms
        self._fine_at = second
        paused_ms = max(0, sample.paused_ns - before.paused_ns) // 1_000_000
        more = (frames, drops, paused_ms, max(0, sample.commands - before.commands))
        self._add_coarse(sample, more, now_ns // (COARSE_S * SECOND), since_ns, now_ns)

    def sparkline(self, now_ns: int) -> bytes:
        """Frames a second (0…255) for each of the last 60 seconds, oldest first."""
        late = min(POINTS, max(0, now_ns // SECOND - self._fine_at))
        at = (self._fine_at + 1) % POINTS
        return bytes(self._fine[at:] + self._fine[:at] + bytes(late))[-POINTS:]

    def trend_ms(self) -> tuple[float, float, float]:
        """Mean interval in each third of the last minute, oldest first, ms.

        0 for a third with fewer than five seconds in which anything was sent.
        """
        at = (self._fine_at + 1) % POINTS
        intervals = self._intervals[at:] + self._intervals[:at]
        first, middle, last = intervals[:20], intervals[20:40], intervals[40:]
        return _mean(first), _mean(middle), _mean(last)

    def timeline(self, now_ns: int) -> list[TimelinePoint]:
        """The last five minutes, oldest first; points before the first sample are left out."""
        if self._coarse is None:
            return []
        points = []
        slot_now = now_ns // (COARSE_S * SECOND)
        for slot in range(max(self._coarse_from, slot_now - POINTS + 1), self._coarse_at + 1):
            at = (slot % POINTS) * self._FIELDS
            values = self._coarse[at : at + self._FIELDS]
            frames, drops, pending, interval_us, send_us, store_us, paused_ms, commands = values
            points.append(
                TimelinePoint(
                    ended_s_ago=max(0.0, now_ns / SECOND - (slot + 1) * COARSE_S),
                    frames=frames,
                    drops=drops,
                    pending_bytes=pending,
                    interval_ms=interval_us / 1000,
                    send_ms=send_us / 1000,
                    store_ms=store_us / 1000,
                    paused_ms=paused_ms,
                    commands=commands,
                )
            )
        return points

    def recent(self, now_ns: int) -> Recent:
        """The slot that is running and the one before it."""
        if self._coarse is None:
            return Recent(0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)
        width, slot = self._FIELDS, now_ns // (COARSE_S * SECOND)
        frames = drops = interval_us = send_us = store_us = paused_ms = commands = 0
        for wanted in range(max(slot - 1, self._coarse_from), min(slot, self._coarse_at) + 1):
            at = (wanted % POINTS) * width
            values = self._coarse[at : at + width]
            frames += values[0]
            drops += values[1]
            interval_us = max(interval_us, values[3])
            send_us = max(send_us, values[4])
            store_us = max(store_us, values[5])
            paused_ms += values[6]
            commands += values[7]
        begun, begun_before = self._slots_since_ns
        since_ns = begun_before if slot == self._coarse_at else begun
        span_s = max((self.sampled_ns - since_ns) / SECOND, 0.5)
        return Recent(
            interval_ms=interval_us / 1000,
            send_ms=send_us / 1000,
            store_ms=store_us / 1000,
            paused_share=min(1.0, paused_ms / 1000 / span_s),
            drops=drops,
            frames_rate=frames / span_s,
            commands_rate=commands / span_s,
        )

    def _add_coarse(
        self,
        sample: Sample,
        more: tuple[int, int, int, int],
        slot: int,
        since_ns: int,
        now_ns: int,
    ) -> None:
        """Sums and peaks of the five seconds; a sampler that came late spreads them over what it
        missed, so that a busy worker's time line has no holes."""
        width = self._FIELDS
        if self._coarse is None:
            self._coarse = array("I", bytes(4 * POINTS * width))
            self._coarse_at = slot - 1
            self._coarse_from = slot
            self._slots_since_ns = (since_ns, since_ns)
        coarse = self._coarse
        passed = range(max(self._coarse_at + 1, slot - POINTS + 1), slot + 1)
        for each in passed:
            at = (each % POINTS) * width
            coarse[at : at + width] = array("I", bytes(4 * width))
        self._coarse_at = slot
        # One new slot is the usual turn of five seconds: what came before it is over.
        spread = passed if len(passed) > 1 else range(slot, slot + 1)
        if len(passed) == 1:
            self._slots_since_ns = (since_ns, self._slots_since_ns[0])
        elif passed:
            each_ns = (now_ns - since_ns) // len(passed)
            self._slots_since_ns = (now_ns - each_ns, now_ns - 2 * each_ns)
        frames, drops, paused_ms, commands = (value // len(spread) for value in more)
        peaks = (
            sample.pending_bytes,
            sample.interval_peak_ns // 1000,
            sample.send_peak_ns // 1000,
            sample.store_peak_ns // 1000,
        )
        for each in spread:
            at = (each % POINTS) * width
            coarse[at] += frames
            coarse[at + 1] += drops
            for field, peak in enumerate(peaks, at + 2):
                if peak > coarse[field]:
                    coarse[field] = min(peak, _MOST)
            coarse[at + 6] += paused_ms
            coarse[at + 7] += commands


def _mean(values: array[float]) -> float:
    seen = len(values) - values.count(0.0)
    return sum(values) / seen if seen >= 5 else 0.0
