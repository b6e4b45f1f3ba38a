"""Events are told when the playhead passes them, each time and only then."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streaming.playback.event_track import EventTrack
from streaming.playback.timeline import Timeline


def events(*frames: int) -> list[dict]:
    return [{"type": "event", "frame": frame} for frame in frames]


def playing(speed: float = 1.0, frame: float = 0.0) -> Timeline:
    timeline = Timeline(1000, 25.0, 0.0)
    timeline.seek(frame, 0.0)
    timeline.set_speed(speed, 0.0)
    timeline.play(0.0)
    return timeline


def frames(passed) -> list[int]:
    return [event["frame"] for event in passed]


def test_it_works() -> None:
    track, timeline = EventTrack(events(10, 25, 25, 60)), playing()
    assert frames(track.passed(timeline, 0, 0.0)) == []
    assert track.next_due(timeline) == 10 / 25
    assert frames(track.passed(timeline, 0, 1.0)) == [10, 25, 25]
    assert frames(track.passed(timeline, 0, 1.0)) == []
    assert track.next_due(timeline) == 60 / 25


def test_backwards_they_come_in_reverse() -> None:
    track, timeline = EventTrack(events(10, 25, 60)), playing(-2.0, frame=60)
    track.passed(timeline, 0, 0.0)
    assert track.next_due(timeline) == 0.7
    assert frames(track.passed(timeline, 0, 1.0)) == [25, 10]
    assert track.next_due(timeline) == math.inf


def test_a_seek_tells_nothing_of_what_it_jumped_over() -> None:
    track, timeline = EventTrack(events(10, 500)), playing()
    track.passed(timeline, 0, 0.0)
    timeline.seek(499, 1.0)
    assert frames(track.passed(timeline, 1, 1.0)) == []
    assert frames(track.passed(timeline, 1, 1.1)) == [500]


@given(st.lists(st.integers(1, 900)).map(sorted), st.lists(st.floats(0.01, 3), max_size=40))
def test_none_is_lost_and_none_is_told_twice(at: list[int], steps: list[float]) -> None:
    track, timeline = EventTrack(events(*at)), playing()
    told, now = frames(track.passed(timeline, 0, 0.0)), 0.0
    for step in steps:
        now += step
        told += frames(track.passed(timeline, 0, now))
    assert told == [frame for frame in at if frame <= timeline.frame(now)]


def test_an_event_that_comes_later_is_told_in_its_place() -> None:
    track, timeline = EventTrack(tuple(events(10, 60))), playing()
    assert frames(track.passed(timeline, 0, 0.0)) == []
    track.add(events(25)[0])
    assert frames(track.passed(timeline, 0, 1.0)) == [10, 25]
    # One that the playhead has passed already is not told any more.
    track.add(events(20)[0])
    assert frames(track.passed(timeline, 0, 3.0)) == [60]
