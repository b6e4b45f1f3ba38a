"""The viewer's rules one by one, on a clock of our own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from streaming.playback.commands import CommandError, Request
from streaming.playback.credit import DropReason
from streaming.playback.plan import stride_for
from streaming.playback.playhead import Playhead
from streaming.playback.protocol import STRIDES, CloseCode, Encoding, ErrorCode, Status
from streaming.playback.viewer import DataHeader, Viewer


def viewer(**options) -> Viewer:
    defaults = {
        "frame_count": 3000,
        "frame_rate": 25.0,
        "segment_frames": 25,
        "now": 0.0,
        "encoding": Encoding.SEGMENTS,
        "lead": 8.0,
        "window": 8,
    }
    return Viewer(**{**defaults, **options})


def pump(v: Viewer, now: float) -> list[DataHeader]:
    """Send what is due."""
    sent: list[DataHeader] = []
    while True:
        v.take_states(now)
        fetch = v.step(now)
        if fetch is None:
            if not v.owes_state:
                return sent
            continue
        header = v.emit(fetch, now)
        if header is not None:
            sent.append(header)


def firsts(headers: list[DataHeader]) -> list[int]:
    return [h.first_frame for h in headers]


def test_it_works() -> None:
    v = viewer()
    assert firsts(pump(v, 0.0)) == [0], "the picture at frame 0"
    v.play(1.0)
    assert firsts(pump(v, 1.0)) == [25, 50, 75, 100, 125, 150, 175]
    assert v.credit.left == 0


def test_several_segments_leave_in_one_wake_up() -> None:
    v = viewer(window=32)
    v.play(0.0)
    pump(v, 0.0)
    wake_ups = []
    now = 0.0
    while now < 60:
        assert v.wake > now
        now = v.wake
        wake_ups.append(len(pump(v, now)))
        v.acknowledge(v.credit.sent)
    assert len(wake_ups) <= 16
    assert min(wake_ups) >= 4


def test_only_a_viewer_with_seconds_in_hand_is_patient() -> None:
    v = viewer(window=32)
    v.seek(0.0, frame=100)
    v.take_states(0.0)
    v.step(0.0)
    assert v.slack == 0.0, "the answer to a seek waits for nobody"
    v.play(0.0)
    pump(v, 0.0)
    assert 0.0 < v.slack <= 0.5
    end = viewer(window=32, frame_count=50)
    end.play(0.0)
    pump(end, 0.0)
    assert end.slack == 0.0, "it wakes to say that it has ended"
    rows = viewer(encoding=Encoding.ROWS)
    rows.play(0.0)
    pump(rows, 0.0)
    assert rows.slack == 0.0


def test_a_seek_answers_paused_too_and_then_is_silent() -> None:
    v = viewer()
    pump(v, 0.0)
    v.seek(1.0, frame=1234)
    assert firsts(pump(v, 1.0)) == [1225]
    assert v.wake == math.inf
    assert v.state(50.0)["frame"] == 1234


def test_the_clock_of_a_seek_starts_with_its_first_data() -> None:
    v = viewer(window=1)
    v.play(0.0)
    pump(v, 0.0)
    v.seek(1.0, frame=1000)
    assert pump(v, 1.0) == [], "no credit"
    assert v.state(9.0)["frame"] == 1000
    v.acknowledge(1)
    pump(v, 9.0)
    assert v.state(10.0)["frame"] == 1025


def test_buffering_is_said_after_100_ms_and_taken_back() -> None:
    v = viewer(window=1)
    pump(v, 0.0)
    v.seek(1.0, frame=1000)
    v.take_states(1.0)
    assert v.step(1.0) is None
    assert v.wake == pytest.approx(1.1)
    assert v.step(1.1) is None
    assert [s["status"] for s in v.take_states(1.1)] == ["buffering"]
    v.acknowledge(1)
    fetch = v.step(1.2)
    assert fetch is not None
    assert v.emit(fetch, 1.2) is not None
    assert [s["status"] for s in v.take_states(1.2)] == ["paused"]


def test_data_waits_for_the_state_of_its_generation() -> None:
    v = viewer()
    v.seek(0.0, frame=1000)
    fetch = v.step(0.0)
    assert fetch is not None
    assert v.emit(fetch, 0.0) is None
    v.take_states(0.0)
    header = v.emit(fetch, 0.0)
    assert header is not None
    assert header.generation == 1


def test_what_was_read_for_an_older_seek_is_not_sent() -> None:
    v = viewer()
    v.seek(0.0, frame=1000)
    v.take_states(0.0)
    old = v.step(0.0)
    assert old is not None
    v.seek(0.1, frame=2000)
    v.take_states(0.1)
    assert v.emit(old, 0.1) is None
    assert v.dropped == {DropReason.SUPERSEDED: 25}


def test_after_a_stall_it_goes_on_at_the_playhead() -> None:
    v = viewer(window=4)
    v.play(0.0)
    pump(v, 0.0)
    assert pump(v, 30.0) == []
    v.acknowledge(4)
    sent = pump(v, 40.0)
    assert sent[0].first_frame == 1000
    assert v.dropped == {DropReason.NO_CREDIT: (40 - 4) * 25}
    assert v.state(40.0)["dropped"] == 900


def test_sixty_seconds_without_acknowledgement_close() -> None:
    v = viewer(window=1)
    v.play(0.0)
    pump(v, 0.0)
    v.step(5.0)
    waits_since = v.wake - 60.0
    v.step(waits_since + 59.9)
    assert v.closing is None
    v.step(waits_since + 60.0)
    assert v.closing is CloseCode.SLOW


def test_silence_is_no_fault_while_nothing_waits() -> None:
    v = viewer(window=1)
    pump(v, 0.0)
    assert v.step(1000.0) is None
    assert v.closing is None
    assert v.wake == math.inf


def test_a_socket_that_takes_nothing_is_a_reason_of_its_own() -> None:
    v = viewer(encoding=Encoding.ROWS, window=None)
    v.play(0.0)
    pump(v, 0.0)
    v.credit.transport_paused()
    assert pump(v, 1.0) == []
    v.credit.transport_writable()
    assert firsts(pump(v, 2.0)) == [50], "the newest, and only that"
    assert v.dropped == {DropReason.TRANSPORT_PAUSED: 49}


def test_rows_are_paced_one_by_one() -> None:
    v = viewer(encoding=Encoding.ROWS, window=None)
    v.play(0.0)
    now, seen = 0.0, []
    while now < 2.0:
        seen += firsts(pump(v, now))
        now = v.wake
    assert seen == list(range(50))


@pytest.mark.parametrize(
    ("speed", "max_fps", "stride"),
    [(1, 25, 1), (1, 12.5, 2), (2, 25, 2), (3, 25, 4), (0.5, 25, 1), (64, 25, 64), (-16, 25, 16),
     (1, 10, 4), (64, 5, 64), (4, 240, 1)],
)  # fmt: skip
def test_the_stride_keeps_within_max_fps(speed: float, max_fps: float, stride: int) -> None:
    assert stride_for(speed, 25.0, max_fps) == stride


@pytest.mark.parametrize("speed", [0.05, 0.5, 1.0, 3.0, 5.0, 63.9, 64.0])
@pytest.mark.parametrize("max_fps", [240.0, 60.0, 25.0, 10.0, 2.0, 0.5])
def test_the_stride_is_the_smallest_power_of_two_that_does(speed: float, max_fps: float) -> None:
    stride = stride_for(speed, 25.0, max_fps)
    assert stride_for(-speed, 25.0, max_fps) == stride
    assert stride.bit_count() == 1
    assert speed * 25.0 / stride <= max_fps or stride == STRIDES[-1]
    assert stride == 1 or speed * 25.0 / (stride / 2) > max_fps


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        (lambda v: v.seek(1.0, frame=3000), ErrorCode.BAD_VALUE, "frame 3000: expected 0…2999"),
        (lambda v: v.seek(1.0, time=120.5), ErrorCode.BAD_VALUE, "time 120.5: expected 0…120 s"),
        (lambda v: v.seek(1.0, frame=1, generation=3), ErrorCode.BAD_VALUE, "more than 3, or none"),
        (lambda v: v.acknowledge(100_000), ErrorCode.BAD_VALUE, "at most"),
        (lambda v: v.request(Request(3000, 1)), ErrorCode.BAD_VALUE, "frame 3000: expected 0…2999"),
        (lambda v: v.go_live(1.0), ErrorCode.NOT_LIVE, "finished recording: seek instead"),
    ],
)
def test_an_error_says_what_is_right_and_changes_nothing(
    command: Callable[[Viewer], None], code: ErrorCode, hint: str
) -> None:
    v = viewer()
    v.seek(0.0, frame=700, generation=3)
    pump(v, 0.0)
    before = v.state(1.0)
    with pytest.raises(CommandError) as caught:
        command(v)
    assert caught.value.code is code
    assert hint in caught.value.message
    assert v.state(1.0) == before
    assert pump(v, 1.0) == []


def test_rows_keep_within_max_fps_at_any_speed() -> None:
    v = viewer(frame_count=100_000, encoding=Encoding.ROWS, window=None, max_fps=5.0)
    v.play(0.0, 64.0)
    now, sent = 0.0, 0
    while now < 4.0:
        sent += len(pump(v, now))
        now = v.wake
    assert sent <= 4 * 5 + 1


def test_backwards_to_the_beginning_ends() -> None:
    v = viewer(encoding=Encoding.ROWS, window=None)
    v.seek(0.0, frame=5)
    v.play(0.0, -1.0)
    pump(v, 0.0)
    now, seen = 0.0, []
    while v.wake < math.inf:
        now = v.wake
        seen += pump(v, now)
    assert firsts(seen) == [4, 3, 2, 1, 0]
    assert all(h.step == -1 for h in seen)
    assert v.status(now) is Status.ENDED


def test_a_live_session_is_followed_at_its_edge() -> None:
    v = viewer(frame_count=100, live=True)
    v.go_live(0.0)
    assert v.status(0.0) is Status.LIVE
    assert v.state(0.0)["frame"] == 49, "two seconds behind"
    assert firsts(pump(v, 0.0)) == [25, 50, 75]
    assert pump(v, 1.0) == [], "the next segment is not whole yet"
    v.extend(125, 1.0, live=True)
    assert firsts(pump(v, 1.0)) == [100]
    v.extend(130, 2.0, live=False)
    assert firsts(pump(v, 2.0)) == [125]
    assert v.status(10.0) is Status.ENDED


def test_rows_are_followed_at_the_newest_frame() -> None:
    v = viewer(frame_count=100, live=True, encoding=Encoding.ROWS)
    v.go_live(0.0)
    assert firsts(pump(v, 0.0)) == [99]
    v.extend(112, 1.0, live=True)
    assert firsts(pump(v, 1.5)) == [111]


def test_the_growth_of_a_live_session_is_told_once_a_second_of_it() -> None:
    v = viewer(frame_count=100, live=True)
    pump(v, 0.0)
    for frames, told in ((112, False), (124, False), (125, True), (140, False), (260, True)):
        v.extend(frames, 0.0, live=True)
        assert v.owes_state is told
        states = v.take_states(0.0)
        assert [s["frame_count"] for s in states] == ([frames] if told else [])
    v.extend(260, 0.0, live=False)
    assert [s["live"] for s in v.take_states(0.0)] == [False]
    assert "frame_count" not in viewer().state(0.0)


def test_a_resumed_viewer_says_where_it_is_before_any_data() -> None:
    v = viewer(start=Playhead(1000.5, 2.0, True, 7))
    assert v.emit(v.step(0.0), 0.0) is None  # type: ignore[arg-type]
    state = v.take_states(0.0)[0]
    assert (state["frame"], state["speed"], state["generation"]) == (1000, 2.0, 7)
    assert {h.generation for h in pump(v, 0.0)} == {7}


def test_following_a_room_is_a_seek_only_if_it_is_elsewhere() -> None:
    v = viewer()
    v.play(0.0)
    pump(v, 0.0)
    v.follow(Playhead(25.0, 1.0, True), 1.0, 1.0, sought=False)
    assert v.generation == 0
    v.follow(Playhead(500.0, 1.0, True), 2.0, 2.0, sought=False)
    assert v.generation == 1
    v.follow(Playhead(500.0, 1.0, True), 2.0, 2.0, sought=True, generation=9)
    assert v.generation == 9


def test_too_many_requests_are_refused() -> None:
    v = viewer()
    for _ in range(8):
        v.request(Request(0, 1000))
    with pytest.raises(CommandError, match="requests are waiting"):
        v.request(Request(0, 1))


def test_a_pause_at_high_speed_shows_that_very_frame() -> None:
    v = viewer(window=32)
    v.play(0.0, 16.0)
    assert {h.step for h in pump(v, 0.0)} == {16}
    v.pause(1.0)
    (header,) = pump(v, 1.0)
    assert header.step == 1
    assert header.first_frame <= v.state(1.0)["frame"] == 400 < header.first_frame + 25


@pytest.mark.parametrize("window", [1, 3, 8, 32])
@pytest.mark.parametrize("one_way", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("sought_at", [0.0, 0.01, 1.0, 3.99, 4.0, 9.7])
def test_a_seek_on_a_full_window_waits_for_one_round_trip_at_most(
    window: int, one_way: float, sought_at: float
) -> None:
    """For a client that acknowledges what arrives at once, however much was on its way."""
    v = viewer(window=window, lead=60.0)
    v.play(0.0)
    acknowledgements: list[tuple[float, int]] = []
    now, answered = 0.0, None
    v_sought = False
    while answered is None:
        for header in pump(v, now):
            acknowledgements.append((now + 2 * one_way, header.seq))
            if v_sought and header.generation == 1:
                answered = now
                break
        events = [at for at, _ in acknowledgements] + [v.wake]
        if not v_sought:
            events.append(sought_at)
        now = max(now, min(events))
        if not v_sought and now == sought_at:
            v.seek(now, frame=2500)
            v_sought = True
        for at, seq in [a for a in acknowledgements if a[0] <= now]:
            acknowledgements.remove((at, seq))
            v.acknowledge(seq)
    assert answered - sought_at <= 2 * one_way
