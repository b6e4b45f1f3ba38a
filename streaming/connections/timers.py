"""One timer for all viewers of a worker.

Ten thousand `call_later` handles would be ten thousand heap entries that move at every seek. Here a
wake-up is put into a slot of 10 ms; the loop has one timer, for the next slot that is in use, and
whatever falls into it wakes together. Who can wait a while is put where others wake already: to
wake a sleeping process costs more than what one viewer is woken for.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol

SLOT = 0.01
"""Seconds. Rows of 25 Hz are 40 ms apart; a quarter of that is below what anyone sees."""


SHARED_EVERY = 25
"""Slots between those that sleepers with slack share: a quarter of a second."""

TOGETHER = 32
"""Sleepers with slack in one slot. Each takes the loop about 0.1 ms; a seek must not wait long."""


class Sleeper(Protocol):
    """Who can be woken. slot: where it stands in the wheel, 0 for nowhere; the wheel's own."""

    slot: int

    def wake(self) -> None:
        """Time is up."""


class TimerWheel:
    """Wake-ups at times of `clock` (monotonic seconds), never early, at most a slot late, or
    as late as the sleeper's slack allows. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slots: dict[int, set[Sleeper]] = {}
        self._order: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0
        self.turns = 0

    def schedule(self, sleeper: Sleeper, at: float, slack: float = 0.0) -> None:
        """Wake `sleeper` at time `at` instead of whenever it was to be woken before, or up to
        `slack` seconds later."""
        slot = max(1, math.ceil(at / SLOT))
        if slack >= SHARED_EVERY * SLOT:
            slot = self._shared(slot)
        if sleeper.slot == slot:
            return
        self.cancel(sleeper)
        sleepers = self._slots.get(slot)
        if sleepers is None:
            sleepers = self._slots[slot] = set()
            heapq.heappush(self._order, slot)
        sleepers.add(sleeper)
        sleeper.slot = slot
        if not self._armed or slot < self._armed:
            self._arm(slot)

    def _shared(self, earliest: int) -> int:
        """A slot from `earliest` on, within a quarter of a second, that others use but not too
        many."""
        latest = -(-earliest // SHARED_EVERY) * SHARED_EVERY
        for slot in range(latest, earliest, -1):
            if len(self._slots.get(slot, ())) < TOGETHER:
                return slot
        return earliest

    def cancel(self, sleeper: Sleeper) -> None:
        """Do not wake it."""
        if sleeper.slot:
            self._slots[sleeper.slot].discard(sleeper)
            sleeper.slot = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def _arm(self, slot: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = slot
        delay = max(0.0, slot * SLOT - self._clock())
        self._handle = asyncio.get_running_loop().call_later(delay, self._turn)

    def _turn(self) -> None:
        self._handle, self._armed = None, 0
        self.turns += 1
        # The loop's clock may be coarser than ours: what is due within a millisecond is due.
        due = (self._clock() + 0.001) / SLOT
        while self._order and self._order[0] <= due:
            sleepers = self._slots.pop(heapq.heappop(self._order))
            for sleeper in sleepers:
                sleeper.slot = 0
                sleeper.wake()
        while self._order and not self._slots[self._order[0]]:
            # Everyone in it was cancelled: nothing to wake up for.
            del self._slots[heapq.heappop(self._order)]
        if self._order:
            self._arm(self._order[0])
