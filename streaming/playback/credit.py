"""Credit: how much a viewer may be sent, by acknowledgements, the transport and waiting time."""

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

    Attributes:
        window: messages that may be unacknowledged; None for a client that cannot acknowledge,
            which is bounded by the transport alone.
        within: seconds that data may wait for an acknowledgement or for the transport.
        sent: number of the last message sent; 0 before the first.
        acked: number of the last message acknowledged.
        blocked_by: what kept the last data from being sent; None once some is sent.
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
        """Count an acknowledgement.

        Args:
            seq: all messages up to it have arrived; at most `sent`.

        Returns:
            Whether data waited for this credit.
        """
        if seq <= self.acked:
            return False
        self.acked = seq
        waited = self._blocked_since is not None
        self._blocked_since = None
        return waited

    def transport_paused(self) -> None:
        """Note that the socket takes no more data for now."""
        self._transport_paused = True

    def transport_writable(self) -> None:
        """Note that the socket takes data again."""
        self._transport_paused = False
        self._blocked_since = None

    def may_send(self) -> bool:
        """Return whether a message may be sent now; if not, `blocked_by` is the reason."""
        if self._transport_paused:
            self.blocked_by = DropReason.TRANSPORT_PAUSED
        elif self.window is not None and self.sent - self.acked >= self.window:
            self.blocked_by = DropReason.NO_CREDIT
        else:
            return True
        return False

    def wait(self, now: float) -> float:
        """Note that data waits at `now`.

        Returns:
            The time until which it may wait; at or before `now`, the connection is to be closed.
        """
        if self._blocked_since is None:
            self._blocked_since = now
        return self._blocked_since + self.within

    def nothing_waits(self) -> None:
        """Note that there is nothing to send, so that a silent client does not count as slow."""
        self._blocked_since = None

    def spend(self) -> int:
        """Count a message that is being sent. Returns: its number, from 1."""
        self.blocked_by = None
        self.sent += 1
        return self.sent
