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
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

from .commands import CommandError, CommandId, Request
from .credit import Credit, DropReason
from .plan import Fetch, RangePlan, RowPlan, SegmentPlan, segment_stride_for, step_for
from .playhead import Playhead
from .protocol import (
    ACKNOWLEDGE_WITHIN,
    BUFFERING_AFTER,
    MAX_FRAME,
    CloseCode,
    DataKind,
    Encoding,
    ErrorCode,
    MessageType,
    Status,
)
from .timeline import Timeline

MAX_REQUESTS = 8
"""Requests kept while earlier ones are answered: enough to prefetch, not enough to hoard."""

MAX_STATES_OWED = 256
"""Answers kept while the transport is paused; the rate limit lets no honest client reach it."""


LIVE_BEHIND = 2.0
"""Seconds behind the edge at which segments are followed: the newest is at most one second from
being whole and another half from being noticed. Nearer, the picture would stop each second."""

PICTURE_WINDOW = 2
"""Pictures on their way to one viewer: the next is sent when the last but one has arrived, so that
a line of 500 kbit/s is not a second behind."""

CATCH_UP_SPEED = 1.05
"""Of a viewer that returns to the edge without a jump: nobody notices."""

ROOM_TOLERANCE = 0.5
"""Seconds of wall time by which a shared playhead may differ before following it is a seek."""


class DataHeader(NamedTuple):
    """The part of a data message that is this viewer's own, in wire order."""

    kind: DataKind
    generation: int
    seq: int
    first_frame: int
    frame_count: int
    step: int


