"""One viewer: a pure state machine between a client's commands and the frames it is sent.

Commands, acknowledgements, transport pauses and a clock go in; `state` messages, fetches and the
time of the next wake-up come out. Theory of operation:

    viewer.seek(...)                     changes state, nothing is sent
    for state in viewer.take_states(now) confirmations, always before the data they announce
    fetch = viewer.step(now)             what to get from the frame store, or None until viewer.wake
    header = viewer.emit(fetch, now)     just before sending: None if it has been overtaken

What holds at any time, whatever the history:
- nothing of a generation older than the last confirmed one is emitted;
- at most `window` data messages are emitted beyond the last acknowledgement;
- every emitted range exists;
- the playhead is where a clock that started with the first data after the last seek would be.

A seek stops the clock until its first data is emitted: a viewer never misses what it asked for.
What commands change is in `steering.py`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

from ..callbacks.timing import DropReason
from .commands import CommandError, CommandId, Request
from .credit import Credit
from .plan import Fetch, Pull, SegmentPlan
from .playhead import Playhead
from .protocol import (
    ACKNOWLEDGE_WITHIN,
    BUFFERING_AFTER,
    CloseCode,
    DataKind,
    Encoding,
    ErrorCode,
    MessageType,
    Status,
)
from .steering import Steering
from .timeline import Timeline

MAX_PULLS = 8
"""Requests kept while earlier ones are answered: enough to prefetch, not enough to hoard."""

MAX_NOTICES = 256
"""Answers kept while the transport is paused; the rate limit lets no honest client reach it."""


class DataHeader(NamedTuple):
    """The part of a data message that is this viewer's own, in wire order."""

    kind: DataKind
    generation: int
    seq: int
    first_frame: int
    frame_count: int
    step: int


