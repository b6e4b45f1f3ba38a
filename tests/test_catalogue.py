"""The catalogue: a query a second and slug at the most, however many viewers arrive."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from sessions_app.models import Session
from sessions_app.storing import store_result
from streaming.store.catalogue import (
    MAX_AGE_SECONDS,
    RETRY_SECONDS,
    Catalogue,
    CatalogueUnavailable,
    SessionInfo,
    read_session,
)
from tests.samples import small_play, small_race

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue(clock: Clock) -> Catalogue:
    return Catalogue(clock)


async def test_it_knows_what_a_viewer_needs(catalogue: Catalogue) -> None:
    session = await sync_to_async(store_result)(small_race(10), slug="circle")
    info = await catalogue.find("circle")
    assert info is not None
    assert (info.slug, info.title, info.kind) == ("circle", "Small race", "race")
    assert (info.version, info.frame_count, info.frame_rate) == (session.version, 250, 25.0)
    assert info.path.is_file()
    assert info.is_ready
    assert info.duration == 10.0
    assert info.lap_length == pytest.approx(3141.59, abs=0.01)
    assert info.start_time == 1719752400.0
    await sync_to_async(store_result)(small_play(), slug="play")
    play = await catalogue.find("play")
    assert play is not None
    assert play.lap_length is None


async def test_many_at_once_ask_the_database_once(catalogue: Catalogue, clock: Clock) -> None:
    await Session.objects.acreate(slug="soon", title="Soon")
    found = await asyncio.gather(*(catalogue.find("soon") for _ in range(100)))
    assert catalogue.queries == 1
    assert all(info is found[0] for info in found)
    clock.now += MAX_AGE_SECONDS * 0.9
    await catalogue.find("soon")
    assert catalogue.queries == 1


async def test_a_change_is_seen_after_a_second(catalogue: Catalogue, clock: Clock) -> None:
    await Session.objects.acreate(slug="soon", title="Soon", progress=10)
    before = await catalogue.find("soon")
    await Session.objects.filter(slug="soon").aupdate(progress=60)
    assert await catalogue.find("soon") is before
    clock.now += MAX_AGE_SECONDS
    after = await catalogue.find("soon")
    assert after is not None
    assert after.progress == 60


async def test_forgetting_asks_again_at_once(catalogue: Catalogue) -> None:
    assert await catalogue.find("later") is None
    await Session.objects.acreate(slug="later", title="Later")
    assert await catalogue.find("later") is None
    catalogue.forget("later")
    assert await catalogue.find("later") is not None


async def test_who_asked_first_may_leave(catalogue: Catalogue) -> None:
    await Session.objects.acreate(slug="soon", title="Soon")
    first = asyncio.create_task(catalogue.find("soon"))
    second = asyncio.create_task(catalogue.find("soon"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None
    assert catalogue.queries == 1


async def test_a_known_session_is_found_while_the_database_is_away(clock: Clock) -> None:
    await sync_to_async(store_result)(small_race(seconds=2), slug="race")
    away = False
    asked: list[str] = []

    def read(slug: str) -> SessionInfo | None:
        asked.append(slug)
        if away:
            raise OperationalError("database is locked")
        return read_session(slug)

    catalogue = Catalogue(clock, read)
    known = await catalogue.find("race")
    away = True
    clock.now += 60
    assert await catalogue.find("race") is known
    with pytest.raises(CatalogueUnavailable):
        await catalogue.find("unknown")
    assert asked == ["race", "race"], "a database that has failed is left alone for a second"
    away = False
    clock.now += RETRY_SECONDS
    assert await catalogue.find("unknown") is None
