"""Python's garbage collector, kept from stopping a worker in the midst of everything.

A full collection looks at every object: half a second with three thousand viewers, and Python
makes one whenever their number has grown by a quarter, so in the midst of a rush. Our connections
leave no garbage that only it would find (a test says so); what else does is little. So full
collections are made once an hour, and what is there at the start is never looked at again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

YOUNG = 10_000
"""Objects made and not freed until the youngest are looked at; Python's 700 is many times a second
here. A request's garbage is found at the first or the second look."""

OLDER = 50
NEVER = 2**31 - 1

FULL_SECONDS = 3600.0


def tame_collector(later: Callable[[float, Callable[[], None]], object]) -> None:
    """Called once, when everything is imported. later: (seconds, function) → calls it then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, NEVER)

    def full() -> None:
        gc.collect()
        later(FULL_SECONDS, full)

    later(FULL_SECONDS, full)
