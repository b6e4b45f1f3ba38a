"""Who may connect: how many at once, from which web pages, to which sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from sessions_app.access import Decision, decide

from ..playback.protocol import CloseCode
from ..store.catalogue import Catalogue, SessionInfo
from .open_connections import Closable, OpenConnections


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
        if not origin_allowed(scope):
            raise Refused(CloseCode.FORBIDDEN, "this page's origin may not connect")
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


def origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Whether a page of that origin may connect: our own host, ALLOWED_HOSTS, or a trusted origin.

    A browser sends the user's cookies for any page; no Origin means no browser, hence no one else's
    cookies: allowed.
    """
    headers = dict(scope.get("headers") or ())
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        return True
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.netloc and parts.netloc.lower() == headers.get(b"host", b"").decode("latin-1").lower():
        return True
    bracketed = f"[{host}]" if ":" in host else host
    return bool(host) and validate_host(bracketed, settings.ALLOWED_HOSTS)
