"""A producer's frames: accepted with growing numbers and times, or refused with a reason."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.recording import MISSING
from streaming.live.layout import Layout
from streaming.live.producing import Intake
from streaming.live.wire import Limits

from .live_samples import RATE, packed, payload, schema


def intake(**options: Any) -> Intake:
    return Intake(**{"frame_rate": RATE, "layout": Layout(schema()), **options})


def take(taker: Intake, data: bytes, now: float = 0.0) -> tuple[list[int], list[str]]:
    """Numbers that were accepted, and codes of refusals."""
    outcome = taker.take(data, now, 1_000.0 + now)
    return [f.number for f in outcome.frames], [r.code.value for r in outcome.refused]


def test_it_works() -> None:
    taker = intake()
    frame = taker.take(packed(0, 5.0), 0.0, 0.0).frames[0]
    assert (frame.number, frame.time) == (0, 5.0)
    assert taker.layout is not None
    assert taker.layout.rows(frame.content)[0].tolist() == [0, 0, 0, MISSING, 1]
    assert take(taker, msgpack.packb([[1, 5.1, payload(1)], [7, 5.2, payload(7)]])) == ([1, 7], [])
    assert taker.next_frame == 8


def wrong(field: str, value: Any) -> bytes:
    return packed(0, 1.0, {"entities": {"A": {field: value}}})


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\xc1", "bad_frame", "not msgpack"),
        (b"\x81\x80\x00", "bad_frame", "not msgpack"),
        (msgpack.packb({}), "bad_frame", "expected [frame, time, payload]"),
        (msgpack.packb([1, 2]), "bad_frame", "expected [frame, time, payload]"),
        (packed(-1, 1.0), "bad_frame", "frame -1"),
        (msgpack.packb([0, "x", payload(0)]), "bad_value", "expected Unix seconds"),
        (packed(0, 1.0, {"cars": {}}), "bad_frame", "payload: expected"),
        (packed(0, 1.0, {"entities": {"Z": {}}}), "unknown_entity", "say `entity` first"),
        (wrong("z", 1), "unknown_field", "expected one of x, speed"),
        (wrong("flag", 1), "unknown_field", "'flag' of entity scope"),
        (wrong("x", "far"), "bad_value", "expected a number in dm"),
        (wrong("x", float("nan")), "bad_value", "expected a number in dm"),
        (wrong("x", 1e12), "bad_value", "does not fit 32 bits"),
        (packed(0, 1.0, {"session": {"flag": "blue"}}), "bad_value", "one of green, red"),
        (packed(10_000_000, 1.0), "too_far", "more than 24 h"),
        (msgpack.packb([[i, 1.0, {}] for i in range(300)]), "too_large", "at most 250"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(data: bytes, code: str, words: str) -> None:
    taker = intake()
    outcome = taker.take(data, 0.0, 0.0)
    assert not outcome.frames
    assert outcome.refused[0].code.value == code
    assert words in outcome.refused[0].message
    # Nothing has changed: the right frame is still taken.
    assert take(taker, packed(0, 1.0)) == ([0], [])


def test_numbers_and_times_do_not_run_backwards() -> None:
    taker = intake(next_frame=5, last_time=100.0)
    assert take(taker, packed(4, 101.0)) == ([], ["frame_backwards"])
    assert take(taker, packed(5, 99.0)) == ([], ["time_backwards"])
    assert take(taker, packed(5, 100.0)) == ([5], [])
    # Without a time it is the time of arrival, and never before the last.
    taker.last_time = 9_999.0
    assert taker.take(packed(6), 0.0, 50.0).frames[0].time == 9_999.0


def test_a_burst_is_taken_and_more_is_too_fast() -> None:
    taker = intake(limits=Limits(frames_per_second=10, burst_seconds=2))
    accepted = sum(bool(take(taker, packed(n))[0]) for n in range(30))
    assert accepted == 20
    assert take(taker, packed(30), now=0.1) == ([30], [])


def test_pictures_are_told_by_their_first_bytes() -> None:
    taker = intake(layout=None, content_type="image/jpeg", limits=Limits(frame_bytes=100))
    assert take(taker, packed(0, 1.0, b"\xff\xd8\xff picture")) == ([0], [])
    assert take(taker, packed(1, 1.0, b"GIF89a")) == ([], ["bad_value"])
    assert take(taker, packed(1, 1.0, b"\xff\xd8\xff" + bytes(100))) == ([], ["too_large"])
    assert take(taker, packed(1, 1.0, payload(0))) == ([], ["bad_frame"])


@given(st.lists(st.tuples(st.integers(-2, 40), st.one_of(st.none(), st.floats(0, 50)))))
def test_whatever_comes_every_frame_is_answered(frames: list[tuple[int, float | None]]) -> None:
    taker = intake()
    numbers, times = [-1], [0.0]
    for number, time in frames:
        outcome = taker.take(packed(number, time), 0.0, 25.0)
        assert len(outcome.frames) + len(outcome.refused) == 1
        numbers += [f.number for f in outcome.frames]
        times += [f.time for f in outcome.frames]
    assert numbers == sorted(set(numbers))
    assert times == sorted(times)
