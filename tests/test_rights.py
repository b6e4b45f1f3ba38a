"""Rights that end while a viewer is connected, and who is let in with what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import Client

from sessions_app.access import ANONYMOUS, PROGRAM, Action, SessionFacts, Visitor
from sessions_app.credentials import Credentials
from sessions_app.models import Session
from sessions_app.visitors import UnknownToken
from streaming.connections.identity import user_of_login, visitor_of
from streaming.connections.rights import RightsReview, SessionRights
from streaming.playback.protocol import CloseCode

pytestmark = pytest.mark.django_db(transaction=True)

SLUG = "race"


class Viewer:
    """A connection that remembers how it was ended."""

    slug = SLUG
    action = Action.WATCH
    version: str | None = "v1"

    def __init__(self, visitor: Visitor = ANONYMOUS) -> None:
        self.visitor = visitor
        self.ended: CloseCode | None = None
        self.came_back = False

    def revoke(self, code: CloseCode, reason: str) -> None:
        assert reason
        self.ended = code

    def replaced(self) -> None:
        self.came_back = True


def standing(access: str, version: str = "v1") -> dict[str, SessionRights]:
    return {SLUG: SessionRights(SessionFacts(SLUG, access), version)}


async def reviewed(viewer: Viewer, standings: Mapping[str, SessionRights]) -> Viewer:
    await RightsReview([viewer], read=lambda _slugs: standings).review()
    return viewer


@pytest.mark.parametrize(
    ("access", "visitor", "code"),
    [
        ("public", ANONYMOUS, None),
        ("login", ANONYMOUS, CloseCode.UNAUTHENTICATED),
        ("private", ANONYMOUS, CloseCode.UNAUTHENTICATED),
        ("private", Visitor(authenticated=True), CloseCode.FORBIDDEN),
        ("private", PROGRAM, None),
    ],
)
async def test_a_session_that_is_not_public_any_more(
    access: str, visitor: Visitor, code: CloseCode | None
) -> None:
    viewer = await reviewed(Viewer(visitor), standing(access))
    assert viewer.ended is code
    assert not viewer.came_back


async def test_a_session_that_was_deleted() -> None:
    assert (await reviewed(Viewer(), {})).ended is CloseCode.NO_SUCH_SESSION


async def test_a_session_that_was_imported_again() -> None:
    viewer = await reviewed(Viewer(), standing("public", "v2"))
    assert viewer.came_back
    assert viewer.ended is None


async def test_a_database_that_is_away_ends_neither_viewers_nor_the_review() -> None:
    answers: list[Any] = [OperationalError("locked"), {}]
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read(_slugs: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        loop.call_soon_threadsafe(looked.set)
        return answer

    running = asyncio.create_task(RightsReview([Viewer()], read=read, every=0.0).run())
    await asyncio.wait_for(looked.wait(), 60)
    running.cancel()
    assert not answers


@pytest.fixture
def ann(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("ann", password="x", is_staff=True)


def logged_in(user: Any) -> SessionStore:
    client = Client()
    client.force_login(user)
    return SessionStore(client.cookies["sessionid"].value)


async def test_a_logout_ends_what_needs_a_login(ann: Any) -> None:
    login = await sync_to_async(logged_in)(ann)
    visitor = await user_of_login(login)
    assert (visitor.name, visitor.staff) == ("ann", True)
    staff, public = standing("private"), standing("public")
    assert (await reviewed(Viewer(visitor), staff)).ended is None
    await sync_to_async(login.flush)()
    assert (await reviewed(Viewer(visitor), staff)).ended is CloseCode.UNAUTHENTICATED
    assert (await reviewed(Viewer(visitor), public)).ended is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"is_staff": False}, CloseCode.FORBIDDEN),
        ({"is_active": False}, CloseCode.UNAUTHENTICATED),
        ({"password": "changed"}, CloseCode.UNAUTHENTICATED),
    ],
)
async def test_a_user_who_may_less_than_before(
    ann: Any, change: dict[str, Any], code: CloseCode
) -> None:
    visitor = await user_of_login(await sync_to_async(logged_in)(ann))
    await get_user_model().objects.filter(pk=ann.pk).aupdate(**change)
    assert (await reviewed(Viewer(visitor), standing("private"))).ended is code


def scope(**headers: str) -> dict[str, Any]:
    return {"headers": [(k.encode(), v.encode()) for k, v in headers.items()], "cookies": {}}


async def test_a_token_says_who_opens_a_socket(settings: Any) -> None:
    settings.API_TOKENS = ["secret"]
    credentials = Credentials()
    assert await visitor_of(scope(authorization="Bearer secret"), credentials) is PROGRAM
    assert await visitor_of(scope(authorization="Basic c2VjcmV0"), credentials) is ANONYMOUS
    assert await visitor_of(scope(), credentials) is ANONYMOUS
    with pytest.raises(UnknownToken):
        await visitor_of(scope(authorization="Bearer other"), credentials)


async def test_the_review_reads_what_the_database_says() -> None:
    await Session.objects.acreate(slug=SLUG, title="Race", access="private", version="v9")
    viewer = Viewer(PROGRAM)
    await RightsReview([viewer]).review()
    assert viewer.came_back
