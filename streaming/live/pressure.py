"""What a producer is told once a second of how its viewers keep up, and what it had better send.

Pure: what each viewer was sent goes in, the `pressure` message comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from .wire import MessageType

BEST_QUALITY = 85
WORST_QUALITY = 40
"""Of JPEG: above the one the bytes grow faster than the picture gets better, below the other it
shows."""

MOST_RATE = 30.0
"""Frames a second that are suggested at most, as long as the producer's own rate is not lower."""

LEAST_RATE = 5.0
BEHIND_SHARE = 0.1
"""Of the frames that may be dropped before less is suggested: now and then one is late."""

STEP_DOWN, STEP_UP = 10, 5
CALM_SECONDS = 3
"""How long all viewers must keep up before more is suggested, so that it does not swing."""


class Watched(NamedTuple):
    """One viewer at the edge in the last second. sent, dropped: frames."""

    sent: int
    dropped: int


@dataclass(slots=True)
class Adviser:
    """Of one producer.

    Attributes:
        frame_rate: of the session.
        quality: suggested, 40 to 85.
        rate: suggested, frames a second.
    """

    frame_rate: float
    quality: int = BEST_QUALITY
    rate: float = 0.0
    _calm: int = 0

    def __post_init__(self) -> None:
        self.rate = self._most

    @property
    def _most(self) -> float:
        return min(self.frame_rate, MOST_RATE)

    def second(
        self, viewers: Sequence[Watched], *, watching: int, disk_lag: float
    ) -> dict[str, Any]:
        """The message about the last second.

        Args:
            viewers: those at the edge that are sent every frame.
            watching: all viewers.
            disk_lag: seconds that records wait for the disk.
        """
        sent = sum(viewer.sent for viewer in viewers)
        dropped = sum(viewer.dropped for viewer in viewers)
        worst = max((v.dropped / max(1, v.sent + v.dropped) for v in viewers), default=0.0)
        if worst > BEHIND_SHARE:
            self._calm = 0
            if self.quality > WORST_QUALITY:
                self.quality = max(WORST_QUALITY, self.quality - STEP_DOWN)
            else:
                slowest = min(viewer.sent for viewer in viewers)
                self.rate = max(LEAST_RATE, min(self.rate, float(slowest) + 1.0))
        else:
            self._calm += 1
            if self._calm >= CALM_SECONDS:
                self.rate = self._most
                self.quality = min(BEST_QUALITY, self.quality + STEP_UP)
        total = max(1, sent + dropped)
        rates = [viewer.sent for viewer in viewers]
        return {
            "type": MessageType.PRESSURE.value,
            "viewers": watching,
            "delivered": round(sent / total, 3) if viewers else 1.0,
            "dropped": round(dropped / total, 3),
            "slowest": min(rates, default=None),
            "median": median(rates) if rates else None,
            "suggest": {"rate": round(self.rate, 1), "quality": self.quality},
            "disk_lag": round(disk_lag, 3),
        }
