"""How much a viewer may be sent: acknowledgements, the transport, and how long it has waited."""

from __future__ import annotations

import enum

from .protocol import ACKNOWLEDGE_WITHIN


class DropReason(enum.StrEnum):
    """Why frames on the playhead's way were not sent."""

    NO_CREDIT = "no_credit"
    TRANSPORT_PAUSED = "transport_paused"
    SUPERSEDED = "superseded"


class Credit:
    """Counts data messages sent and acknowledged. Times are seconds of one monotonic clock.

    window: messages that may be unacknowledged; None for a client that cannot acknowledge, which
    the transport alone bounds. within: seconds that data may wait. blocked_by: what last kept data
    from being sent, until some is.
    """

    __slots__ = (
        "_blocked_since",
        "_transport_paused",
        "acked",
        "blocked_by",
        "sent",
        "window",
        "within",
    )

    def __init__(self, window: int | None, within: float = ACKNOWLEDGE_WITHIN) -> None:
        self.window = window
        self.within = within
        self.sent = 0
        self.acked = 0
        self.blocked_by: DropReason | None = None
        self._blocked_since: float | None = None
        self._transport_paused = False

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return self.sent - self.acked

    @property
    def left(self) -> int | None:
        """Messages that may still be sent; None without acknowledgements."""
        return None if self.window is None else self.window - self.in_flight

    def acknowledge(self, seq: int) -> bool:
        """Everything up to `seq` (at most `sent`) arrived. Returns: whether data waited for it."""
        if seq <= self.acked:
            return False
        self.acked = seq
        waited = self._blocked_since is not None
        self._blocked_since = None
        return waited

    def transport_paused(self) -> None:
        """The socket takes no more for now."""
        self._transport_paused = True

    def transport_writable(self) -> None:
        """The socket takes data again."""
        self._transport_paused = False
        self._blocked_since = None

    def may_send(self) -> bool:
        """Whether a message may be sent now; if not, `blocked_by` says why."""
        if self._transport_paused:
            self.blocked_by = DropReason.TRANSPORT_PAUSED
        elif self.window is not None and self.sent - self.acked >= self.window:
            self.blocked_by = DropReason.NO_CREDIT
        else:
            return True
        return False

    def wait(self, now: float) -> float:
        """Data waits. Returns: until when it may; if that is not after `now`, it is over."""
        if self._blocked_since is None:
            self._blocked_since = now
        return self._blocked_since + self.within

    def nothing_waits(self) -> None:
        """There is nothing to be sent: silence is no failure of the client."""
        self._blocked_since = None

    def spend(self) -> int:
        """A message is being sent. Returns: its number, from 1."""
        self.blocked_by = None
        self.sent += 1
        return self.sent