class Viewer(Steering):
    """See the module. All times are seconds of one monotonic clock.

    `wake`: when `step` should be called again if nothing happens before; infinity for never.
    `patience`: seconds by which that may be later.
    `credit`: what may be sent; the transport's pauses go there.
    `closing`: the code that the connection is to be closed with, or None.
    `dropped`: samples since connect that were passed over, by reason.
    """

    __slots__ = (
        "_announced",
        "_confirmed",
        "_grew",
        "_notices",
        "_pull_turn",
        "_pulls",
        "closing",
        "credit",
        "dropped",
        "patience",
    )

    def __init__(
        self,
        *,
        frame_count: int,
        frame_rate: float,
        segment_frames: int,
        now: float,
        encoding: Encoding,
        lead: float,
        window: int | None,
        max_fps: float | None = None,
        live: bool = False,
        start: Playhead | None = None,
        acknowledge_within: float = ACKNOWLEDGE_WITHIN,
    ) -> None:
        """window: None for a client that cannot acknowledge, which the transport alone bounds.
        lead: seconds of segments ahead. max_fps: None means frame_rate. start: from a resume token.
        acknowledge_within: seconds that data may wait for an acknowledgement or for the transport.
        """
        super().__init__(
            Timeline(frame_count, frame_rate, now, live=live),
            encoding,
            now,
            segment_frames=segment_frames,
            lead=lead,
            max_fps=max_fps or frame_rate,
        )
        self.credit = Credit(window, acknowledge_within)
        self.dropped: dict[DropReason, int] = {}
        self.closing: CloseCode | None = None
        self.patience = 0.0
        self._pulls: deque[Pull] | None = None
        self._pull_turn = False
        self._notices: list[CommandId] = []
        self._confirmed = -1
        self._grew = live
        self._announced = Status.PAUSED
        if start is not None:
            self.timeline.speed = start.speed
            self.timeline.playing = start.playing
            self.generation = start.generation
            self._go(start.frame, now)
            self.notify()
        else:
            self._confirmed = 0

    # In -------------------------------------------------------------------------------------

    def acknowledge(self, seq: int) -> bool:
        """Everything up to `seq` arrived. Returns: whether data waited for that credit.

        Raises: CommandError if it was never sent.
        """
        if seq > self.credit.sent:
            raise CommandError(
                ErrorCode.BAD_VALUE,
                f"seq {seq}: expected at most {self.credit.sent}, the last one sent",
            )
        return self.credit.acknowledge(seq)

    def request(self, request: Request) -> None:
        """Send a range outside playback. Raises: CommandError."""
        timeline = self.timeline
        if request.frame >= timeline.frame_count:
            raise CommandError(
                ErrorCode.BAD_VALUE, f"frame {request.frame}: expected 0…{timeline.last_frame}"
            )
        pulls = self._pulls = self._pulls or deque()
        if len(pulls) >= MAX_PULLS:
            raise CommandError(
                ErrorCode.TOO_MANY, f"{MAX_PULLS} requests are waiting: acknowledge data first"
            )
        plan = self._plan
        if isinstance(plan, SegmentPlan):
            frames = plan.segment_frames
            pulls.append(Pull.of(request, DataKind.SEGMENT, timeline.frame_count, frames))
        else:
            pulls.append(Pull.of(request, DataKind.ROW, timeline.frame_count, 1))

    # Out ------------------------------------------------------------------------------------

    @property
    def dropped_frames(self) -> int:
        """Samples passed over since connect, for any reason."""
        return sum(self.dropped.values())

    @property
    def epoch(self) -> int:
        """Changes whenever what is being fetched has become worthless."""
        return self._plan.epoch

    @property
    def owes_state(self) -> bool:
        """Whether `take_states` has something."""
        return bool(self._notices)

    def status(self, now: float) -> Status:
        return Status.BUFFERING if self._buffering else self.timeline.status(now)

    def notify(self, id: CommandId = None) -> None:
        """Owe the client a `state`. Without an id, one that is owed anyway serves as the answer."""
        if id is None and self._notices:
            return
        if len(self._notices) < MAX_NOTICES:
            self._notices.append(id)

    def take_states(self, now: float) -> list[dict[str, Any]]:
        """The `state` messages owed; they are confirmed by this and must be sent before data."""
        if not self._notices:
            return []
        ids, self._notices = self._notices, []
        self._confirmed = self.generation
        self._announced = self.status(now)
        state = self.state(now)
        return [state if id is None else {**state, "id": id} for id in ids]

    def state(self, now: float) -> dict[str, Any]:
        """The `state` message of this moment."""
        timeline = self.timeline
        result: dict[str, Any] = {
            "type": MessageType.STATE.value,
            "status": self.status(now).value,
            "frame": timeline.frame(now),
            "time": round(timeline.position(now) / timeline.frame_rate, 6),
            "speed": timeline.speed,
            "generation": self.generation,
            "dropped": self.dropped_frames,
        }
        if self._grew:
            # `frame` may lie beyond what the client knows of.
            result["live"] = timeline.live
            result["frame_count"] = timeline.frame_count
        if self.room is not None:
            result["room"] = self.room
        return result

    def step(self, now: float) -> Fetch | None:
        """What to send next, or None until `wake` or a further event.

        May owe a `state` afterwards (an end was reached, data is late): ask `take_states` again.
        """
        self.wake = math.inf
        self._watch_status(now)
        choice = self._plan.choose(self.timeline, now)
        fetch = choice.fetch
        pulls = self._pulls
        # In turns with playback, so that neither starves; the answer to a seek goes first.
        if pulls and (fetch is None or (self._pull_turn and self._awaiting_since is None)):
            fetch = pulls[0].ahead
        credit = self.credit
        if fetch is None:
            credit.nothing_waits()
            self._wake_by(choice.due)
            self.patience = choice.patience if self.wake == choice.due else 0.0
            return None
        self.patience = 0.0
        if credit.may_send():
            return fetch
        deadline = credit.wait(now)
        if now >= deadline:
            self.closing = CloseCode.SLOW
        self._wake_by(deadline)
        return None

    def emit(self, fetch: Fetch, now: float) -> DataHeader | None:
        """`fetch` is about to be sent; its header, or None if it has been overtaken meanwhile.

        None also while a generation is not yet confirmed: take and send the states first.
        """
        if self._confirmed != self.generation:
            return None
        if fetch.pull:
            pulls = self._pulls
            if not pulls or pulls[0].ahead is not fetch:
                return None
            if pulls[0].advance():
                self.notify(pulls.popleft().request.id)
            self._pull_turn = False
        elif fetch.epoch != self._plan.epoch:
            self.drop(DropReason.SUPERSEDED, fetch.frame_count)
            return None
        else:
            self._plan.sent(fetch)
            self._pull_turn = True
            if fetch.skipped:
                self.drop(self.credit.obstacle or DropReason.SUPERSEDED, fetch.skipped)
            self._answered(now)
        return DataHeader(
            fetch.kind,
            self.generation,
            self.credit.spend(),
            fetch.first_frame,
            fetch.frame_count,
            fetch.step,
        )

    def drop(self, reason: DropReason, frames: int) -> None:
        """Count samples that were passed over."""
        self.dropped[reason] = self.dropped.get(reason, 0) + frames

    # Inside ---------------------------------------------------------------------------------

    def _watch_status(self, now: float) -> None:
        """Owe a `state` when time alone has changed the status."""
        if self._awaiting_since is not None and not self._buffering:
            late_at = self._awaiting_since + BUFFERING_AFTER
            if now >= late_at:
                self._buffering = True
            else:
                self._wake_by(late_at)
        status = self.status(now)
        if status is not self._announced and not self._notices:
            self.notify()
        if status is Status.PLAYING and self.timeline.running:
            end = 0 if self.timeline.speed < 0 else self.timeline.last_frame
            self._wake_by(self.timeline.time_of(end))

    def _answered(self, now: float) -> None:
        """The first data after a seek is on its way: time passes again."""
        if self._awaiting_since is None:
            return
        self._awaiting_since = None
        self.timeline.release(now)
        if self._buffering:
            self._buffering = False
            self.notify()

    def _wake_by(self, time: float) -> None:
        if time < self.wake:
            self.wake = time
