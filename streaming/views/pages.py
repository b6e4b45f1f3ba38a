"""The pages: the library at / and the player of one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from sessions_app.access import Action, Verdict, decide, listing
from sessions_app.models import Geometry, Session
from sessions_app.visitors import listed, visitor_of_user

from .outline import Outline, outline

PAGE_SIZE = 24


@dataclass(frozen=True, slots=True)
class Card:
    """One session as the library shows it."""

    session: Session
    outline: Outline | None


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """All sessions that this visitor may see, with search and filters (?q=&kind=&year=&state=)."""
    visible = _visible(request)
    chosen = {name: request.GET.get(name, "").strip() for name in ("q", "kind", "year", "state")}
    found = _filtered(visible, chosen)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "cards": _cards(list(page.object_list)),
        "chosen": chosen,
        "query": query.urlencode(),
        "kinds": visible.order_by("kind").values_list("kind", flat=True).distinct(),
        "years": visible.exclude(year=None)
        .order_by("-year")
        .values_list("year", flat=True)
        .distinct(),
        "states": Session.State,
    }
    return render(request, "streaming/library.html", context)


@require_safe
def player(request: HttpRequest, slug: str) -> HttpResponse:
    """The page that plays one session. 404, 403 or the log-in page where that may not be."""
    session = get_object_or_404(Session, slug=slug)
    decision = decide(visitor_of_user(request.user), Action.WATCH, session.facts())
    if decision.verdict is Verdict.LOGIN_REQUIRED:
        return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
    if not decision.allowed:
        raise PermissionDenied(decision.reason)
    return render(request, "streaming/player.html", {"session": session})


def _visible(request: HttpRequest) -> QuerySet[Session]:
    """What this visitor may see."""
    return Session.objects.filter(listed(listing(visitor_of_user(request.user))))


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


def _cards(sessions: list[Session]) -> list[Card]:
    """The sessions with their outlines, in one further query."""
    grounds = {
        row["session"]: row
        for row in Geometry.objects.filter(session__in=sessions).values(
            "session", "kind", "rotation", "x_min", "y_min", "x_max", "y_max",
            "shapes__centre_line", "shapes__lines",
        )
    }  # fmt: skip
    return [Card(session, _outline_of(grounds.get(session.pk))) for session in sessions]


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
