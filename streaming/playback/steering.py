"""Steering: what commands do to a playhead, to what is to be sent, and to the generation. Pure.

The half of a viewer that commands go into; what comes out is in `viewer.py`.
"""

from __future__ import annotations

from .commands import CommandError, CommandId
from .plan import RowPlan, SegmentPlan, segment_stride_for, step_for
from .playhead import Playhead
from .protocol import MAX_FRAME, Encoding, ErrorCode
from .timeline import Timeline

LIVE_BEHIND = 2.0
"""Seconds behind the edge at which segments are followed: the newest is at most one second from
being whole and another half from being noticed. Nearer, the picture would stop each second."""

ROOM_TOLERANCE = 0.5
"""Seconds of wall time by which a shared playhead may differ before following it is a seek."""


class Steering:
    """A playhead that a client, a room or an operator steers. Times are seconds of one clock.

    `wake`: when to look again for what is to be sent. `max_fps`: samples a second of wall time.
    `generation`: of the last seek. `room`: whose timeline it shares, or None.
    """

    __slots__ = (
        "_awaiting_since",
        "_buffering",
        "_plan",
        "generation",
        "max_fps",
        "room",
        "timeline",
        "wake",
    )

    def __init__(
        self,
        timeline: Timeline,
        encoding: Encoding,
        now: float,
        *,
        segment_frames: int,
        lead: float,
        max_fps: float,
    ) -> None:
        self.timeline = timeline
        self.max_fps = max_fps
        self.generation = 0
        self.room: str | None = None
        self.wake = now
        self._plan = (
            SegmentPlan(segment_frames, lead) if encoding is Encoding.SEGMENTS else RowPlan()
        )
        self._awaiting_since: float | None = None
        self._buffering = False

    def notify(self, id: CommandId = None) -> None:
        """The client is to be told of the new state, as the answer to `id` if that is given."""
        raise NotImplementedError

    def play(self, now: float, speed: float | None = None, id: CommandId = None) -> None:
        """Let time pass. At an end it stays ended until a seek or another direction."""
        if speed is not None:
            self.timeline.set_speed(speed, now)
        self.timeline.play(now)
        self._replan()
        self.notify(id)

    def pause(self, now: float, id: CommandId = None) -> None:
        """Let it stand still, at exactly that frame, whatever stride was playing."""
        self.timeline.pause(now)
        self._replan()
        self.notify(id)

    def set_speed(self, speed: float, now: float, id: CommandId = None) -> None:
        """speed: 0.05…64, negative backwards; the playhead stays where it is."""
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
        """Go to a frame, or to a time in seconds from the start. Raises: CommandError."""
        target = self.target(frame, time)
        self._raise_generation(generation)
        self._go(target, now)
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

    def go_live(self, now: float, id: CommandId = None) -> None:
        """Go to the edge and follow it: rows at the newest frame, segments at LIVE_BEHIND.

        Raises: CommandError on a finished recording.
        """
        if not self.timeline.live:
            raise CommandError(
                ErrorCode.NOT_LIVE, "this session is a finished recording: seek instead"
            )
        self._raise_generation(None)
        self.timeline.speed = 1.0
        self.timeline.playing = True
        behind = LIVE_BEHIND if isinstance(self._plan, SegmentPlan) else 0.0
        self._go(self.timeline.last_frame - behind * self.timeline.frame_rate, now)
        self.notify(id)

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
        """Take over a room's playhead, which was at `playhead.frame` at time `at`.

        sought: someone sought; otherwise it is one only if our playhead is somewhere else.
        generation: wished by our client, if the seek was its own.
        """
        timeline = self.timeline
        before = timeline.position(now)
        timeline.seek(playhead.frame, at)
        timeline.speed = playhead.speed
        timeline.playing = playhead.playing
        after = timeline.position(now)
        far = abs(after - before) > ROOM_TOLERANCE * abs(timeline.velocity)
        if sought or far:
            self.generation = max(self.generation + 1, generation or 0)
            self._await(now)
        else:
            self._replan()
        self.notify(id)

    def refresh(self, now: float) -> None:
        """Send again from the playhead on, as if nothing had been sent (an operator's wish)."""
        self._plan.restart(self._step(), backwards=self.timeline.speed < 0)
        self.wake = now

    def playhead(self, now: float) -> Playhead:
        """Where this viewer is, for a token or a room."""
        timeline = self.timeline
        return Playhead(
            timeline.position(now), timeline.speed, timeline.playing, self.generation, self.room
        )

    def extend(self, frame_count: int, now: float, *, live: bool) -> None:
        """The session has more frames now, or stopped being live: the client is told, once for
        each second that has come."""
        timeline = self.timeline
        seconds, was_live = int(timeline.frame_count / timeline.frame_rate), timeline.live
        timeline.extend(frame_count, now, live=live)
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

    # Inside ---------------------------------------------------------------------------------

    def _raise_generation(self, generation: int | None) -> None:
        self.check_generation(generation)
        self.generation = self.generation + 1 if generation is None else generation

    def _go(self, frame: float, now: float) -> None:
        self.timeline.seek(frame, now, hold=True)
        self._await(now)

    def _await(self, now: float) -> None:
        """What was sent is worthless; the next data is the answer to a seek."""
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
        """Frames between samples. Paused, every frame counts: the picture is looked at."""
        timeline = self.timeline
        if not timeline.playing:
            return 1
        choose = segment_stride_for if isinstance(self._plan, SegmentPlan) else step_for
        return choose(timeline.speed, timeline.frame_rate, self.max_fps)
