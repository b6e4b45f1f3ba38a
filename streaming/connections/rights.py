"""Rights do not end at the handshake: who is connected is looked at again every few seconds.

A session that was made private, deleted or imported again, a user who has logged out or was locked
out, a token or share link that was revoked or has expired: the connection ends within
`REVIEW_SECONDS`, with the code that says why. One query tells what has become of all sessions that
are watched, one more does for each that not everybody may watch, and one each for all tokens and
links. Logins are only looked at where not everybody may watch.
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
"""Between two looks; who may not watch any more is told within this and one look."""


class Standing(NamedTuple):
    """What a session is now: who may see it, and the version of its recording."""

    facts: SessionFacts
    version: str


class Watching(Protocol):
    """A connection, as far as its rights are concerned."""

    slug: str
    visitor: Visitor

    @property
    def version(self) -> str | None:
        """Of the finished recording that it plays; None if it plays none."""

    def revoke(self, code: CloseCode, reason: str) -> None:
        """End it."""

    def replaced(self) -> None:
        """What it plays is not what the session has now: it is to come back."""


Read = Callable[[Iterable[str]], Mapping[str, Standing]]


class RightsReview:
    """Looks again and again whether whoever is connected may still watch."""

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
            read: slugs → what those sessions are now, without those that are gone; blocking.
            every: seconds between two looks.
            sleep: waits that long.
        """
        self._connections = connections
        self._read = read or read_standings
        self._every = every
        self._sleep = sleep

    async def run(self) -> None:
        """Until cancelled. A database that is away costs a look, nothing more."""
        while True:
            await self._sleep(self._every)
            try:
                await self.review()
            except (DatabaseError, OSError) as error:
                logger.warning("rights are not reviewed: %s", type(error).__name__)
            except Exception:
                # A bug here must not mean that nobody's rights are looked at any more.
                logger.exception("rights are not reviewed")

    async def review(self) -> None:
        """Look once at every open connection. Raises: DatabaseError."""
        watching = list(self._connections)
        slugs = {connection.slug for connection in watching}
        if not slugs:
            return
        standings: Mapping[str, Standing] = await database_sync_to_async(self._read)(slugs)
        tokens = {c.visitor.token for c in watching if c.visitor.token is not None}
        links = {c.visitor.link for c in watching if c.visitor.link is not None}
        current = Current({}, {})
        if tokens or links:
            current = await database_sync_to_async(read_current)(tokens, links)
        logins: dict[str, Visitor] = {}
        for connection in watching:
            standing = standings.get(connection.slug)
            if standing is None:
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
            if visitor.login and not decide(ANONYMOUS, Action.WATCH, standing.facts).allowed:
                if visitor.login not in logins:
                    logins[visitor.login] = await _user_of_key(visitor.login)
                visitor = logins[visitor.login]
            link = connection.visitor.link
            if link is not None:
                problem = current.links[link]
                linked = "" if problem else connection.visitor.linked
                visitor = replace(visitor, link=link, linked=linked, link_problem=problem)
            decision = decide(visitor, Action.WATCH, standing.facts)
            if decision.close_code is not None:
                connection.revoke(CloseCode(decision.close_code), decision.reason)
            elif connection.version not in (None, standing.version):
                connection.replaced()


def read_standings(slugs: Iterable[str]) -> dict[str, Standing]:
    """Those of the sessions that exist, as they are in the database now; blocking."""
    found = Session.objects.filter(slug__in=list(slugs)).only("slug", "access", "owner", "version")
    return {session.slug: Standing(session.facts(), session.version) for session in found}


async def _user_of_key(key: str) -> Visitor:
    """Who is logged in by the login session of that key now."""
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return await user_of_login(store) if key else ANONYMOUS
