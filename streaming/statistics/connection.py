"""Everything about one connection that explains a bad picture.

The engine holds one `ConnectionStatistics` for each connection and calls, on the event loop:

- `received(size, started_ns, now_ns)` when a message of the client has been handled;
- `sent(size, frames, started_ns, now_ns)` when a send has returned (`frames` 0: a control message);
- `tick.record(duration_ns, now_ns)` when the pump has decided; `store.record(…)` when the frame
  store has answered; `connect.record(…)`, `disconnect.record(…)` once each;
- `acknowledged(credit, now_ns)`, `round_trip(ns)`, `paused(now_ns)`, `resumed(now_ns)`,
  `seek_started(now_ns)`, `first_frame(now_ns)`, `drop(reason, frames)`;
- and sets, when they change or in `on_sample`: `status`, `frame`, `speed`, `generation`,
  `target_fps`, `credit`, `window`, `pending_bytes`, `hidden`, `client_buffer_s`, `room`.

All times are nanoseconds of one monotonic clock (`time.monotonic_ns`), which the caller passes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .histogram import Distribution
from .history import History, Sample
from .timer import OUTLIER_NS, SECOND, WARM_UP, Callback, CallbackTimer, SilentTimer

__all__ = [
    "OUTLIER_NS",
    "SECOND",
    "WARM_UP",
    "Callback",
    "CallbackTimer",
    "ConnectionStatistics",
    "SilentTimer",
]

# The last so many events are kept; a repeated one only counts up.
_EVENTS = 24
PLAYING = frozenset({"playing", "live"})


class ConnectionStatistics:
    """Figures of one connection since `start()` or the last `reset()`.

    Attributes:
        about: what was known when it opened: session, user, address, encoding, hello.
        on_command: set by the engine, called with the name and the arguments of an operator's
            command, which it carries out.
        on_sample: set by the engine, called with these statistics and the time; refreshes the
            attributes before they are read, so that nothing need be written on the hot path for
            the reader's sake.
        connect, disconnect, receive, writable, tick, store: timers of the callbacks, and of the
            wait for the frame store.
        answer, seek, round_trips: ns from a message to the next send, from a seek to its first
            data, from data to its acknowledgement.
        history: the last five minutes.
        events: [ns, kind, text, how often] of the last events, oldest first.
        dropped: frames that will never be sent, by reason.
    """

    __slots__ = (
        "_acks_before",
        "_paused_since_ns",
        "_probe_at",
        "_probe_ns",
        "_received_ns",
        "_seek_ns",
        "_status",
        "about",
        "acks",
        "answer",
        "bytes_in",
        "bytes_out",
        "client_buffer_s",
        "connect",
        "connection_id",
        "credit",
        "data_out",
        "disconnect",
        "dropped",
        "events",
        "first_unacknowledged_ns",
        "frame",
        "frames_out",
        "generation",
        "hidden",
        "history",
        "last_ack_ns",
        "live",
        "messages_in",
        "messages_out",
        "on_command",
        "on_sample",
        "opened_ns",
        "paused_ns",
        "pauses",
        "pending_bytes",
        "receive",
        "resets",
        "room",
        "round_trips",
        "seek",
        "seeks",
        "speed",
        "started_ns",
        "store",
        "target_fps",
        "tick",
        "verdict",
        "verdict_since_ns",
        "window",
        "writable",
    )

    def __init__(
        self,
        connection_id: str,
        *,
        now_ns: int,
        warm_up: int = WARM_UP,
        silent: bool = False,
        **about: Any,
    ) -> None:
        """
        Args:
            connection_id: as the client was told in `welcome`.
            now_ns: when it opened.
            warm_up: the first so many calls of a callback stay out of the extremes.
            silent: time no callback and count the rest, to measure what timing costs.
            about: see the attribute.
        """
        timer = SilentTimer if silent else CallbackTimer
        self.connection_id = connection_id
        self.about = about
        self.opened_ns = now_ns
        self.connect = timer(0)
        self.disconnect = timer(0)
        self.receive = timer(warm_up)
        self.writable = timer(warm_up)
        self.tick = timer(warm_up)
        self.store = timer(warm_up)
        self.answer = Distribution()
        self.seek = Distribution()
        self.round_trips = Distribution()
        # Of a live session only: ten thousand viewers of a recording have none.
        self.live: Distribution | None = None
        self.history = History()
        # A list, since an empty deque takes 600 bytes.
        self.events: list[list[Any]] = []
        self.on_command: Callable[..., Any] | None = None
        self.on_sample: Callable[[ConnectionStatistics, int], None] | None = None
        self._status = "connecting"
        self.frame = 0
        self.speed = 1.0
        self.generation = 0
        self.target_fps = 25.0
        self.credit: int | None = None
        self.window: int | None = None
        self.pending_bytes = 0
        self.hidden = False
        self.client_buffer_s: float | None = None
        self.room: str | None = None
        self.last_ack_ns = 0
        self.first_unacknowledged_ns = 0
        self.verdict = "healthy"
        self.verdict_since_ns = now_ns
        self.resets = -1
        self._paused_since_ns = 0
        self.start(now_ns)

    def start(self, now_ns: int) -> None:
        """Begin to count."""
        self.started_ns = now_ns
        self.reset(now_ns)

    def reset(self, now_ns: int) -> None:
        """Begin to count anew; what the connection is doing stays known."""
        self.resets += 1
        for timer in (self.receive, self.writable, self.tick, self.store):
            timer.reset()
        for distribution in (self.answer, self.seek, self.round_trips):
            distribution.reset()
        self.live = None
        self.history.begin(now_ns)
        self.bytes_in = 0
        self.bytes_out = 0
        self.messages_in = 0
        self.acks = 0
        self.messages_out = 0
        self.data_out = 0
        self.frames_out = 0
        self.seeks = 0
        self.pauses = 0
        self.paused_ns = 0
        self.dropped: dict[str, int] = {}
        self._acks_before = 0
        self._probe_ns = 0
        self._probe_at = 0
        self._received_ns = 0
        self._seek_ns = 0
        if self._paused_since_ns:
            self._paused_since_ns = now_ns
        if self.resets:
            self.note("reset", "statistics reset", now_ns)

    def record(self, callback: str, duration_ns: int, now_ns: int) -> None:
        """Count one call of a callback.

        Args:
            callback: a value of `Callback`.
            duration_ns: how long it took.
            now_ns: when it ended.

        Raises:
            ValueError: there is no such callback.
        """
        timer: CallbackTimer = getattr(self, Callback(callback))
        timer.record(duration_ns, now_ns)

    def received(self, size: int, started_ns: int, now_ns: int) -> None:
        """A message of `size` bytes arrived at `started_ns` and has been handled."""
        self.messages_in += 1
        self.bytes_in += size
        if self.acks != self._acks_before:
            # An acknowledgement has no answer.
            self._acks_before = self.acks
        elif not self._received_ns:
            self._received_ns = started_ns
        self.receive.record(now_ns - started_ns, now_ns)

    def sent(self, size: int, frames: int, started_ns: int, now_ns: int, messages: int = 1) -> None:
        """Messages were handed to the transport.

        Args:
            size: bytes of all of them.
            frames: that they hold, together; 0 for control messages.
            started_ns: when the send began.
            now_ns: when the transport had taken them.
            messages: how many.
        """
        self.messages_out += messages
        self.bytes_out += size
        if frames:
            self.data_out += messages
            self.frames_out += frames
            if not self.first_unacknowledged_ns:
                self.first_unacknowledged_ns = now_ns
            if not self._probe_ns:
                self._probe_ns = now_ns
                self._probe_at = self.data_out
        if self._received_ns:
            self.answer.add(now_ns - self._received_ns)
            self._received_ns = 0
        if self._status not in PLAYING:
            # Messages to a paused viewer have no regular interval.
            self.writable.break_interval()
            self.tick.break_interval()
        self.writable.record(now_ns - started_ns, now_ns)

    def acknowledged(self, credit: int, now_ns: int) -> None:
        """The client acknowledged; `credit` messages may now be sent."""
        self.acks += 1
        self.credit = credit
        self.last_ack_ns = now_ns
        # With everything acknowledged, silence begins with the next message.
        owed = 0 if self.window is None else self.window - credit
        if self._probe_ns and self.window is not None and self.data_out - owed >= self._probe_at:
            # One message at a time is followed to its acknowledgement.
            self.round_trips.add(now_ns - self._probe_ns)
            self._probe_ns = 0
        self.first_unacknowledged_ns = now_ns if owed > 0 else 0

    def unacknowledged_for_ns(self, now_ns: int) -> int:
        """How long the client has owed an acknowledgement; 0 if it owes none."""
        if self.window is None or self.credit is None or self.credit >= self.window:
            return 0
        since = self.first_unacknowledged_ns or max(self.last_ack_ns, self.receive.last_ns)
        return max(0, now_ns - since) if since else 0

    def drop(self, reason: str, frames: int) -> None:
        """`frames` on the playhead's way will never be sent; reason: what the wire calls it."""
        self.dropped[reason] = self.dropped.get(reason, 0) + frames

    def paused(self, now_ns: int) -> None:
        """The transport takes no more bytes."""
        if not self._paused_since_ns:
            self._paused_since_ns = now_ns
            self.pauses += 1

    def resumed(self, now_ns: int) -> None:
        """The transport takes bytes again."""
        if self._paused_since_ns:
            self.paused_ns += now_ns - self._paused_since_ns
            self._paused_since_ns = 0

    def paused_for_ns(self, now_ns: int) -> int:
        """Time that the transport has been paused in all, up to now."""
        running = now_ns - self._paused_since_ns if self._paused_since_ns else 0
        return self.paused_ns + running

    @property
    def transport_paused(self) -> bool:
        """Whether the transport takes no bytes at this moment."""
        return bool(self._paused_since_ns)

    def seek_started(self, now_ns: int) -> None:
        """The client asked for another place; of a flood, the last counts."""
        self.seeks += 1
        self._seek_ns = now_ns
        self.note("seek", f"to frame {self.frame}", now_ns)

    def first_frame(self, now_ns: int) -> None:
        """The first data message after a seek has been sent."""
        if self._seek_ns:
            self.seek.add(now_ns - self._seek_ns)
            self._seek_ns = 0

    def live_sent(self, nanoseconds: int) -> None:
        """A frame of a live session was sent so long after it had arrived from its producer."""
        if self.live is None:
            self.live = Distribution()
        self.live.add(max(0, nanoseconds))

    def round_trip(self, nanoseconds: int) -> None:
        """The client answered a message that was sent so long ago."""
        self.round_trips.add(nanoseconds)

    @property
    def status(self) -> str:
        """What the viewer is doing, in the words of the protocol's `state`."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        if status == self._status:
            return
        before, self._status = self._status, status
        if before not in PLAYING or status not in PLAYING:
            self.writable.break_interval()
            self.tick.break_interval()

    @property
    def playing(self) -> bool:
        """Whether frames ought to flow."""
        return self._status in PLAYING

    @property
    def drops(self) -> int:
        """Frames dropped, whatever the reason."""
        return sum(self.dropped.values())

    @property
    def late_drops(self) -> int:
        """Frames dropped because the client or its line was slow: what a viewer sees as jumps."""
        dropped = self.dropped
        if not dropped:
            return 0
        return dropped.get("no_credit", 0) + dropped.get("transport_paused", 0)

    @property
    def expected_interval_ns(self) -> int:
        """What lies between two sends if all is well: the frames of one at the target rate."""
        messages = self.data_out or self.messages_out
        frames = max(1.0, self.frames_out / messages) if messages else 1.0
        return int(frames / max(self.target_fps, 0.01) * SECOND)

    def note(self, kind: str, text: str, now_ns: int) -> None:
        """Keep an event for the operator.

        Args:
            kind: the same kind twice in a row replaces the event before and counts up.
            text: what happened, for a reader.
            now_ns: when.
        """
        if self.events and self.events[-1][1] == kind:
            self.events[-1] = [now_ns, kind, text, self.events[-1][3] + 1]
        else:
            self.events.append([now_ns, kind, text, 1])
            del self.events[:-_EVENTS]

    def sample(self, now_ns: int) -> None:
        """Let the engine refresh its attributes, and keep a point of history."""
        if self.on_sample is not None:
            self.on_sample(self, now_ns)
        if now_ns - self.history.sampled_ns < SECOND // 2:
            # Too soon for a rate; the peaks stay for the sample that counts.
            return
        writable = self.writable
        # An interval that has not ended yet is the one that matters: nothing is being sent.
        waiting = now_ns - writable.last_ns if self.playing and writable.last_ns else 0
        self.history.add(
            Sample(
                frames=self.frames_out,
                drops=self.late_drops,
                pending_bytes=self.pending_bytes,
                interval_peak_ns=max(writable.interval_peak_ns, waiting),
                send_peak_ns=writable.peak_ns,
                intervals=writable.interval_count,
                intervals_ns=writable.interval_total_ns,
                store_peak_ns=self.store.peak_ns,
                paused_ns=self.paused_for_ns(now_ns),
                commands=self.messages_in - self.acks,
            ),
            now_ns,
        )
        self.store.peak_ns = 0
        writable.interval_peak_ns = 0
        writable.peak_ns = 0
