"""The WebSockets that are open on this worker: counted, bounded, and closed when it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

from sessions_app.networks import network_of
from sessions_app.rates import TokenBucket

TURN_SECONDS = 0.05
"""Between two groups of viewers that are told to come back."""

RETRY_AFTER = (0.02, 0.12)
"""Seconds: later than the playhead is stored for the next worker, and not all at once."""

BURST_SECONDS = 2.0
"""How many seconds' worth of messages may come at once, as of a single viewer."""


class Closable(Protocol):
    """A connection as far as its end is concerned."""

    address: str

    def restart(self, retry_after: float) -> None:
        """Close, after a `bye` that asks the client to come back in `retry_after` seconds."""


class _Group:
    """The open connections of one address, user, token or session.

    messages: what all of them may send together; None for a session, whose viewers are strangers.
    """

    __slots__ = ("count", "kind", "messages", "name")

    def __init__(self, kind: str, name: str, messages: TokenBucket | None) -> None:
        self.kind, self.name, self.messages = kind, name, messages
        self.count = 0


class OpenConnections:
    """All connections of one worker, counted by address, session, user and token.

    An IPv6 address counts with its network (`sessions_app/networks.py`).
    """

    def __init__(
        self,
        *,
        per_address: int = 200,
        per_session: int = 20_000,
        per_user: int = 100,
        per_token: int = 100,
        messages_per_second: float = 2_000.0,
    ) -> None:
        """
        Args:
            per_address, per_session, per_user, per_token: how many may be open of each.
            messages_per_second: of all connections of an address, user or token together.
        """
        self._open: set[Closable] = set()
        self._most = {
            "address": per_address, "session": per_session, "user": per_user, "token": per_token,
        }  # fmt: skip
        self._rate = messages_per_second
        self._groups: dict[tuple[str, str], _Group] = {}
        self._groups_of: dict[Closable, list[_Group]] = {}
        self._all_gone: asyncio.Event | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Any]:
        """Those that are open, in no order. Do not open or close one meanwhile."""
        return iter(self._open)

    def full_for(self, address: str, most: int) -> tuple[str, str]:
        """Whether one more connection from `address` is too many. most: of this worker.

        Returns: the limit that it would exceed and the reason in words, both "" if none.
        """
        if len(self._open) >= most:
            return "connections", f"this worker has its {most} connections"
        return self._full([("address", network_of(address))])

    def add(self, connection: Closable, now: float = 0.0) -> None:
        """`connection` is open. now: monotonic seconds, of which `message_from` is told as well."""
        self._open.add(connection)
        self._groups_of[connection] = []
        self._join(connection, ("address", network_of(connection.address)), now)

    def crowded_for(
        self, connection: Closable, session: str, user: str, token: str = "", now: float = 0.0
    ) -> tuple[str, str]:
        """Count an open connection as one of its session, its user and its token.

        user, token: "" if it has none.
        Returns: the limit that this would exceed and the reason in words, both "" if none.
        """
        keys = [("session", session)]
        keys += [(kind, name) for kind, name in (("user", user), ("token", token)) if name]
        limit, problem = self._full(keys)
        if not limit:
            for key in keys:
                self._join(connection, key, now)
        return limit, problem

    def message_from(self, connection: Closable, now: float) -> tuple[str, str]:
        """A message has come. Returns: the limit that is exceeded and the reason, or "", ""."""
        for group in self._groups_of.get(connection, ()):
            if group.messages is not None and not group.messages.take(now):
                reason = f"{group.kind} {group.name}: more than {self._rate:g} messages/s"
                return f"messages_per_{group.kind}", reason
        return "", ""

    def _full(self, keys: list[tuple[str, str]]) -> tuple[str, str]:
        for kind, name in keys:
            group, most = self._groups.get((kind, name)), self._most[kind]
            if group is not None and group.count >= most:
                return f"connections_per_{kind}", f"{kind} {name} has its {most} connections"
        return "", ""

    def _join(self, connection: Closable, key: tuple[str, str], now: float) -> None:
        group = self._groups.get(key)
        if group is None:
            kind, name = key
            rate = self._rate
            messages = None if kind == "session" else TokenBucket(rate, rate * BURST_SECONDS, now)
            group = self._groups[key] = _Group(kind, name, messages)
        group.count += 1
        self._groups_of[connection].append(group)

    def remove(self, connection: Closable) -> None:
        """`connection` has ended. Safe to call for one that was never added."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        for group in self._groups_of.pop(connection):
            group.count -= 1
            if not group.count:
                del self._groups[group.kind, group.name]
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
