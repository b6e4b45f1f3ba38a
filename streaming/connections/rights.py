"""Rights are checked after the handshake too: every few seconds for all open connections.

When a session is made private, deleted or imported again, a user logs out or is deactivated, or a
token or share link is revoked or expires, the connection ends within `REVIEW_SECONDS`, with a close
code for the reason. One query reads all sessions that are watched, one more each that not everybody
may watch, and one each all tokens and links. Logins are checked only where not everybody may watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError

from sessions_app.access import ANONYMOUS, Action, SessionFacts, Visitor, decide
from sessions_app.credentials import Current, read_current
from sessions_app.models import Session

from ..playback.protocol import CloseCode
from .identity import user_of_login

logger = logging.getLogger("streaming.connections.rights")

REVIEW_SECONDS = 2.0
"""Between two reviews; a connection that may not watch any more ends within this time."""


class SessionRights(NamedTuple):
    """The access of a session and the version of its recording, as they are now."""

    facts: SessionFacts
    version: str


class Watching(Protocol):
    """A connection, as far as its rights are concerned."""

    slug: str
    visitor: Visitor

    @property
    def action(self) -> Action:
        """What it does, and so has to be allowed."""

    @property
    def version(self) -> str | None:
        """Of the finished recording that it plays; None if it plays none."""

    def revoke(self, code: CloseCode, reason: str) -> None:
        """End it."""

    def replaced(self) -> None:
        """The session's recording was replaced: the client is to connect again."""


Read = Callable[[Iterable[str]], Mapping[str, SessionRights]]


class RightsReview:
    """Checks periodically whether the connected viewers may still watch."""

    def __init__(
        self,
        connections: Iterable[Watching],
        *,
        read: Read | None = None,
        every: float = REVIEW_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make a review; `run` begins it.

        Args:
            connections: the open ones, whenever they are iterated over.
            read: slugs → rights of those sessions that exist; blocking.
            every: seconds between two reviews.
            sleep: waits that long.
        """
        self._connections = connections
        self._read = read or read_session_rights
        self._every = every
        self._sleep = sleep

    async def run(self) -> None:
        """Review until cancelled. A review is skipped while the database is away."""
        while True:
            await self._sleep(self._every)
            try:
                await self.review()
            except (DatabaseError, OSError) as error:
                logger.warning("rights are not reviewed: %s", type(error).__name__)
            except Exception:
                # A bug here must not end all later reviews.
                logger.exception("rights are not reviewed")

    async def review(self) -> None:
        """Check every open connection once. Raises: DatabaseError."""
        watching = list(self._connections)
        slugs = {connection.slug for connection in watching}
        if not slugs:
            return
        by_slug: Mapping[str, SessionRights] = await database_sync_to_async(self._read)(slugs)
        tokens = {c.visitor.token for c in watching if c.visitor.token is not None}
        links = {c.visitor.link for c in watching if c.visitor.link is not None}
        current = Current({}, {})
        if tokens or links:
            current = await database_sync_to_async(read_current)(tokens, links)
        logins: dict[str, Visitor] = {}
        for connection in watching:
            rights = by_slug.get(connection.slug)
            if rights is None:
                connection.revoke(CloseCode.NO_SUCH_SESSION, "the session was deleted")
                continue
            visitor = connection.visitor
            if visitor.token is not None:
                program = current.tokens.get(visitor.token)
                if program is None:
                    reason = "this token was revoked or has expired"
                    connection.revoke(CloseCode.UNAUTHENTICATED, reason)
                    continue
                visitor = program
            if visitor.login and not decide(ANONYMOUS, connection.action, rights.facts).allowed:
                if visitor.login not in logins:
                    logins[visitor.login] = await _user_of_key(visitor.login)
                visitor = logins[visitor.login]
            link = connection.visitor.link
            if link is not None:
                problem = current.links[link]
                linked = "" if problem else connection.visitor.linked
                visitor = replace(visitor, link=link, linked=linked, link_problem=problem)
            decision = decide(visitor, connection.action, rights.facts)
            if decision.close_code is not None:
                connection.revoke(CloseCode(decision.close_code), decision.reason)
            elif connection.version not in (None, rights.version):
                connection.replaced()


def read_session_rights(slugs: Iterable[str]) -> dict[str, SessionRights]:
    """Those of the sessions that exist, as they are in the database now; blocking."""
    found = Session.objects.filter(slug__in=list(slugs)).only("slug", "access", "owner", "version")
    return {session.slug: SessionRights(session.facts(), session.version) for session in found}


async def _user_of_key(key: str) -> Visitor:
    """Who is logged in by the login session of that key now."""
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return await user_of_login(store) if key else ANONYMOUS
