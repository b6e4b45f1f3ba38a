"""What thousands bring at once is done one by one, and everything else in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import pytest

from streaming.server.turns import Turns


class Loop:
    """An event loop that is turned by hand."""

    def __init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()

    def turn(self) -> None:
        for _ in range(len(self.ready)):
            self.ready.popleft()()


def test_one_is_done_in_each_turn_in_the_order_of_coming() -> None:
    loop = Loop()
    done: list[object] = []
    turns = Turns(loop.ready.append)
    for number in range(3):
        turns.take(partial(done.append, number))
    assert (done, len(turns)) == ([], 3)
    loop.turn()
    assert done == [0]
    loop.ready.append(lambda: done.append("a viewer's frame"))
    loop.turn()
    loop.turn()
    assert done == [0, 1, "a viewer's frame", 2]
    loop.turn()
    assert (len(turns), len(loop.ready)) == (0, 0)


def test_work_that_comes_meanwhile_stands_behind() -> None:
    loop = Loop()
    done: list[object] = []
    turns = Turns(loop.ready.append)
    turns.take(lambda: turns.take(lambda: done.append("later")))
    turns.take(lambda: done.append("sooner"))
    for _ in range(3):
        loop.turn()
    assert done == ["sooner", "later"]


def test_work_that_fails_does_not_hold_up_the_line() -> None:
    loop = Loop()
    done: list[object] = []
    turns = Turns(loop.ready.append)

    def fail() -> None:
        raise ValueError("this one")

    turns.take(fail)
    turns.take(lambda: done.append("next"))
    with pytest.raises(ValueError, match="this one"):
        loop.turn()
    loop.turn()
    assert done == ["next"]
