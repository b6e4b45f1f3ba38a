"""Fresh resume tokens for connections that last: a token is good for an hour, a race is longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

RENEW_SECONDS = 600.0
"""The age at which a token is replaced: one of six that get lost costs nothing."""

LOOK_EVERY = 5.0
"""Seconds between two looks at which are due."""

TOGETHER = 50
"""Tokens signed in one go; between two, the event loop sends frames."""


class TokenHolder(Protocol):
    """A connection whose client can come back."""

    def renew_token(self) -> None:
        """Send the client a fresh token."""


class Renewals:
    """Connections in the order in which their tokens are due. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._clock = clock
        self._due: dict[TokenHolder, float] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, holder: TokenHolder) -> None:
        """Have its token renewed from now on; it has been given one just now."""
        self._due[holder] = self._clock() + RENEW_SECONDS
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._renew_for_ever())

    def remove(self, holder: TokenHolder) -> None:
        """It has ended. Safe to call for one that was never added."""
        self._due.pop(holder, None)
        if not self._due and self._task is not None:
            self._task.cancel()
            self._task = None

    async def renew_due(self) -> None:
        """Renew the tokens that are old enough."""
        now = self._clock()
        # All wait equally long, so those that come first in the dict are due first.
        due = []
        for holder, at in self._due.items():
            if at > now:
                break
            due.append(holder)
        for count, holder in enumerate(due, start=1):
            if self._due.pop(holder, None) is not None:
                holder.renew_token()
                self._due[holder] = now + RENEW_SECONDS
            if count % TOGETHER == 0:
                await asyncio.sleep(0)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.renew_due()
