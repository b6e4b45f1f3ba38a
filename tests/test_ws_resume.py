"""Who comes back: to the worker that knows it, and to one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streaming.connections.renewals import RENEW_SECONDS, Renewals
from streaming.connections.resume import read_token
from streaming.store.catalogue import SessionInfo
from streaming.worker import Worker

from .recordings import record
from .samples import small_race
from .worker_socket import OneSession, Socket


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> SessionInfo:
    return record(tmp_path_factory.mktemp("recordings"), small_race(seconds=10))


@pytest.fixture
async def worker(info: SessionInfo) -> AsyncIterator[Worker]:
    worker = Worker(catalogue=OneSession(info))
    yield worker
    await worker.close()


async def test_who_is_known_is_where_it_was(worker: Worker) -> None:
    one = Socket(worker)
    token = (await one.hello())["resume"]
    await one.ask("seek", frame=100)
    await one.ask("speed", speed=4)
    await one.close()
    two = Socket(worker)
    welcome = await two.hello(resume=token)
    assert (welcome["resumed"], welcome["generation"]) == (True, 1)
    assert "room" not in welcome
    state = await two.until("state")
    assert (state["frame"], state["speed"]) == (100, 4.0)
    await two.close()


async def test_who_is_not_known_is_told_so(worker: Worker, info: SessionInfo) -> None:
    """The worker that knew has been killed, or the Redis that knew is away."""
    one = Socket(worker)
    token = (await one.hello())["resume"]
    await one.ask("seek", frame=100)
    other = Worker(catalogue=OneSession(info))
    two = Socket(other)
    welcome = await two.hello(resume=token)
    assert (welcome["resumed"], welcome["generation"]) == (False, 0)
    assert (await two.ask("pause"))["frame"] == 0
    for socket in (one, two):
        await socket.close()
    await other.close()


async def test_the_token_of_a_farewell_needs_nobody_to_know(
    worker: Worker, info: SessionInfo
) -> None:
    one = Socket(worker)
    await one.hello()
    await one.ask("seek", frame=100)
    draining = asyncio.create_task(worker.drain())
    token = (await one.until("bye"))["resume"]
    other = Worker(catalogue=OneSession(info))
    two = Socket(other)
    welcome = await two.hello(resume=token)
    assert (welcome["resumed"], welcome["generation"]) == (True, 1)
    assert (await two.ask("pause"))["frame"] == 100
    for socket in (one, two):
        await socket.close()
    await draining
    await other.close()


async def test_the_welcome_names_the_room_that_it_leads_back_to(worker: Worker) -> None:
    one = Socket(worker)
    token = (await one.hello())["resume"]
    await one.ask("join", room="friends")
    await one.close()
    two = Socket(worker)
    assert (await two.hello(resume=token))["room"] == "friends"
    await two.close()


async def test_a_fresh_token_comes_with_a_state_that_nobody_asked_for(worker: Worker) -> None:
    now = 0.0
    worker.renewals = Renewals(lambda: now)
    one = Socket(worker)
    first = await one.hello()
    await one.ask("seek", frame=100)
    now += RENEW_SECONDS
    await worker.renewals.renew_due()
    state = await one.until("state")
    while "resume" not in state:
        state = await one.until("state")
    assert (state["frame"], "id" in state) == (100, False)
    token = read_token(state["resume"], "sample")
    assert token.connection_id == first["connection"]
    assert (token.playhead.frame, token.playhead.generation) == (100.0, 1)
    assert len(worker.renewals) == 1
    await one.close()
    assert len(worker.renewals) == 0
