"""Visitors: an anonymous one, a user of the site, or a program with a token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks for something.

    Attributes:
        authenticated: is logged in, or has a token.
        staff: may see every session, start imports and operate.
        by_cookie: a browser sent it along unasked, so that CSRF can happen.
        name: of the user, "" for others.
        login: key of the site's login session, "" for others.
    """

    authenticated: bool = False
    staff: bool = False
    by_cookie: bool = True
    name: str = ""
    login: str = ""


ANONYMOUS = Visitor()
PROGRAM = Visitor(authenticated=True, staff=True, by_cookie=False)
"""Whoever has one of API_TOKENS."""


class UnknownToken(Exception):
    """A bearer token that is none of ours."""


def bearer_of(header: str) -> str | None:
    """The token of an Authorization header; None if it has none of the kind `Bearer`."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def program_of(token: str) -> Visitor:
    """Who has this token. Raises: UnknownToken."""
    if not is_token(token):
        raise UnknownToken("This token is not known: expected one of the setting API_TOKENS.")
    return PROGRAM


def is_token(candidate: str) -> bool:
    """Whether it is one of API_TOKENS, in a time that does not tell how near it came."""
    given = candidate.encode("utf-8", "surrogatepass")
    found = False
    for token in settings.API_TOKENS:
        found |= bool(token) and hmac.compare_digest(given, token.encode())
    return found
