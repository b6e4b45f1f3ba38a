"""The playhead as (anchor frame, anchor time, speed): computed, never counted, so never off.

Times are seconds of one monotonic clock, which the caller passes in. Positions are frames and may
lie between two; a viewer interpolates there.
"""

from __future__ import annotations

import math

from .protocol import Status

LIVE_WITHIN = 3.0
"""Seconds behind the edge that still count as live: frames arrive a segment at a time."""

_EPSILON = 1e-6
"""Frames. Times are floats: 0.04 s * 25 must be frame 1, not 0.9999999."""


class Timeline:
    """The position of a playhead at any time. Each change takes the time at which it happens.

    Attributes:
        frame_count: frames that exist; grows in a live session.
        frame_rate: frames a second of recorded time.
        live: whether the last frame is an edge that moves.
        speed: factor of real time, negative backwards, never 0.
        playing: whether time passes.
        held: stops time without being a pause: after a seek, until the first data.
        anchor_frame: position in frames at `anchor_time`.
        anchor_time: seconds of the caller's monotonic clock.
    """

    __slots__ = (
        "_cached_at",
        "_cached_position",
        "anchor_frame",
        "anchor_time",
        "frame_count",
        "frame_rate",
        "held",
        "live",
        "playing",
        "speed",
    )

    def __init__(
        self, frame_count: int, frame_rate: float, now: float, *, live: bool = False
    ) -> None:
        """A paused playhead at frame 0. live: the last frame is an edge that moves, not an end."""
        self.frame_count = frame_count
        self.frame_rate = frame_rate
        self.live = live
        # One wake-up of a viewer reads the position of the same moment several times.
        self._cached_at = -math.inf
        self._cached_position = 0.0
        self.speed = 1.0
        self.playing = False
        self.held = False
        self.anchor_frame = 0.0
        self.anchor_time = now

    @property
    def last_frame(self) -> int:
        """The highest frame that exists; 0 while there is none."""
        return max(0, self.frame_count - 1)

    @property
    def velocity(self) -> float:
        """Frames per second of wall time while playing, signed."""
        return self.speed * self.frame_rate

    @property
    def running(self) -> bool:
        """Whether the position changes with time (until it reaches an end)."""
        return self.playing and not self.held

    def position(self, now: float) -> float:
        """The playhead in frames, 0 … last_frame. A clock that goes backwards moves nothing."""
        if not self.playing or self.held or now <= self.anchor_time:
            return self.anchor_frame
        if now == self._cached_at:
            return self._cached_position
        moved = self.anchor_frame + (now - self.anchor_time) * self.speed * self.frame_rate
        last = self.frame_count - 1
        if moved < 0.0 or last < 0:
            moved = 0.0
        elif moved > last:
            moved = float(last)
        self._cached_at = now
        self._cached_position = moved
        return moved

    def frame(self, now: float) -> int:
        """The frame to show: the last one that the playhead has reached in its direction."""
        position = self.position(now)
        if self.speed < 0:
            return math.ceil(position - _EPSILON)
        return math.floor(position + _EPSILON)

    def time_of(self, frame: float) -> float:
        """When the playhead reaches `frame`: a time already past if it has, infinity if never."""
        ahead = (frame - self.anchor_frame) / self.velocity
        if ahead <= 0:
            return self.anchor_time
        if not self.running or not 0 <= frame <= self.last_frame:
            return math.inf
        return self.anchor_time + ahead

    def at_end(self, now: float) -> bool:
        """Whether nothing more can be played in this direction."""
        position = self.position(now)
        return position <= 0.0 if self.speed < 0 else position >= self.last_frame

    def status(self, now: float) -> Status:
        """Paused, playing, ended, or live (playing near the edge of a session that still grows)."""
        if not self.playing:
            return Status.PAUSED
        if self.live and self.speed > 0:
            behind = self.last_frame - self.position(now)
            return Status.LIVE if behind <= LIVE_WITHIN * self.frame_rate else Status.PLAYING
        return Status.ENDED if self.at_end(now) and not self.held else Status.PLAYING

    def play(self, now: float) -> None:
        """Start to play at `now`."""
        self._anchor(now)
        self.playing = True

    def pause(self, now: float) -> None:
        """Stop at `now`."""
        self._anchor(now)
        self.playing = False

    def set_speed(self, speed: float, now: float) -> None:
        """Change the speed at `now`; the position stays."""
        self._anchor(now)
        self.speed = speed

    def seek(self, frame: float, now: float, *, hold: bool = False) -> None:
        """Go to `frame`, clamped to what exists. hold: stop the clock until `release`."""
        self.anchor_frame = min(max(float(frame), 0.0), float(self.last_frame))
        self.anchor_time = now
        self.held = hold
        self._cached_at = -math.inf

    def release(self, now: float) -> None:
        """End a hold: time passes from now on."""
        if self.held:
            self.held = False
            self.anchor_time = now
            self._cached_at = -math.inf

    def extend(self, frame_count: int, now: float, *, live: bool) -> None:
        """Set the number of frames, which never shrinks, and whether the session is live.

        A playhead that waited at the edge goes on from there.
        """
        self._anchor(now)
        self.frame_count = max(frame_count, self.frame_count)
        self.live = live

    def _anchor(self, now: float) -> None:
        self.anchor_frame = self.position(now)
        self.anchor_time = max(now, self.anchor_time)
        self._cached_at = -math.inf
