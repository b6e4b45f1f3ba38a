"""The visitor of a request: a user (session cookie), a program (token), or a holder of a link."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from ninja.utils import check_csrf

from ..access import ANONYMOUS, Action, Decision, SessionFacts, Verdict, Visitor, decide
from ..credentials import link_cookie
from ..models import Session
from ..visitors import UnknownToken, bearer_of, visitor_of_user
from .errors import ApiError
from .kept import kept_of

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_READS = frozenset({Action.WATCH, Action.EXPORT, Action.LIST})
"""They change nothing, also where a body says what to read."""


async def visitor_of(request: HttpRequest) -> Visitor:
    """Raises: ApiError 401 for a token that is none of ours."""
    credentials = kept_of(request).credentials
    link = request.GET.get("link") or request.COOKIES.get(link_cookie("api"), "")
    token = bearer_of(request.headers.get("Authorization", ""))
    if token is not None:
        try:
            return await credentials.with_link(await credentials.program(token), link)
        except UnknownToken as error:
            raise ApiError(401, str(error), code="unknown_token", headers=CHALLENGE) from None
    user = await request.auser()
    visitor = await sync_to_async(visitor_of_user)(user) if user.is_authenticated else ANONYMOUS
    return await credentials.with_link(visitor, link)


async def is_staff(request: HttpRequest) -> bool:
    """Whether the visitor is staff, for answers that show staff more; a wrong token is not."""
    try:
        return (await visitor_of(request)).staff
    except ApiError:
        return False


def require(
    visitor: Visitor, request: HttpRequest, action: Action, session: SessionFacts | None = None
) -> None:
    """Let a visitor pass who may do it and, where that changes something, does it on purpose.

    Raises: ApiError 401, or 403 (`csrf_failed` where only the CSRF token is missing).
    """
    decision = decide(visitor, action, session)
    if not decision.allowed:
        raise _refusal(decision, session)
    changes = request.method != "GET" and action not in _READS
    if changes and visitor.by_cookie and check_csrf(request) is not None:
        raise ApiError(
            403,
            "The CSRF token is missing or wrong: send the csrftoken cookie's value as X-CSRFToken.",
            code="csrf_failed",
        )


async def session_for(request: HttpRequest, slug: str, action: Action = Action.WATCH) -> Session:
    """The session (its metadata deferred) if this visitor may; one query if everybody may.

    Raises: ApiError 404, 401, 403.
    """
    session = await Session.objects.defer("metadata").filter(slug=slug).afirst()
    if session is None:
        raise ApiError(404, f"There is no session {slug!r}; /api/sessions lists them.")
    await require_for(request, await facts_of(session), action)
    return session


async def facts_of(session: Session) -> SessionFacts:
    """What the rule needs to know of a session; a query only where not everybody may watch."""
    if session.access in (Session.Access.PUBLIC, Session.Access.UNLISTED):
        return session.facts()
    return await sync_to_async(session.facts)()


async def require_for(
    request: HttpRequest, session: SessionFacts, action: Action = Action.WATCH
) -> None:
    """As `require`, of a session. Who asks is only looked up where not everybody may.

    Raises: ApiError 401, 403.
    """
    if not decide(ANONYMOUS, action, session).allowed:
        require(await visitor_of(request), request, action, session)


def _refusal(decision: Decision, session: SessionFacts | None) -> ApiError:
    reason = decision.reason[0].upper() + decision.reason[1:]
    text = f"{reason}." if session is None else f"Session {session.slug!r}: {decision.reason}."
    if decision.verdict is Verdict.LOGIN_REQUIRED:
        text += " A program sends 'Authorization: Bearer <token>'."
        return ApiError(decision.status, text, headers=CHALLENGE)
    return ApiError(decision.status, text)
