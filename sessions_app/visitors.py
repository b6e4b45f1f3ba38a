"""Visitors: an anonymous one, a user of the site, or a program with a token."""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.db.models import Q

from .access import Listing, Visitor
from .models import Session

OBSERVE = "streaming.view_liveconnection"
OPERATE = "streaming.change_liveconnection"
"""The permissions that make an operator, staff or not; the group Operators has both."""


class UnknownToken(Exception):
    """A bearer token that is none of ours."""


def bearer_of(header: str) -> str | None:
    """The token of an Authorization header; None if it has none of the kind `Bearer`."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_token(candidate: str) -> bool:
    """Whether it is one of API_TOKENS, in a time that does not tell how near it came."""
    given = candidate.encode("utf-8", "surrogatepass")
    found = False
    for token in settings.API_TOKENS:
        found |= bool(token) and hmac.compare_digest(given, token.encode())
    return found


def visitor_of_user(user: Any, *, login: str = "") -> Visitor:
    """A user as a visitor; blocking: groups and permissions are looked up.

    Args:
        user: Django's; anonymous or locked-out ones are anonymous visitors.
        login: key of the login session.
    """
    if not user.is_authenticated or not user.is_active:
        return Visitor()
    return Visitor(
        authenticated=True,
        staff=bool(user.is_staff),
        observer=user.has_perm(OBSERVE),
        operator=user.has_perm(OPERATE),
        name=str(user),
        login=login,
        user=user.pk,
        groups=frozenset(user.groups.values_list("pk", flat=True)),
    )


def listed(seen: Listing) -> Q:
    """The sessions of a listing, as a condition on `Session`."""
    if seen.everything:
        return Q()
    condition = Q(access__in=seen.visibilities)
    if seen.owner is not None:
        condition |= Q(owner=seen.owner)
    if seen.groups:
        # A subquery rather than a join: a session of two of the groups is listed once.
        grouped = Session.groups.through.objects.filter(group__in=seen.groups)
        condition |= Q(pk__in=grouped.values("session"))
    return condition
