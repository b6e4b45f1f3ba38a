"""Admission of connections: their number, the origin of the web page, access to the session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import Error as DatabaseError

from sessions_app.access import ANONYMOUS, Action, Visitor, decide
from sessions_app.credentials import Credentials
from sessions_app.visitors import UnknownToken

from ..playback.protocol import CloseCode
from ..store.catalogue import Catalogue, CatalogueUnavailable, SessionInfo
from .identity import visitor_of
from .open_connections import Closable, OpenConnections
from .origins import blocked_by

LOOK_UP_SECONDS = 0.5
"""How long looking up the visitor in the database may take."""

AWAY_SECONDS = 5.0
"""After which a client is to come back when the database is away."""

FULL_SECONDS = 5.0
"""After which to come back to a worker that is full, or whose address has all its connections."""

CROWDED_SECONDS = 30.0
"""After which to come back to a session, or as a user or token, that has all its connections:
somebody else has to leave first, which takes longer than a worker that is full for a moment."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one worker and of each of its connections. See the README's table of settings.

    Attributes:
        connections: WebSockets of one worker; `OpenConnections` knows how many of one address.
        messages_per_second: from one client, averaged over two seconds.
        ack_timeout: seconds that data may wait for the socket or for an acknowledgement.
    """

    connections: int = 20_000
    messages_per_second: int = 200
    ack_timeout: float = 60.0


class Refused(Exception):
    """A client may not connect.

    Attributes:
        code: to close with; it says whether the client may come back.
        reason: for the client's log.
        retry_after: seconds after which to come back, or None.
        limit: the name of the limit that was reached, or "".
    """

    def __init__(
        self, code: CloseCode, reason: str, retry_after: float | None = None, limit: str = ""
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after
        self.limit = limit


class Admission:
    """Decides who may connect to one worker."""

    def __init__(
        self,
        limits: ConnectionLimits,
        connections: OpenConnections,
        catalogue: Catalogue,
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            limits: how many may be open, in all and from one address.
            connections: those of this worker that are open.
            catalogue: finds sessions.
            credentials: finds whose a token or link is; None for one of its own.
        """
        self.limits = limits
        self._clock = clock
        self._connections = connections
        self._catalogue = catalogue
        self.credentials = credentials or Credentials()

    async def admit(
        self, connection: Closable, scope: Mapping[str, Any], slug: str
    ) -> tuple[SessionInfo, Visitor]:
        """Count `connection` among the open ones if it may be there, and find its session.

        Args:
            connection: the caller takes it out again with `OpenConnections.remove`.
            scope: ASGI's, with Channels' `cookies` and `session`.
            slug: of the session.

        Returns:
            The session as it is now, and who wants to watch it.

        Raises:
            Refused: with the close code.
        """
        connections, limits = self._connections, self.limits
        if connections.draining:
            raise Refused(CloseCode.RESTARTING, "restarting", 1.0)
        now = self._clock()
        limit, problem = connections.full_for(connection.address, limits.connections)
        if limit:
            raise Refused(CloseCode.TOO_MANY, problem, FULL_SECONDS, limit)
        connections.add(connection, now)
        if problem := blocked_by(scope):
            raise Refused(CloseCode.FORBIDDEN, problem)
        try:
            info = await self._catalogue.find(slug)
        except CatalogueUnavailable as error:
            raise Refused(CloseCode.RESTARTING, str(error), AWAY_SECONDS) from None
        if info is None:
            raise Refused(CloseCode.NO_SUCH_SESSION, f"no session {slug!r}")
        visitor = await self._visitor(scope, info)
        decision = decide(visitor, Action.WATCH, info.facts)
        if decision.close_code is not None:
            raise Refused(CloseCode(decision.close_code), decision.reason)
        limit, problem = connections.crowded_for(
            connection, slug, visitor.name, _token_of(visitor), now
        )
        if limit:
            raise Refused(CloseCode.TOO_MANY, problem, CROWDED_SECONDS, limit)
        return info, visitor

    async def _visitor(self, scope: Mapping[str, Any], info: SessionInfo) -> Visitor:
        """Look up the visitor. While the database is away, visitors of sessions that everybody may
        watch are anonymous."""
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await visitor_of(scope, self.credentials)
        except UnknownToken as error:
            raise Refused(CloseCode.UNAUTHENTICATED, str(error)) from None
        except (DatabaseError, TimeoutError):
            if decide(ANONYMOUS, Action.WATCH, info.facts).allowed:
                return ANONYMOUS
            reason = "the database is away: your login cannot be checked"
            raise Refused(CloseCode.RESTARTING, reason, AWAY_SECONDS) from None


def _token_of(visitor: Visitor) -> str:
    """The name under which the token's connections are counted, "" without one."""
    if visitor.token is not None:
        return str(visitor.token)
    # Which one of them is not kept.
    return "of API_TOKENS" if visitor.authenticated and visitor.user is None else ""
