"""What thousands bring at once is done a little at a time, and everything else in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import pytest

from streaming.server.turns import MOST, TURN_SECONDS, Turns


class Loop:
    """An event loop that is turned by hand; each turn takes as long as the test says."""

    def __init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()
        self.now = 0.0

    def turn(self, seconds: float = 2 * TURN_SECONDS) -> None:
        self.now += seconds
        for _ in range(len(self.ready)):
            self.ready.popleft()()

    def turns(self) -> Turns:
        return Turns(self.ready.append, lambda: self.now)


def test_one_is_done_in_each_turn_that_is_slow_and_everything_else_in_between() -> None:
    loop = Loop()
    done: list[object] = []
    turns = loop.turns()
    for number in range(3):
        turns.take(partial(done.append, number))
    assert (done, len(turns)) == ([], 3)
    loop.turn()
    assert done == [0]
    loop.ready.append(lambda: done.append("a viewer's frame"))
    loop.turn()
    loop.turn()
    assert done == [0, 1, "a viewer's frame", 2]
    assert (len(turns), len(loop.ready)) == (0, 0)


def test_quick_turns_do_more_and_a_slow_one_halves_that() -> None:
    loop = Loop()
    done: list[object] = []
    turns = loop.turns()
    for number in range(200):
        turns.take(partial(done.append, number))
    counts = []
    for seconds in (TURN_SECONDS / 2,) * MOST + (2 * TURN_SECONDS, TURN_SECONDS / 2):
        before = len(done)
        loop.turn(seconds)
        counts.append(len(done) - before)
    assert counts == [*range(2, MOST + 1), MOST, MOST // 2, MOST // 2 + 1]
    assert done == [*range(len(done))]


def test_work_that_comes_meanwhile_stands_behind() -> None:
    loop = Loop()
    done: list[object] = []
    turns = loop.turns()
    turns.take(lambda: turns.take(lambda: done.append("later")))
    turns.take(lambda: done.append("sooner"))
    for _ in range(3):
        loop.turn()
    assert done == ["sooner", "later"]


def test_work_that_fails_does_not_hold_up_the_line() -> None:
    loop = Loop()
    done: list[object] = []
    turns = loop.turns()

    def fail() -> None:
        raise ValueError("this one")

    turns.take(fail)
    turns.take(lambda: done.append("next"))
    with pytest.raises(ValueError, match="this one"):
        loop.turn()
    loop.turn()
    assert done == ["next"]
