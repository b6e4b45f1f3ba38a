"""A viewer at the edge of a live session: rows as they come, catching up, and pictures."""

from __future__ import annotations

from typing import Any

import pytest

from streaming.playback.commands import CommandError, Request
from streaming.playback.protocol import DataKind, Encoding, Status
from streaming.playback.viewer import Viewer

RATE = 10.0


def viewer(frames: int = 100, **options: Any) -> Viewer:
    arguments: dict[str, Any] = {
        "frame_count": frames, "frame_rate": RATE, "segment_frames": 10, "now": 0.0,
        "encoding": Encoding.ROWS, "lead": 8.0, "window": 8, "live": True,
    }  # fmt: skip
    return Viewer(**{**arguments, **options})


def sent(v: Viewer, now: float) -> int | None:
    """The frame that is sent now, None if none is."""
    v.take_states(now)
    fetch = v.step(now)
    header = None if fetch is None else v.emit(fetch, now)
    return None if header is None else header.first_frame


def test_rows_are_sent_when_they_come() -> None:
    v = viewer()
    v.go_live(0.0)
    assert (sent(v, 0.0), v.status(0.0)) == (99, Status.LIVE)
    # The clock says 100.1 by now; what is shown is what there is.
    v.extend(101, 0.11, live=True)
    assert sent(v, 0.11) == 100
    assert v.state(0.11)["behind"] == 0.0
    # The newest of several that come together, without waiting for the playhead to reach it.
    v.extend(104, 0.12, live=True)
    assert (sent(v, 0.12), v.dropped_frames) == (103, 2)


def test_whoever_leaves_the_edge_is_not_moved() -> None:
    v = viewer()
    v.go_live(0.0)
    sent(v, 0.0)
    v.pause(0.05)
    v.extend(150, 0.1, live=True)
    assert v.state(0.1)["frame"] == 99
    assert v.state(0.1)["behind"] == 5.0
    assert not v.at_edge


def test_the_edge_is_caught_up_with() -> None:
    v = viewer()
    v.seek(0.0, frame=80)
    sent(v, 0.0)
    v.go_live(0.0, catch_up=True)
    assert (v.timeline.speed, v.state(0.0)["behind"]) == (1.05, 1.9)
    frames, now = 100, 0.0
    while v.timeline.speed > 1.0:
        now, frames = now + 0.1, frames + 1
        v.extend(frames, now, live=True)
    # 1.9 s at a twentieth of a second a second.
    assert 36 < now < 39
    v.extend(frames + 1, now + 0.1, live=True)
    assert v.state(now + 0.1)["behind"] == 0.0
    assert v.at_edge


def test_catching_up_ends_with_the_session() -> None:
    v = viewer()
    v.go_live(0.0, catch_up=True)
    v.extend(100, 1.0, live=False)
    assert v.timeline.speed == 1.0
    assert not v.at_edge


def test_of_pictures_the_newest_wins() -> None:
    v = viewer(pictures=True, encoding=Encoding.SEGMENTS)
    v.take_states(0.0)
    fetch = v.step(0.0)
    assert fetch is not None
    assert (fetch.kind, fetch.first_frame) == (DataKind.MEDIA, 99)
    assert v.emit(fetch, 0.0) is not None
    v.extend(101, 0.1, live=True)
    assert sent(v, 0.1) == 100
    # Two are on their way: nothing more until one has arrived, then the newest of all.
    for frames in (102, 103, 104):
        v.extend(frames, 0.2, live=True)
        assert sent(v, 0.2) is None
    v.acknowledge(1)
    assert (sent(v, 0.3), v.dropped_frames) == (103, 2)


def test_pictures_have_no_history() -> None:
    v = viewer(pictures=True)
    for refused in (
        lambda: v.seek(0.0, frame=1),
        lambda: v.set_speed(2.0, 0.0),
        lambda: v.request(Request(0, 1, 1)),
    ):
        with pytest.raises(CommandError, match="only the newest is there"):
            refused()
    sent(v, 0.0)
    v.pause(0.0)
    v.extend(120, 1.0, live=True)
    assert sent(v, 1.0) is None
    v.play(2.0)
    v.extend(121, 2.0, live=True)
    assert sent(v, 2.0) == 120


def test_pictures_come_no_more_often_than_asked_for() -> None:
    v = viewer(pictures=True, max_fps=2.0)
    assert sent(v, 0.0) == 99
    v.acknowledge(1)
    v.extend(101, 0.1, live=True)
    assert sent(v, 0.1) is None
    assert v.wake == 0.5
    assert sent(v, 0.5) == 100
