"""The library and the player's page of an exported folder, whose links are all relative."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core.paginator import Paginator
from django.template.loader import render_to_string
from django.urls import reverse

from sessions_app.models import Session

from ..views.pages import cards_of


def library_page(sessions: Sequence[Session]) -> str:
    """The page at the folder's top. sessions: in the order in which they are shown."""
    kinds = sorted({session.kind for session in sessions})
    years = sorted({session.year for session in sessions if session.year is not None}, reverse=True)
    context = {
        "page": Paginator(sessions, max(1, len(sessions))).get_page(1),
        "cards": cards_of(list(sessions)),
        "chosen": {},
        "kinds": kinds,
        "years": years,
        "files": True,
    }
    return _relative(render_to_string("streaming/library.html", context), sessions, "")


def player_page(session: Session) -> str:
    """The page of one session, two folders below the top."""
    context = {"session": session, "may_share": False, "files": True}
    return _relative(render_to_string("streaming/player.html", context), [session], "../../")


def _relative(page: str, sessions: Sequence[Session], top: str) -> str:
    """The page with addresses that begin at itself. top: of the folder, seen from the page.

    A host may serve the folder under any path, and not every host shows `index.html` for a folder.
    """
    page = page.replace(f'"{settings.STATIC_URL}', f'"{top}static/')
    for session in sessions:
        address = reverse("streaming:player", args=[session.slug])
        page = page.replace(f'href="{address}"', f'href="{top}sessions/{session.slug}/index.html"')
    home = reverse("streaming:library")
    return page.replace(f'href="{home}"', f'href="{top}index.html"')
