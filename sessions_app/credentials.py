"""API tokens and share links: making them, and who somebody is that shows one.

Neither is kept, only hashes; both have some 250 bits of randomness, so that a plain hash is enough.
What was looked up is remembered for two seconds, so that a busy program costs a query in two
seconds rather than one a request, and a revocation counts within that time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.core import signing
from django.db.models import Q
from django.utils import timezone

from .access import PROGRAM, Scope, Visitor
from .models import ApiToken, Session, ShareLink
from .visitors import UnknownToken, is_token, visitor_of_user

MAX_AGE_SECONDS = 2.0
MAX_REMEMBERED = 10_000
"""Tokens and links, unknown ones included: guessing costs no memory."""

USED_EVERY = timedelta(minutes=1)
"""How exact the time of last use is: each is written at most once in this time."""

TOKEN_START = "replay"
LINK_SALT = "replay.share-link"
TICKET_SALT = "replay.ingest-ticket"
TICKET_START = "ticket:"
TICKET_SECONDS = 60
"""How long an operator's ticket counts: it is made for one handshake."""
LINK_PLACES: Mapping[str, str] = {
    "page": "/sessions/{slug}/",
    "api": "/api/sessions/{slug}",
    "ws": "/ws/sessions/{slug}",
}
"""Where a browser sends a session's link along: one cookie for each, bound to the path."""

REVOKED, EXPIRED = "was revoked", "has expired"
UNKNOWN_LINK = "this link is not valid"


def link_cookie(place: str) -> str:
    """The name of the cookie that carries a link. place: a key of LINK_PLACES."""
    return f"replay_link_{place}"


