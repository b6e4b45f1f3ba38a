"""How often a viewer may join rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streaming.playback.protocol import JOINS_PER_SECOND
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


async def test_joins_are_limited(worker: Worker) -> None:
    one = Socket(worker)
    await one.hello()
    joins = range(5 * JOINS_PER_SECOND)
    for number in joins:
        await one.say("join", room=f"room-{number}", id=number)
    await one.say("pause", id="last")
    refused = []
    while (message := await one.control()).get("id") != "last":
        if message["type"] == "error":
            refused.append(message)
    assert {m["code"] for m in refused} == {"too_many"}
    assert "joins a second" in refused[0]["message"]
    assert refused[0]["id"] >= JOINS_PER_SECOND
    # The connection goes on, in the last room that it was let into.
    last = max(set(joins) - {m["id"] for m in refused})
    assert message["room"] == f"room-{last}"
    await one.close()
