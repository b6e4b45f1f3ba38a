"""What holds for a viewer whatever its history: clients, stores and sockets of any behaviour."""

from __future__ import annotations

import json
from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streaming.playback.commands import CommandError, Request
from streaming.playback.plan import Fetch
from streaming.playback.playhead import Playhead, playhead_from
from streaming.playback.protocol import DataKind, Encoding
from streaming.playback.viewer import LIVE_BEHIND, DataHeader, Viewer
from tests.effort import many

RATE = 25.0

speeds = st.sampled_from([0.05, 0.5, 1.0, 1.5, 2.0, 3.7, 16.0, 64.0]).flatmap(
    lambda s: st.sampled_from([s, -s])
)


class Model:
    """The playhead as anyone would explain it: add what has passed, exactly."""

    def __init__(self, frame_count: int) -> None:
        self.last = frame_count - 1
        self.position = Fraction(0)
        self.speed = Fraction(1)
        self.playing = False
        self.held = False
        self.following = False

    def pass_time(self, seconds: Fraction) -> None:
        if self.playing and not self.held:
            moved = self.position + seconds * self.speed * Fraction(RATE)
            self.position = min(max(moved, Fraction(0)), Fraction(self.last))


class ViewerHistory(RuleBasedStateMachine):
    """A client, a store that may be slow, a socket that may be full, and time."""

    encoding = Encoding.SEGMENTS

    @initialize(
        frames=st.integers(1, 3000),
        segment_frames=st.sampled_from([10, 25, 50]),
        window=st.integers(1, 32),
        lead=st.sampled_from([0.25, 2.0, 8.0]),
        max_fps=st.sampled_from([None, 1.0, 5.0, 25.0, 60.0]),
        live=st.booleans(),
    )
    def connect(
        self,
        frames: int,
        segment_frames: int,
        window: int,
        lead: float,
        max_fps: float | None,
        live: bool,
    ) -> None:
        self.now = 1000.0
        self.frames = frames
        self.segment_frames = segment_frames
        self.live = live
        self.asked: dict[str, Any] = {"lead": lead, "window": window, "max_fps": max_fps}
        self.model = Model(frames)
        self.confirmed = 0
        self.open(None)

    def open(self, start: Playhead | None) -> None:
        """A new connection of the same client."""
        self.viewer = Viewer(
            frame_count=self.frames,
            frame_rate=RATE,
            segment_frames=self.segment_frames,
            now=self.now,
            encoding=self.encoding,
            live=self.live,
            start=start,
            **self.asked,
        )
        self.sent: list[DataHeader] = []
        self.sent_since_plan: list[DataHeader] = []
        self.plan = self.viewer.epoch
        self.fetching: Fetch | None = None
        self.socket_full = False

    # What the client does.

    @rule(speed=st.none() | speeds)
    def play(self, speed: float | None) -> None:
        self.viewer.play(self.now, speed)
        self.model.playing = True
        if speed is not None:
            self.model.following = False
            self.model.speed = Fraction(speed)

    @rule()
    def pause(self) -> None:
        self.viewer.pause(self.now)
        self.model.following = False
        self.model.playing = False

    @rule(speed=speeds)
    def set_speed(self, speed: float) -> None:
        self.viewer.set_speed(speed, self.now)
        self.model.following = False
        self.model.speed = Fraction(speed)

    @rule(share=st.floats(0, 1))
    def seek(self, share: float) -> None:
        frame = round(share * (self.frames - 1))
        self.viewer.seek(self.now, frame=frame)
        self.model.following = False
        self.model.position, self.model.held = Fraction(frame), True

    @rule(shares=st.lists(st.floats(0, 1), min_size=2, max_size=60))
    def flood_of_seeks(self, shares: list[float]) -> None:
        """Only the last of many seeks is answered."""
        for share in shares:
            self.seek(share)
        before = len(self.sent)
        states = self.viewer.take_states(self.now)
        assert [s["generation"] for s in states] == [self.viewer.generation]
        self.confirmed = self.viewer.generation
        self.run_pump(most=1)
        if not self.can_be_had(int(self.model.position)):
            return
        for header in self.sent[before:]:
            self.assert_shows(header, int(self.model.position))

    @rule(excess=st.integers(1, 1000))
    def seek_beyond_the_end(self, excess: int) -> None:
        before = self.viewer.state(self.now)
        with pytest.raises(CommandError):
            self.viewer.seek(self.now, frame=self.frames - 1 + excess)
        assert self.viewer.state(self.now) == before

    @rule(frame=st.integers(0, 2999), frames=st.integers(1, 60), stride=st.sampled_from([1, 4]))
    def on_request(self, frame: int, frames: int, stride: int) -> None:
        if frame < self.frames:
            with suppress(CommandError):  # too many of them wait
                self.viewer.request(Request(frame, frames, stride))

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        viewer = self.viewer
        viewer.acknowledge(viewer.credit.acked + round(share * viewer.credit.in_flight))

    @rule()
    def come_back(self) -> None:
        """On another worker, with what the token says: nothing else goes from one to the other."""
        before = self.viewer.state(self.now)
        said = json.dumps(self.viewer.playhead(self.now)._asdict())
        self.open(playhead_from(json.loads(said)))
        after = self.viewer.state(self.now)
        for name in ("frame", "time", "speed", "generation"):
            assert after[name] == before[name], name
        assert self.viewer.owes_state
        self.model.held = True
        self.model.following = False

    @precondition(lambda self: self.live)
    @rule()
    def go_live(self) -> None:
        self.viewer.go_live(self.now)
        behind = Fraction(RATE) * Fraction(0 if self.encoding is Encoding.ROWS else LIVE_BEHIND)
        self.model.position, self.model.held = max(Fraction(0), self.frames - 1 - behind), True
        self.model.speed, self.model.playing = Fraction(1), True
        self.model.following = self.encoding is Encoding.ROWS

    # What happens to it.

    @precondition(lambda self: self.live)
    @rule(frames=st.integers(1, 200))
    def the_live_edge_moves(self, frames: int) -> None:
        self.frames += frames
        self.model.last = self.frames - 1
        if self.model.following:
            # Rows at the edge show the newest frame when it comes.
            self.model.position = Fraction(self.frames - 1)
        self.viewer.extend(self.frames, self.now, live=True)
        assert self.viewer.wake <= self.now

    @precondition(lambda self: self.live)
    @rule()
    def the_live_session_ends(self) -> None:
        self.live = False
        self.viewer.extend(self.frames, self.now, live=False)

    @rule(seconds=st.floats(0.001, 10))
    def time_passes(self, seconds: float) -> None:
        before = self.now
        self.now += seconds
        self.model.pass_time(Fraction(self.now) - Fraction(before))

    @rule()
    def socket_fills(self) -> None:
        self.viewer.credit.transport_paused()
        self.socket_full = True

    @rule()
    def socket_drains(self) -> None:
        self.viewer.credit.transport_writable()
        self.socket_full = False

    @rule(most=st.integers(1, 40))
    def run_pump(self, most: int) -> None:
        """A fast store: what is due is sent at once."""
        for _ in range(most):
            self.take_states()
            fetch = self.viewer.step(self.now)
            if fetch is None:
                return
            self.deliver(fetch)

    @precondition(lambda self: self.fetching is None)
    @rule()
    def begin_slow_read(self) -> None:
        self.take_states()
        self.fetching = self.viewer.step(self.now)

    @precondition(lambda self: self.fetching is not None)
    @rule()
    def end_slow_read(self) -> None:
        """It may have been overtaken by anything meanwhile; also by the socket."""
        fetch, self.fetching = self.fetching, None
        assert fetch is not None
        self.take_states()
        if not self.socket_full and self.viewer.credit.left:
            self.deliver(fetch)

    def take_states(self) -> None:
        for state in self.viewer.take_states(self.now):
            assert state["generation"] >= self.confirmed
            self.confirmed = state["generation"]

    def deliver(self, fetch: Fetch) -> None:
        header = self.viewer.emit(fetch, self.now)
        if header is None:
            return
        if not fetch.on_request:
            if self.live and header.kind is DataKind.SEGMENT:
                assert header.frame_count == self.segment_frames, "it will change"
            self.model.held = False
            if self.viewer.epoch != self.plan:
                self.plan, self.sent_since_plan = self.viewer.epoch, []
            self.sent_since_plan.append(header)
        self.sent.append(header)
        self.assert_sendable(header)

    # What must hold.

    def assert_sendable(self, header: DataHeader) -> None:
        assert not self.socket_full
        assert header.generation == self.confirmed, "older than the confirmed generation"
        assert header.seq == len(self.sent)
        last = header.first_frame + (header.frame_count - 1) * abs(header.step)
        assert 0 <= header.first_frame <= last < self.frames, "a range that does not exist"
        assert header.frame_count >= 1
        if header.kind is DataKind.SEGMENT:
            assert header.first_frame % (self.segment_frames * abs(header.step)) == 0
            assert header.frame_count <= self.segment_frames

    def assert_shows(self, header: DataHeader, frame: int) -> None:
        span = abs(header.step) * (header.frame_count - 1) + abs(header.step)
        assert header.first_frame <= frame < header.first_frame + span

    @invariant()
    def never_more_than_window_in_flight(self) -> None:
        if hasattr(self, "viewer"):
            assert 0 <= self.viewer.credit.in_flight <= (self.viewer.credit.window or 0)

    @invariant()
    def never_more_than_max_fps(self) -> None:
        if hasattr(self, "viewer") and self.viewer.timeline.playing:
            assert self.viewer.target_fps <= self.viewer.max_fps + 1e-9

    @invariant()
    def playhead_is_exact(self) -> None:
        if hasattr(self, "viewer"):
            there = self.viewer.timeline.position(self.now)
            assert abs(there - float(self.model.position)) < 1e-5

    @rule()
    def nothing_starves_when_credit_returns(self) -> None:
        """With credit and a writable socket, the picture at the playhead is on its way."""
        self.socket_drains()
        for _ in range(1000):
            self.viewer.acknowledge(self.viewer.credit.sent)
            self.take_states()
            fetch = self.viewer.step(self.now)
            if fetch is None:
                break
            self.deliver(fetch)
        else:
            raise AssertionError("it never stops sending")
        assert self.viewer.wake > self.now
        if not self.can_be_had(self.viewer.timeline.frame(self.now)):
            return
        assert self.viewer.epoch == self.plan, "nothing was sent for the present plan"
        self.assert_has_picture()

    def can_be_had(self, frame: int) -> bool:
        """Whether there is something to be sent: of a live session, whole segments only."""
        if not self.live:
            return True
        span = self.viewer.stride * self.segment_frames
        return (frame // span + 1) * span <= self.frames

    def assert_has_picture(self) -> None:
        here = self.viewer.timeline.frame(self.now)
        for header in self.sent_since_plan:
            span = abs(header.step) * self.segment_frames
            if header.first_frame <= here < header.first_frame + span:
                return
        raise AssertionError(f"frame {here} is in nothing that was sent")


class RowViewerHistory(ViewerHistory):
    encoding = Encoding.ROWS

    def can_be_had(self, frame: int) -> bool:
        return True

    def assert_shows(self, header: DataHeader, frame: int) -> None:
        assert header.first_frame == frame

    def assert_has_picture(self) -> None:
        """The newest row on the grid, as seen in the direction of play."""
        here = self.viewer.timeline.frame(self.now)
        last = self.sent_since_plan[-1]
        behind = (last.first_frame - here) if last.step < 0 else (here - last.first_frame)
        assert 0 <= behind < abs(last.step) or behind == 0

    @invariant()
    def rows_go_one_way(self) -> None:
        for earlier, later in zip(
            self.__dict__.get("sent_since_plan", ())[:-1],
            self.__dict__.get("sent_since_plan", ())[1:],
            strict=True,
        ):
            way = later.first_frame - earlier.first_frame
            assert way * later.step >= 0


_often = settings(
    max_examples=many(40),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSegments = ViewerHistory.TestCase
TestSegments.settings = _often
TestRows = RowViewerHistory.TestCase
TestRows.settings = _often