def make_token(
    owner: Any, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token and its text, which is never seen again; blocking."""
    named = sorted({scope.value for scope in scopes})
    token = ApiToken(name=name, owner=owner, scopes=named, expires_at=expires_at)
    text = give_secret(token)
    token.save()
    return token, text


def give_secret(token: ApiToken) -> str:
    """Give a token that is not saved yet its prefix and hash. Returns: its text."""
    token.prefix = secrets.token_hex(4)
    text = f"{TOKEN_START}_{token.prefix}_{secrets.token_urlsafe(32)}"
    token.digest = _digest(text)
    return text


def ingest_ticket() -> str:
    """What an operator's command on this machine shows instead of a token: it may send live
    sessions. Signed with SECRET_KEY, so whoever reads that may do so anyway."""
    return TICKET_START + signing.dumps("ingest", salt=TICKET_SALT)


def _has_ticket(token: str) -> bool:
    if not token.startswith(TICKET_START):
        return False
    try:
        ticket = token.removeprefix(TICKET_START)
        return bool(signing.loads(ticket, salt=TICKET_SALT, max_age=TICKET_SECONDS) == "ingest")
    except signing.BadSignature:
        return False


def make_link(
    session: Session, expires_at: datetime, created_by: int | None
) -> tuple[ShareLink, str]:
    """A new link to a session and its text, which is never seen again; blocking."""
    secret = secrets.token_urlsafe(32)
    link = ShareLink.objects.create(
        session=session, digest=_digest(secret), expires_at=expires_at, created_by_id=created_by
    )
    return link, _signer().sign(f"{secret}.{int(expires_at.timestamp())}")


def ended(row: ApiToken | ShareLink) -> str:
    """Why a token or link does not count any more, or ""."""
    if row.revoked_at is not None:
        return REVOKED
    return EXPIRED if row.expires_at is not None and row.expires_at <= timezone.now() else ""


class _Link(NamedTuple):
    pk: int | None
    slug: str
    problem: str


class Current(NamedTuple):
    """What has become of tokens and links. tokens: pk → visitor, without those that ended.
    links: pk → why it does not count any more, or ""."""

    tokens: Mapping[int, Visitor]
    links: Mapping[int, str]


class Credentials:
    """Who shows a token or link, as it was at most two seconds ago. Safe to use from threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._clock = clock
        self._known: dict[str, tuple[float, Visitor | _Link | None]] = {}

    async def program(self, token: str) -> Visitor:
        """Who has this token, one of API_TOKENS or a row's. Raises: UnknownToken; DatabaseError."""
        if is_token(token):
            return PROGRAM
        if _has_ticket(token):
            return replace(PROGRAM, scopes=frozenset({Scope.INGEST}))
        key = _digest(token)
        found = self._remembered(key)
        if found is None:
            found = await sync_to_async(self._look_up)(key, lambda: _read_token(token))
        return _visitor(found[1])

    def program_now(self, token: str) -> Visitor:
        """The same, blocking."""
        if is_token(token):
            return PROGRAM
        key = _digest(token)
        found = self._remembered(key) or self._look_up(key, lambda: _read_token(token))
        return _visitor(found[1])

    async def with_link(self, visitor: Visitor, text: str) -> Visitor:
        """The visitor with what a link adds. text: of the link, "" for none."""
        if not text:
            return visitor
        secret, problem = _unsigned(text)
        if problem:
            return replace(visitor, link_problem=problem)
        key = _digest(secret)
        found = self._remembered(key)
        if found is None:
            found = await sync_to_async(self._look_up)(key, lambda: _read_link(key))
        return _linked(visitor, found[1])

    def with_link_now(self, visitor: Visitor, text: str) -> Visitor:
        """The same, blocking."""
        if not text:
            return visitor
        secret, problem = _unsigned(text)
        if problem:
            return replace(visitor, link_problem=problem)
        key = _digest(secret)
        found = self._remembered(key) or self._look_up(key, lambda: _read_link(key))
        return _linked(visitor, found[1])

    def _remembered(self, key: str) -> tuple[float, Visitor | _Link | None] | None:
        found = self._known.get(key)
        fresh = found is not None and self._clock() - found[0] < MAX_AGE_SECONDS
        return found if fresh else None

    def _look_up(
        self, key: str, read: Callable[[], Visitor | _Link | None]
    ) -> tuple[float, Visitor | _Link | None]:
        asked_at = self._clock()
        found = (asked_at, read())
        self._known.pop(key, None)
        while len(self._known) >= MAX_REMEMBERED:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = found
        return found


def read_current(tokens: Iterable[int], links: Iterable[int]) -> Current:
    """What has become of tokens and links, by primary key; blocking, nothing remembered."""
    token_rows = ApiToken.objects.select_related("owner").filter(pk__in=list(tokens))
    link_rows = ShareLink.objects.in_bulk(list(links))
    visitors = {row.pk: _program(row) for row in token_rows}
    return Current(
        {pk: visitor for pk, visitor in visitors.items() if visitor is not None},
        {
            pk: _problem(link_rows[pk]) if pk in link_rows else f"this link {REVOKED}"
            for pk in links
        },
    )


def _signer() -> signing.Signer:
    return signing.Signer(sep=".", salt=LINK_SALT)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_token(text: str) -> Visitor | None:
    start, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if start != TOKEN_START or len(prefix) != 8 or not prefix.isalnum() or not secret:
        return None
    row = ApiToken.objects.select_related("owner").filter(prefix=prefix).first()
    # In a time that does not tell how near a guess came.
    if row is None or not hmac.compare_digest(row.digest, _digest(text)):
        return None
    visitor = _program(row)
    if visitor is not None:
        _used(row)
    return visitor


def _program(row: ApiToken) -> Visitor | None:
    if ended(row):
        return None
    owner = visitor_of_user(row.owner)
    if not owner.authenticated:
        return None
    known = {scope.value for scope in Scope}
    scopes = frozenset(Scope(name) for name in row.scopes if name in known)
    return replace(owner, by_cookie=False, scopes=scopes, token=row.pk)


def _read_link(digest: str) -> _Link | None:
    row = ShareLink.objects.select_related("session").filter(digest=digest).first()
    if row is None:
        return None
    problem = _problem(row)
    if not problem:
        _used(row)
    return _Link(row.pk, row.session.slug, problem)


def _problem(row: ShareLink) -> str:
    problem = ended(row)
    return f"this link {problem}" if problem else ""


def _unsigned(text: str) -> tuple[str, str]:
    """(its secret, "") or ("", what is wrong): neither costs a query."""
    try:
        secret, _, expires = _signer().unsign(text).partition(".")
        seconds = int(expires)
    except (signing.BadSignature, ValueError):
        return "", UNKNOWN_LINK
    if seconds <= timezone.now().timestamp():
        return "", f"this link {EXPIRED}"
    return secret, ""


def _visitor(found: Visitor | _Link | None) -> Visitor:
    if not isinstance(found, Visitor):
        raise UnknownToken(
            "This token is not known, was revoked or has expired: expected one of /api/tokens or "
            "of the setting API_TOKENS."
        )
    return found


def _linked(visitor: Visitor, found: Visitor | _Link | None) -> Visitor:
    if not isinstance(found, _Link):
        return replace(visitor, link_problem=UNKNOWN_LINK)
    if found.problem:
        return replace(visitor, link_problem=found.problem)
    return replace(visitor, link=found.pk, linked=found.slug)


def _used(row: ApiToken | ShareLink) -> None:
    """Write down that it was used, unless that was done within a minute."""
    now = timezone.now()
    if row.last_used_at is not None and now - row.last_used_at < USED_EVERY:
        return
    recently = Q(last_used_at__gte=now - USED_EVERY)
    type(row).objects.filter(pk=row.pk).exclude(recently).update(last_used_at=now)
