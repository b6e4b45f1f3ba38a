"""Recorded events, sent when a playhead passes them. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from .timeline import Timeline


class EventTrack:
    """One viewer's position among the events of a session.

    Only playing passes events: those that a seek jumps over are not sent; REST has them.
    """

    __slots__ = ("_at", "_events", "_frames", "_generation")

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        """events: `event` messages, each with its `frame`, in order of it; shared, not copied."""
        self._events = events
        self._frames = [event["frame"] for event in events]
        self._at: int | None = None
        self._generation = -1

    def add(self, event: dict[str, Any]) -> None:
        """An event of a live session, which has just come."""
        at = bisect_right(self._frames, event["frame"])
        self._events = [*self._events[:at], event, *self._events[at:]]
        self._frames.insert(at, event["frame"])

    def passed(self, timeline: Timeline, generation: int, now: float) -> Sequence[dict[str, Any]]:
        """The events between the last call's playhead and the present one, in the order passed."""
        here = timeline.frame(now)
        before, self._at = self._at, here
        if generation != self._generation or before is None:
            self._generation = generation
            return ()
        if here > before:
            first, stop = (bisect_right(self._frames, frame) for frame in (before, here))
            return self._events[first:stop]
        if here < before:
            # Backwards, an event is passed when its frame is reached from above.
            first, stop = (bisect_right(self._frames, frame - 1) for frame in (here, before))
            return self._events[first:stop][::-1]
        return ()

    def next_due(self, timeline: Timeline) -> float:
        """When the playhead reaches the next event; infinity if it will not."""
        if self._at is None or not timeline.running:
            return math.inf
        if timeline.speed > 0:
            index = bisect_right(self._frames, self._at)
            return timeline.time_of(self._frames[index]) if index < len(self._frames) else math.inf
        index = bisect_right(self._frames, self._at - 1) - 1
        return timeline.time_of(self._frames[index]) if index >= 0 else math.inf
