"""The pages: the library at /, the player of one session, and the ghosts of any laps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, F, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from sessions_app.access import (
    ANONYMOUS,
    Action,
    SessionFacts,
    Verdict,
    Visitor,
    decide,
    listing,
)
from sessions_app.credentials import LINK_PLACES, link_cookie
from sessions_app.models import Geometry, ImportJob, Session
from sessions_app.sources import fetching_importers
from sessions_app.visitors import listed, visitor_of_user

from ..monitoring.board import BoardError
from ..worker import Worker, worker_of
from .outline import Outline, outline

PAGE_SIZE = 24
State = Session.State
COMPARE_SESSIONS = 500
"""That the page of ghosts offers laps of."""
LINK_COOKIE_SECONDS = 366 * 86_400
"""As long as a link may count; the server knows when it ends."""


@dataclass(frozen=True, slots=True)
class Card:
    """One session as the library shows it.

    may_change: whether the visitor may change, cancel and delete it.
    problem: why its import failed, for those who may know; else "".
    viewers: of a live one; None where not known.
    """

    session: Session
    outline: Outline | None
    may_change: bool = False
    problem: str = ""
    viewers: int | None = None


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """All sessions that this visitor may see, with search and filters (?q=&kind=&year=&state=)."""
    visitor = visitor_of_user(request.user)
    visible = Session.objects.filter(listed(listing(visitor)))
    chosen = {name: request.GET.get(name, "").strip() for name in ("q", "kind", "year", "state")}
    # What is still to be imported, or failed, has no time yet, and comes first.
    waiting = Q(state__in=(State.PENDING, State.IMPORTING, State.FAILED))
    found = _filtered(visible, chosen).order_by(
        Case(When(waiting, then=0), default=1), F("start_time").desc(nulls_last=True), "slug"
    )
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "cards": cards_of(list(page.object_list), visitor, worker_of(request)),
        "may_add": decide(visitor, Action.UPLOAD).allowed,
        "accesses": Session.Access,
        "upload_bytes": settings.UPLOAD_BYTES,
        "fetching": fetching_importers(settings.DOWNLOADS),
        "chosen": chosen,
        "query": query.urlencode(),
        "kinds": visible.order_by("kind").values_list("kind", flat=True).distinct(),
        "years": visible.exclude(year=None)
        .order_by("-year")
        .values_list("year", flat=True)
        .distinct(),
        "states": Session.State,
    }
    return _private(render(request, "streaming/library.html", context))


@require_safe
def player(request: HttpRequest, slug: str) -> HttpResponse:
    """The page that plays one session. 404, 403 or the log-in page where that may not be."""
    session = get_object_or_404(Session, slug=slug)
    given, facts = request.GET.get("link"), session.facts()
    link = given or request.COOKIES.get(link_cookie("page"), "")
    visitor = worker_of(request).credentials.with_link_now(visitor_of_user(request.user), link)
    decision = decide(visitor, Action.WATCH, facts)
    if decision.verdict is Verdict.LOGIN_REQUIRED:
        return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
    if not decision.allowed:
        raise PermissionDenied(decision.reason)
    if given is not None:
        return _without_link(request, session, given if visitor.linked == slug else "")
    context = {"session": session, "may_share": decide(visitor, Action.EDIT, facts).allowed}
    response = render(request, "streaming/player.html", context)
    if session.access != Session.Access.PUBLIC:
        response["X-Robots-Tag"] = "noindex"
    return _private(response)


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """The page of ghosts: laps of any sessions that start together. Which, its address says; what
    they are, REST tells whoever may watch their sessions."""
    visible = Session.objects.filter(listed(listing(visitor_of_user(request.user))))
    sessions = visible.filter(geometry__kind="circuit", state=State.READY)
    newest = sessions.order_by("-start_time", "slug").values("slug", "title")[:COMPARE_SESSIONS]
    return _private(render(request, "streaming/compare.html", {"sessions": newest}))


def _without_link(request: HttpRequest, session: Session, link: str) -> HttpResponse:
    """To the same page without the link in its address, where it would be copied and logged.

    link: from now on the browser sends it along to this session's page, REST and socket; "" for
    one that does not count, or that is not needed.
    """
    query = request.GET.copy()
    query.pop("link")
    address = f"{request.path}?{query.urlencode()}" if query else request.path
    response = HttpResponseRedirect(address)
    for place, path in LINK_PLACES.items():
        if link:
            response.set_cookie(
                link_cookie(place),
                link,
                max_age=LINK_COOKIE_SECONDS,
                path=path.format(slug=session.slug),
                httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )
    response["Referrer-Policy"] = "no-referrer"
    return _private(response)


def _private(response: HttpResponse) -> HttpResponse:
    """What one visitor sees is for no cache but that visitor's own, which asks each time."""
    response["Cache-Control"] = "private, max-age=0"
    patch_vary_headers(response, ("Cookie",))
    return response


