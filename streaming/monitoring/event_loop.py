"""One worker's own figures: event-loop lag, stalls with their cause, CPU, memory, store, Redis."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..statistics.histogram import Distribution

logger = logging.getLogger("streaming.monitoring")

SECOND = 1_000_000_000
# Twenty heartbeats a second see every stall that a viewer can, for a thousandth of a core.
BEAT_S = 0.05
STALL_S = 0.25
# The stack is taken well before that: of a stall that is just long enough, looking when it counts
# as one would often be too late. The thread looks as often as leaves none of them out.
CHECK_S = 0.1
# Ten seconds of heartbeats.
_RECENT_BEATS = 200
_STACK_FRAMES = 40


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which the event loop did nothing. `stack` is what blocked it, innermost last."""

    duration_ms: float
    at: float
    stack: str


class LoopMonitor:
    """Measures how late the event loop runs its timers, and takes the stack of what blocks it.

    A heartbeat on the loop measures the lag. A thread checks the heartbeat and, when it is 100 ms
    late, takes the loop thread's stack while it is still blocked; the stack is kept if that becomes
    a stall. `on_stall(seconds, stack)` is called in that thread once a second while the stall
    lasts, since the loop itself cannot report it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        on_stall: Callable[[float, str], None] | None = None,
    ) -> None:
        self.lag = Distribution()
        self.recent: deque[int] = deque(maxlen=_RECENT_BEATS)
        self.stalls = 0
        self.longest: Stall | None = None
        self.last: Stall | None = None
        self._clock = clock
        self._on_stall = on_stall
        self._beat_ns = 0
        self._stack = ""
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to measure `loop`; call on its thread."""
        self._loop_thread = threading.get_ident()
        self._beat_ns = self._clock()
        self._timer = loop.call_later(BEAT_S, self._beat, loop)
        self._thread = threading.Thread(target=self._watch, name="loop-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeat and the thread."""
        if self._timer is not None:
            self._timer.cancel()
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def beat(self, now_ns: int) -> None:
        """A heartbeat at `now_ns`: whatever exceeds the time between two of them is lag."""
        lag_ns = max(0, now_ns - self._beat_ns - int(BEAT_S * SECOND)) if self._beat_ns else 0
        self._beat_ns = now_ns
        self.lag.add(lag_ns)
        self.recent.append(lag_ns)
        stack, self._stack = self._stack, ""
        if lag_ns >= STALL_S * SECOND:
            self.stalls += 1
            self.last = Stall(lag_ns / 1e6, time.time(), stack)
            if self.longest is None or self.last.duration_ms > self.longest.duration_ms:
                self.longest = self.last
            logger.warning(
                "the event loop was blocked for %.0f ms by\n%s", lag_ns / 1e6, stack or "?"
            )

    def overdue_stack(self, now_ns: int) -> str:
        """The stack of what blocks the loop, if its heartbeat is overdue; else "".

        Called in the watching thread; keeps the stack for the heartbeat that ends the stall.
        """
        if now_ns - self._beat_ns < (BEAT_S + CHECK_S) * SECOND:
            return ""
        if not self._stack:
            frame = sys._current_frames().get(self._loop_thread)
            lines = traceback.format_stack(frame, _STACK_FRAMES) if frame else ["unknown\n"]
            self._stack = "".join(lines)
        return self._stack

    def recent_ms(self) -> tuple[float, float]:
        """p99 and longest lag of the last ten seconds, ms."""
        if not self.recent:
            return 0.0, 0.0
        lags = sorted(self.recent)
        return lags[int(len(lags) * 0.99) - (len(lags) > 1)] / 1e6, lags[-1] / 1e6

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self.beat(self._clock())
        self._timer = loop.call_later(BEAT_S, self._beat, loop)

    def _watch(self) -> None:
        reported_ns = 0
        while not self._stop.wait(CHECK_S):
            now_ns = self._clock()
            stack = self.overdue_stack(now_ns)
            lasted_ns = now_ns - self._beat_ns
            if stack and self._on_stall and lasted_ns >= SECOND and now_ns - reported_ns >= SECOND:
                reported_ns = now_ns
                self._on_stall(lasted_ns / SECOND, stack)


class ProcessMeter:
    """CPU and memory of this process between two readings."""

    def __init__(self) -> None:
        self._cpu_s = time.process_time()
        self._wall_s = time.monotonic()

    def read(self) -> tuple[float, int]:
        """Share of one core since the last reading (1.0 = one core), and resident bytes."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        share = (cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-6)
        self._cpu_s, self._wall_s = cpu_s, wall_s
        return share, resident_bytes()


def resident_bytes() -> int:
    """Memory of this process in RAM; where the system does not say, the most it ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stall_report(stall: Stall | None) -> dict[str, Any] | None:
    """Plain values of a stall."""
    if stall is None:
        return None
    return {"duration_ms": stall.duration_ms, "at": stall.at, "stack": stall.stack}
