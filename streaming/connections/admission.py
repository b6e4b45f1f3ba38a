"""Who may connect: how many at once, from which web pages, to which sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessions_app.access import Decision, decide

from ..playback.protocol import CloseCode
from ..store.catalogue import Catalogue, SessionInfo
from .open_connections import Closable, OpenConnections
from .origins import blocked_by


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker, and one connection of it, may take. The README's table of settings says why.

    Attributes:
        connections: WebSockets of one worker.
        connections_per_address: of those, from one IP address.
        messages_per_second: from one client, averaged over two seconds.
        ack_timeout: seconds that data may wait for the socket or for an acknowledgement.
    """

    connections: int = 20_000
    connections_per_address: int = 20_000
    messages_per_second: int = 200
    ack_timeout: float = 60.0


class Refused(Exception):
    """A client may not connect.

    Attributes:
        code: to close with; it says whether the client may come back.
        reason: for the client's log.
        retry_after: seconds after which to come back, or None.
    """

    def __init__(self, code: CloseCode, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class Admission:
    """Decides who may connect to one worker."""

    def __init__(self, limits: Limits, connections: OpenConnections, catalogue: Catalogue) -> None:
        self.limits = limits
        self._connections = connections
        self._catalogue = catalogue

    async def admit(self, connection: Closable, scope: Mapping[str, Any], slug: str) -> SessionInfo:
        """Count `connection` among the open ones if it may be there, and find its session.

        Args:
            connection: whoever makes it takes it out again with `OpenConnections.remove`.
            scope: ASGI's, with `user` if the site knows who it is.
            slug: of the session.

        Returns:
            The session as it is now.

        Raises:
            Refused: with the close code.
        """
        connections, limits = self._connections, self.limits
        if connections.draining:
            raise Refused(CloseCode.RESTARTING, "restarting", 1.0)
        if problem := connections.full_for(
            connection.address, limits.connections, limits.connections_per_address
        ):
            raise Refused(CloseCode.TOO_MANY, problem, 5.0)
        connections.add(connection)
        if problem := blocked_by(scope):
            raise Refused(CloseCode.FORBIDDEN, problem)
        info = await self._catalogue.find(slug)
        if info is None:
            raise Refused(CloseCode.NO_SUCH_SESSION, f"no session {slug!r}")
        user = scope.get("user")
        decision = decide(
            info.access,
            authenticated=bool(getattr(user, "is_authenticated", False)),
            staff=bool(getattr(user, "is_staff", False)),
        )
        if decision is Decision.LOGIN_REQUIRED:
            raise Refused(CloseCode.UNAUTHENTICATED, "log in to watch this session")
        if decision is Decision.FORBIDDEN:
            raise Refused(CloseCode.FORBIDDEN, "this session is for staff")
        return info