def _filtered(sessions: QuerySet[Session], chosen: dict[str, str]) -> QuerySet[Session]:
    """A filter whose value makes no sense (year=abc) finds nothing, rather than everything."""
    if chosen["q"]:
        sessions = sessions.filter(Q(title__icontains=chosen["q"]) | Q(slug__icontains=chosen["q"]))
    if chosen["kind"]:
        sessions = sessions.filter(kind=chosen["kind"])
    if chosen["year"]:
        year = chosen["year"]
        plain = year.isdecimal() and len(year) <= 4
        sessions = sessions.filter(year=int(year)) if plain else sessions.none()
    if chosen["state"]:
        sessions = sessions.filter(state=chosen["state"])
    return sessions


def cards_of(
    sessions: list[Session], visitor: Visitor = ANONYMOUS, worker: Worker | None = None
) -> list[Card]:
    """The sessions with their outlines and problems, in two further queries, and who watches the
    live ones.

    worker: whose figures say who watches; None where nobody is to know.
    """
    grounds = {
        row["session"]: row
        for row in Geometry.objects.filter(session__in=sessions).values(
            "session", "kind", "rotation", "x_min", "y_min", "x_max", "y_max",
            "shapes__centre_line", "shapes__lines",
        )
    }  # fmt: skip
    problems = _problems(sessions) if visitor.staff else {}
    live = {session.slug for session in sessions if session.state == Session.State.LIVE}
    viewers = _viewers(live, worker) if live and worker is not None else {}
    return [
        Card(
            session,
            _outline_of(grounds.get(session.pk)),
            _may_change(visitor, session),
            problems.get(session.pk, ""),
            viewers.get(session.slug),
        )
        for session in sessions
    ]


def _may_change(visitor: Visitor, session: Session) -> bool:
    # Groups may watch, and nothing else: they need not be asked for.
    facts = SessionFacts(session.slug, session.access, session.owner_id)
    return decide(visitor, Action.EDIT, facts).allowed


def _problems(sessions: list[Session]) -> dict[int, str]:
    """The reasons of imports that failed, which may hold paths and values of the source."""
    jobs = ImportJob.objects.filter(
        session__in=[s for s in sessions if s.state == Session.State.FAILED],
        state=ImportJob.State.FAILED,
    )
    return dict(jobs.order_by("created_at").values_list("session", "error"))


def _viewers(slugs: set[str], worker: Worker) -> dict[str, int]:
    """How many watch these sessions, on all workers; nothing where that is not known."""
    try:
        rows = worker.reader.snapshot(watching=False).rows
    except BoardError:
        return {}
    counted = Counter(row["session"] for row in rows)
    return {slug: counted[slug] for slug in slugs}


def _outline_of(ground: Mapping[str, Any] | None) -> Outline | None:
    """The circuit, or whatever lines a field or map has inside of its frame."""
    if ground is None:
        return None
    if ground["kind"] == "circuit":
        line = ground["shapes__centre_line"] or []
        return outline([line], rotation=ground["rotation"], closed=True)
    left, bottom, right, top = (ground[name] for name in ("x_min", "y_min", "x_max", "y_max"))
    frame = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return outline([frame, *(ground["shapes__lines"] or [])], rotation=ground["rotation"])
