"""The WebSockets that are open on this worker: counted, bounded, and closed when it ends."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

TURN_SECONDS = 0.05
"""Between two groups of viewers that are told to come back."""

RETRY_AFTER = (0.02, 0.12)
"""Seconds: later than the playhead is stored for the next worker, and not all at once."""


class Closable(Protocol):
    """A connection as far as its end is concerned."""

    address: str

    def restart(self, retry_after: float) -> None:
        """Close, after a `bye` that asks the client to come back in `retry_after` seconds."""


class OpenConnections:
    """All connections of one worker."""

    def __init__(self, *, per_session: int = 20_000, per_user: int = 100) -> None:
        """per_session, per_user: how many may watch one session, or be of one user of the site."""
        self._open: set[Closable] = set()
        self._by_address: Counter[str] = Counter()
        self._per_session = per_session
        self._per_user = per_user
        self._by_group: Counter[tuple[str, str]] = Counter()
        self._groups: dict[Closable, list[tuple[str, str]]] = {}
        self._all_gone: asyncio.Event | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Any]:
        """Those that are open, in no order. Do not open or close one meanwhile."""
        return iter(self._open)

    def full_for(self, address: str, most: int, most_per_address: int) -> str:
        """Return why one more connection from `address` is too many, or "" if it is not."""
        if len(self._open) >= most:
            return f"this worker has its {most} connections"
        if self._by_address[address] >= most_per_address:
            return f"{address} has its {most_per_address} connections"
        return ""

    def add(self, connection: Closable) -> None:
        """`connection` is open."""
        self._open.add(connection)
        self._by_address[connection.address] += 1

    def crowded_for(self, connection: Closable, session: str, user: str) -> tuple[str, str]:
        """Count an open connection as one of its session, and of its user if `user` is not "".

        Returns: the limit that this would exceed and the reason in words, both "" if none.
        """
        groups = [("session", session, self._per_session)]
        if user:
            groups.append(("user", user, self._per_user))
        for kind, name, most in groups:
            if self._by_group[kind, name] >= most:
                return f"connections_per_{kind}", f"{kind} {name!r} has its {most} connections"
        self._groups[connection] = [(kind, name) for kind, name, _ in groups]
        self._by_group.update(self._groups[connection])
        return "", ""

    def remove(self, connection: Closable) -> None:
        """`connection` has ended. Safe to call for one that was never added."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        for group in self._groups.pop(connection, ()):
            self._by_group[group] -= 1
            if not self._by_group[group]:
                del self._by_group[group]
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if not self._open and self._all_gone is not None:
            self._all_gone.set()

    async def drain(
        self,
        within: float,
        per_second: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> int:
        """Close all connections gradually, and wait until they have closed.

        A viewer is served until its turn, so each is away only as long as it takes to come back,
        however many there are.

        Args:
            within: seconds after which to wait no longer.
            per_second: connections that are closed in a second.
            sleep: waits between two groups.

        Returns:
            The number of connections that are still open.
        """
        self.draining = True
        everyone = list(self._open)
        if not everyone:
            return 0
        self._all_gone = asyncio.Event()
        together = max(1, round(per_second * TURN_SECONDS))
        try:
            async with asyncio.timeout(within):
                for first in range(0, len(everyone), together):
                    if first:
                        await sleep(TURN_SECONDS)
                    for connection in everyone[first : first + together]:
                        connection.restart(random.uniform(*RETRY_AFTER))
                await self._all_gone.wait()
        except TimeoutError:
            # Clients that read nothing; the process ends with them.
            return len(self._open)
        return 0
