"""The visitor of a request: a user of the site (session cookie) or a program with a token."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.utils import check_csrf

from ..access import Decision, decide
from ..models import Session
from ..visitors import UnknownToken, Visitor, bearer_of, program_of
from .errors import ApiError


async def visitor_of(request: HttpRequest) -> Visitor:
    """Raises: ApiError 401 for a token that is none of ours."""
    token = bearer_of(request.headers.get("Authorization", ""))
    if token is not None:
        try:
            return program_of(token)
        except UnknownToken as error:
            raise ApiError(
                401,
                str(error),
                code="unknown_token",
                headers={"WWW-Authenticate": "Bearer"},
            ) from None
    user = await request.auser()
    return Visitor(
        authenticated=user.is_authenticated,
        staff=bool(user.is_authenticated and user.is_active and user.is_staff),
        by_cookie=True,
    )


async def is_staff(request: HttpRequest) -> bool:
    """Whether the visitor is staff, for answers that show staff more. A wrong token counts as no.
    Whether the visitor is staff, for answers that show staff more. A wrong token counts as no."""
    try:
        return (await visitor_of(request)).staff
    except ApiError:
        return False


def require_staff(visitor: Visitor, request: HttpRequest, what: str) -> None:
    """Raises: ApiError 401 or 403 unless the visitor is staff or has a token, and passes CSRF."""
    if not visitor.authenticated:
        raise ApiError(
            401,
            f"To {what}, log in as staff or send 'Authorization: Bearer <token>'.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not visitor.staff:
        raise ApiError(403, f"Only staff may {what}.")
    if visitor.by_cookie and check_csrf(request) is not None:
        raise ApiError(
            403,
            "The CSRF token is missing or wrong: send the csrftoken cookie's value as X-CSRFToken.",
            code="csrf_failed",
        )


async def session_for(request: HttpRequest, slug: str) -> Session:
    """The session (its metadata deferred) if this visitor may see it; one query if it is public.

    Raises: ApiError 404, 401, 403.
    """
    session = await Session.objects.defer("metadata").filter(slug=slug).afirst()
    if session is None:
        raise ApiError(404, f"There is no session {slug!r}; /api/sessions lists them.")
    await require_access(request, session.access, slug)
    return session


async def require_access(request: HttpRequest, access: str, slug: str) -> None:
    """Raises: ApiError 401 or 403 if this visitor may not see a session of that access.

    The visitor's own row is only read where the session is not public.
    """
    if access == Session.Access.PUBLIC:
        return
    visitor = await visitor_of(request)
    decision = decide(access, authenticated=visitor.authenticated, staff=visitor.staff)
    if decision is Decision.LOGIN_REQUIRED:
        raise ApiError(
            401,
            f"Session {slug!r} is not public: log in first.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if decision is Decision.FORBIDDEN:
        raise ApiError(403, f"Session {slug!r} is for staff only.")