class Viewer:
    """See the module. All times are seconds of one monotonic clock.

    Attributes:
        timeline: the playhead, and whether time passes.
        generation: of the last seek; data of an older one is never emitted.
        room: whose timeline it shares, or None.
        credit: what may be sent; the transport's pauses go there.
        max_fps: samples a second of wall time that the client wants at most.
        wake: when `step` should be called again if nothing happens before; infinity for never.
        slack: seconds by which that may be later.
        closing: the code that the connection is to be closed with, or None.
        dropped: samples since connect that were passed over, by reason.
    """

    __slots__ = (
        "_awaiting_since",
        "_buffering",
        "_catching_up",
        "_confirmed",
        "_following",
        "_next_picture",
        "_picture_pause",
        "_pictures",
        "_plan",
        "_range_turn",
        "_ranges",
        "_sent_status",
        "_states_owed",
        "_was_live",
        "closing",
        "credit",
        "dropped",
        "generation",
        "max_fps",
        "room",
        "slack",
        "timeline",
        "wake",
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
        pictures: bool = False,
    ) -> None:
        """Make a viewer that is paused at its first frame, or at `start`.

        Args:
            frame_count: frames that there are now; a live session grows by `extend`.
            frame_rate: frames a second.
            segment_frames: frames in a segment of the recording.
            now: the time at which it is made.
            encoding: segments or rows.
            lead: seconds of segments that are sent ahead of the playhead.
            window: messages that may be unacknowledged; None for a client that cannot acknowledge,
                which the transport alone bounds.
            max_fps: samples a second of wall time at most; None means `frame_rate`.
            live: whether the session grows.
            start: the playhead of a resume token.
            acknowledge_within: seconds that data may wait for an acknowledgement or the transport.
            pictures: of a session of pictures, of which only the newest is there.
        """
        if pictures:
            window = min(window or PICTURE_WINDOW, PICTURE_WINDOW)
        self.timeline = Timeline(frame_count, frame_rate, now, live=live)
        self.max_fps = max_fps or frame_rate
        self.generation = 0
        self.room: str | None = None
        self.wake = now
        self.slack = 0.0
        self.credit = Credit(window, acknowledge_within)
        self.dropped: dict[DropReason, int] = {}
        self.closing: CloseCode | None = None
        # What to send next, and from where on; fetches of an older plan have another epoch.
        self._plan = (
            SegmentPlan(segment_frames, lead)
            if encoding is Encoding.SEGMENTS and not pictures
            else RowPlan()
        )
        # Since when the first data after a seek is owed, and whether `buffering` was sent.
        self._awaiting_since: float | None = None
        self._buffering = False
        # Requests outside playback, and whether it is their turn.
        self._ranges: deque[RangePlan] | None = None
        self._range_turn = False
        # Ids of the `state` messages that are owed.
        self._states_owed: list[CommandId] = []
        # Generation and status of the last `state` that was sent.
        self._confirmed = -1
        self._sent_status = Status.PAUSED
        # Whether rows stay at the newest frame, and whether the edge is being caught up with.
        self._following = self._catching_up = False
        # Whether the session was ever live: only then has `state` a `frame_count`.
        self._was_live = live
        self._pictures = pictures
        self._picture_pause = 1.0 / max_fps if pictures and max_fps else 0.0
        self._next_picture = now
        if pictures:
            self._following = self.timeline.playing = True
            self._move_to(self.timeline.last_frame, now)
            start = None
        if start is not None:
            self.timeline.speed = start.speed
            self.timeline.playing = start.playing
            self.generation = start.generation
            self._move_to(start.frame, now)
            self.notify()
        else:
            self._confirmed = 0

    # Commands -------------------------------------------------------------------------------

    def play(self, now: float, speed: float | None = None, id: CommandId = None) -> None:
        """Play. At an end the viewer stays ended until a seek or another direction.

        Args:
            now: seconds of the viewer's monotonic clock, as everywhere here.
            speed: 0.05…64, negative backwards; None keeps the present speed.
            id: of the command; the `state` that answers carries it.
        """
        if self._pictures:
            self._following = True
        elif speed is not None:
            self._leave_edge()
            self.timeline.set_speed(speed, now)
        self.timeline.play(now)
        self._replan()
        self.notify(id)

    def pause(self, now: float, id: CommandId = None) -> None:
        """Pause at exactly this frame, whatever stride was playing. Args: as `play`."""
        self._leave_edge()
        self.timeline.pause(now)
        self._replan()
        self.notify(id)

    def set_speed(self, speed: float, now: float, id: CommandId = None) -> None:
        """Change the speed; the playhead stays where it is. Args: as `play`."""
        self._refuse_history()
        self._leave_edge()
        self.timeline.set_speed(speed, now)
        self._replan()
        self.notify(id)

    def seek(
        self,
        now: float,
        *,
        frame: int | None = None,
        time: float | None = None,
        generation: int | None = None,
        id: CommandId = None,
    ) -> None:
        """Seek to a frame, or to a time in seconds from the start.

        Args:
            now: seconds of the viewer's monotonic clock.
            frame: number of the frame; exactly one of frame and time is given.
            time: seconds from frame 0.
            generation: chosen by the client, above the present one; None adds 1.
            id: of the command.

        Raises:
            CommandError: no such frame, or not a newer generation. Nothing has changed.
        """
        self._refuse_history()
        target = self.target(frame, time)
        self._raise_generation(generation)
        self._leave_edge()
        self._move_to(target, now)
        self.notify(id)

    def target(self, frame: int | None, time: float | None) -> float:
        """The frame that a seek means. Raises: CommandError if it does not exist."""
        timeline = self.timeline
        if timeline.frame_count == 0:
            raise CommandError(ErrorCode.NOT_READY, "there is no frame yet: wait for one")
        if frame is not None:
            if frame > timeline.last_frame:
                raise CommandError(
                    ErrorCode.BAD_VALUE, f"frame {frame}: expected 0…{timeline.last_frame}"
                )
            return float(frame)
        duration = timeline.frame_count / timeline.frame_rate
        if time is None or time > duration:
            raise CommandError(ErrorCode.BAD_VALUE, f"time {time}: expected 0…{duration:g} s")
        return min(time * timeline.frame_rate, float(timeline.last_frame))

    def check_generation(self, generation: int | None) -> None:
        """Raises: CommandError if a seek may not have that generation."""
        if generation is not None and generation <= self.generation:
            raise CommandError(
                ErrorCode.BAD_VALUE,
                f"generation {generation}: expected more than {self.generation}, or none",
            )
        if generation is None and self.generation >= MAX_FRAME:
            raise CommandError(ErrorCode.BAD_VALUE, "generations are used up: connect again")

    def go_live(self, now: float, id: CommandId = None, *, catch_up: bool = False) -> None:
        """Go to the edge and follow it: rows at the newest frame, segments at LIVE_BEHIND.

        Args:
            now: seconds of the viewer's clock.
            id: of the command.
            catch_up: play on at CATCH_UP_SPEED until the edge is reached, instead of a jump.

        Raises: CommandError on a finished recording.
        """
        if not self.timeline.live:
            raise CommandError(
                ErrorCode.NOT_LIVE, "this session is a finished recording: seek instead"
            )
        if catch_up:
            self._catching_up = True
            self.timeline.set_speed(CATCH_UP_SPEED, now)
            self.timeline.play(now)
            self._replan()
            self.notify(id)
            return
        self._raise_generation(None)
        self.timeline.speed = 1.0
        self.timeline.playing = True
        self._catching_up = False
        self._following = isinstance(self._plan, RowPlan)
        self._move_to(self.timeline.last_frame - self._live_behind, now)
        self.notify(id)

    @property
    def at_edge(self) -> bool:
        """Whether every frame is sent when it comes: rows and pictures at the edge."""
        return self._following

    @property
    def _live_behind(self) -> float:
        """Frames behind the edge at which it is followed."""
        if isinstance(self._plan, SegmentPlan):
            return LIVE_BEHIND * self.timeline.frame_rate
        return 0.0

    def _refuse_history(self) -> None:
        """Raises: CommandError in a session of pictures, of which only the newest is there."""
        if self._pictures:
            raise CommandError(
                ErrorCode.BAD_VALUE, "of pictures only the newest is there: play, pause or live"
            )

    def _leave_edge(self) -> None:
        self._following = self._catching_up = False

    def _caught_up(self, now: float) -> None:
        """The edge is reached: follow it at its own speed."""
        timeline = self.timeline
        self._catching_up = False
        self._following = isinstance(self._plan, RowPlan) and timeline.live
        timeline.set_speed(1.0, now)
        self._replan()
        self.notify()

    def follow(
        self,
        playhead: Playhead,
        at: float,
        now: float,
        *,
        sought: bool,
        generation: int | None = None,
        id: CommandId = None,
    ) -> None:
        """Take over a room's playhead.

        Args:
            playhead: of the room at time `at`.
            at: seconds of the viewer's clock; may be in the past.
            now: seconds of the viewer's clock.
            sought: whether a member sought. If not, it counts as a seek only if this viewer's
                playhead is more than `ROOM_TOLERANCE` away.
            generation: chosen by this client, if the seek was its own.
            id: of this client's command, if it caused the change.
        """
        self._leave_edge()
        timeline = self.timeline
        before = timeline.position(now)
        timeline.seek(playhead.frame, at)
        timeline.speed = playhead.speed
        timeline.playing = playhead.playing
        after = timeline.position(now)
        far = abs(after - before) > ROOM_TOLERANCE * abs(timeline.velocity)
        if sought or far:
            self.generation = max(self.generation + 1, generation or 0)
            self._await_data(now)
        else:
            self._replan()
        self.notify(id)

    def refresh(self, now: float) -> None:
        """Send again from the playhead on, as if nothing had been sent (an operator's command)."""
        self._plan.restart(self._step(), backwards=self.timeline.speed < 0)
        self.wake = now

    def playhead(self, now: float) -> Playhead:
        """Where this viewer is, for a token or a room."""
        timeline = self.timeline
        return Playhead(
            timeline.position(now), timeline.speed, timeline.playing, self.generation, self.room
        )

    def extend(self, frame_count: int, now: float, *, live: bool) -> None:
        """Set the frames of a live session, or that it is live no more.

        Owes the client a `state` once for each second of new frames.

        Args:
            frame_count: frames that exist now.
            now: seconds of the viewer's clock.
            live: whether more will come.
        """
        timeline = self.timeline
        seconds, was_live = int(timeline.frame_count / timeline.frame_rate), timeline.live
        reached = timeline.position(now) >= timeline.last_frame - self._live_behind
        timeline.extend(frame_count, now, live=live)
        if self._catching_up:
            if reached or not live:
                self._caught_up(now)
        elif self._following:
            # Rows show the newest frame when it comes, not when the playhead would reach it.
            timeline.seek(timeline.last_frame, now, hold=timeline.held)
        if not live:
            self._following = False
        if int(timeline.frame_count / timeline.frame_rate) > seconds or live != was_live:
            self.notify()
        self.wake = now

    @property
    def stride(self) -> int:
        """Frames between the samples that are sent."""
        return self._step()

    @property
    def target_fps(self) -> float:
        """Samples per second of wall time that playing at this speed takes."""
        return abs(self.timeline.velocity) / self._step()

    # From the client --------------------------------------------------------------------------

    def acknowledge(self, seq: int) -> bool:
        """Count an acknowledgement.

        Args:
            seq: all data messages up to it have arrived.

        Returns:
            Whether data waited for that credit.

        Raises:
            CommandError: no message of that number was sent.
        """
        if seq > self.credit.sent:
            raise CommandError(
                ErrorCode.BAD_VALUE,
                f"seq {seq}: expected at most {self.credit.sent}, the last one sent",
            )
        return self.credit.acknowledge(seq)

    def request(self, request: Request) -> None:
        """Send a range outside playback, in turns with it.

        Raises:
            CommandError: the first frame does not exist, or `MAX_REQUESTS` requests wait.
        """
        self._refuse_history()
        timeline = self.timeline
        if request.frame >= timeline.frame_count:
            raise CommandError(
                ErrorCode.BAD_VALUE, f"frame {request.frame}: expected 0…{timeline.last_frame}"
            )
        ranges = self._ranges = self._ranges or deque()
        if len(ranges) >= MAX_REQUESTS:
            raise CommandError(
                ErrorCode.TOO_MANY, f"{MAX_REQUESTS} requests are waiting: acknowledge data first"
            )
        plan = self._plan
        if isinstance(plan, SegmentPlan):
            frames = plan.segment_frames
            ranges.append(RangePlan.of(request, DataKind.SEGMENT, timeline.frame_count, frames))
        else:
            ranges.append(RangePlan.of(request, DataKind.ROW, timeline.frame_count, 1))

    # Out ------------------------------------------------------------------------------------

    @property
    def dropped_frames(self) -> int:
        """Samples passed over since connect, for any reason."""
        return sum(self.dropped.values())

    @property
    def epoch(self) -> int:
        """Number of the present plan. A fetch of another epoch is not sent any more."""
        return self._plan.epoch

    @property
    def owes_state(self) -> bool:
        """Whether `take_states` has something."""
        return bool(self._states_owed)

    def status(self, now: float) -> Status:
        return Status.BUFFERING if self._buffering else self.timeline.status(now)

    def notify(self, id: CommandId = None) -> None:
        """Owe the client a `state`. Without an id, one that is owed anyway serves as the answer."""
        if id is None and self._states_owed:
            return
        if len(self._states_owed) < MAX_STATES_OWED:
            self._states_owed.append(id)

    def take_states(self, now: float) -> list[dict[str, Any]]:
        """Return the `state` messages owed, one for each command id.

        This confirms their generation: they must be sent before any further data.
        """
        if not self._states_owed:
            return []
        ids, self._states_owed = self._states_owed, []
        self._confirmed = self.generation
        self._sent_status = self.status(now)
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
        if self._was_live:
            # `frame` may lie beyond what the client knows of.
            result["live"] = timeline.live
            result["frame_count"] = timeline.frame_count
            if timeline.live:
                behind = timeline.last_frame - timeline.position(now)
                result["behind"] = round(behind / timeline.frame_rate, 3)
        if self.room is not None:
            result["room"] = self.room
        return result

    def step(self, now: float) -> Fetch | None:
        """Choose what to send next.

        May owe a `state` afterwards (an end was reached, data is late): call `take_states` again.

        Returns:
            What to get from the frame store; None if nothing is due before `wake` or a further
            event. `closing` is set if data has waited too long.
        """
        self.wake = math.inf
        self._watch_status(now)
        if now < self._next_picture:
            self._wake_by(self._next_picture)
            return None
        choice = self._plan.choose(self.timeline, now)
        fetch = choice.fetch
        if fetch is not None and self._pictures:
            fetch = fetch._replace(kind=DataKind.MEDIA)
        ranges = self._ranges
        # In turns with playback, so that neither starves; the answer to a seek goes first.
        if ranges and (fetch is None or (self._range_turn and self._awaiting_since is None)):
            fetch = ranges[0].ahead
        credit = self.credit
        if fetch is None:
            credit.nothing_waits()
            self._wake_by(choice.due)
            self.slack = choice.slack if self.wake == choice.due else 0.0
            return None
        self.slack = 0.0
        if credit.may_send():
            return fetch
        deadline = credit.wait(now)
        if now >= deadline:
            self.closing = CloseCode.SLOW
        self._wake_by(deadline)
        return None

    def emit(self, fetch: Fetch, now: float) -> DataHeader | None:
        """Confirm a fetch just before its payload is sent; this spends credit.

        Args:
            fetch: from `step`.
            now: seconds of the viewer's clock.

        Returns:
            The header; None if the fetch is of an older plan by now, or if the `state` of a new
            generation must be sent first.
        """
        if self._confirmed != self.generation:
            return None
        if fetch.on_request:
            ranges = self._ranges
            if not ranges or ranges[0].ahead is not fetch:
                return None
            if ranges[0].advance():
                self.notify(ranges.popleft().request.id)
            self._range_turn = False
        elif fetch.epoch != self._plan.epoch:
            self.drop(DropReason.SUPERSEDED, fetch.frame_count)
            return None
        else:
            self._plan.sent(fetch)
            self._range_turn = True
            self._next_picture = now + self._picture_pause
            if fetch.skipped:
                self.drop(self.credit.blocked_by or DropReason.SUPERSEDED, fetch.skipped)
            self._data_sent(now)
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

    def _raise_generation(self, generation: int | None) -> None:
        self.check_generation(generation)
        self.generation = self.generation + 1 if generation is None else generation

    def _move_to(self, frame: float, now: float) -> None:
        self.timeline.seek(frame, now, hold=True)
        self._await_data(now)

    def _await_data(self, now: float) -> None:
        """Restart the plan; the next data is the answer to a seek."""
        self._plan.restart(self._step(), backwards=self.timeline.speed < 0)
        self._awaiting_since = now
        self._buffering = False

    def _replan(self) -> None:
        """After a change of speed or status: start again if that needs other samples."""
        step, backwards = self._step(), self.timeline.speed < 0
        plan = self._plan
        planned = plan.stride if isinstance(plan, SegmentPlan) else plan.step
        if step != planned or backwards != plan.backwards:
            plan.restart(step, backwards=backwards)

    def _step(self) -> int:
        """Frames between samples. Paused, the exact frame is shown, so 1."""
        timeline = self.timeline
        if not timeline.playing or self._pictures:
            return 1
        choose = segment_stride_for if isinstance(self._plan, SegmentPlan) else step_for
        return choose(timeline.speed, timeline.frame_rate, self.max_fps)

    def _watch_status(self, now: float) -> None:
        """Owe a `state` when time alone has changed the status."""
        if self._awaiting_since is not None and not self._buffering:
            late_at = self._awaiting_since + BUFFERING_AFTER
            if now >= late_at:
                self._buffering = True
            else:
                self._wake_by(late_at)
        status = self.status(now)
        if status is not self._sent_status and not self._states_owed:
            self.notify()
        if status is Status.PLAYING and self.timeline.running:
            end = 0 if self.timeline.speed < 0 else self.timeline.last_frame
            self._wake_by(self.timeline.time_of(end))

    def _data_sent(self, now: float) -> None:
        """After the first data that follows a seek: let time pass again."""
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
