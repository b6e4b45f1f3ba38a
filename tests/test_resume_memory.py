"""Where viewers were, kept for whichever worker they come back to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming.connections import resume
from streaming.connections.resume import (
    ResumeError,
    ResumeMemory,
    Token,
    issue_token,
    read_token,
)
from streaming.playback.playhead import Playhead
from streaming.redis.clients import RedisClients

PLAYING = Playhead(100.0, 2.0, True, 3)
TOGETHER = PLAYING._replace(room="r" * 64)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_carries_its_playhead() -> None:
    token = issue_token("abc", "race", PLAYING)
    assert read_token(token, "race") == Token("abc", PLAYING, final=False)
    assert len(token) < 200
    last = issue_token("abc", "race", TOGETHER, final=True)
    assert read_token(last, "race") == Token("abc", TOGETHER, final=True)


@pytest.mark.parametrize("token", ["", "x", "a:b:c", "eyJ:1:2", "é", "\ud800", "a" * 4096])
def test_no_other_token_is_accepted(token: str) -> None:
    with pytest.raises(ResumeError, match="not a token"):
        read_token(token, "race")


def test_a_token_is_for_its_session() -> None:
    with pytest.raises(ResumeError, match="for session race"):
        read_token(issue_token("abc", "race", PLAYING), "other")


async def test_another_worker_finds_where_a_connection_ended(redis_clients: RedisClients) -> None:
    clock = Clock()
    one, two = ResumeMemory(redis_clients, clock), ResumeMemory(redis_clients, clock)
    one.changed("ended", Playhead(5.0, 1.0, True))
    await one.ended("ended", TOGETHER)
    clock.now += 60
    assert await two.get("ended", 25.0) == TOGETHER, "time stands still for who is away"
    await one.close()
    await two.close()


async def test_a_killed_workers_viewers_are_where_they_would_have_played_to(
    redis_clients: RedisClients,
) -> None:
    clock = Clock()
    one, two = ResumeMemory(redis_clients, clock), ResumeMemory(redis_clients, clock)
    one.changed("killed", PLAYING)
    await one.send()
    clock.now += 10
    assert await two.get("killed", 25.0) == PLAYING._replace(frame=600.0)
    await one.close()
    await two.close()


async def test_a_worker_knows_its_own_viewers_better_than_redis_does(
    redis_clients: RedisClients,
) -> None:
    memory = ResumeMemory(redis_clients, Clock())
    memory.changed("own", PLAYING)
    await memory.send()
    memory.changed("own", TOGETHER)
    assert await memory.get("own", 25.0) == TOGETHER, "the last change is not shared yet"
    await memory.close()


async def test_the_end_is_shared_after_what_is_being_shared_already(
    redis_clients: RedisClients,
) -> None:
    clock = Clock()
    one, two = ResumeMemory(redis_clients, clock), ResumeMemory(redis_clients, clock)
    one.changed("late", PLAYING)
    earlier = asyncio.create_task(one.send())
    await asyncio.sleep(0)
    await one.ended("late", TOGETHER)
    assert earlier.done()
    assert await two.get("late", 25.0) == TOGETHER
    await one.close()
    await two.close()


async def test_what_changes_while_others_are_being_shared_is_shared_too(
    redis_clients: RedisClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SEND_EVERY", 0.0)
    clock = Clock()
    one, two = ResumeMemory(redis_clients, clock), ResumeMemory(redis_clients, clock)
    one.changed("moving", PLAYING)
    while one._unsent:  # noqa: ASYNC110 - nobody tells when it has been taken up
        await asyncio.sleep(0)
    one.changed("moving", TOGETHER)
    while await two.get("moving", 25.0) != TOGETHER:
        pass
    await one.close()
    await two.close()


async def test_who_ends_together_is_shared_together(
    redis_clients: RedisClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand ends one after another would keep the last connection for a thousand turns."""
    memory, other = ResumeMemory(redis_clients, Clock()), ResumeMemory(redis_clients, Clock())
    batches = 0
    send_batch = memory._send_batch

    async def counted(*arguments: Any) -> None:
        nonlocal batches
        batches += 1
        await send_batch(*arguments)

    monkeypatch.setattr(memory, "_send_batch", counted)
    await asyncio.gather(*(memory.ended(f"together-{i}", PLAYING) for i in range(100)))
    assert batches <= 2
    assert await other.get("together-99", 25.0) == PLAYING
    await memory.close()
    await other.close()


async def test_one_worker_alone_remembers_for_an_hour() -> None:
    clock = Clock()
    memory = ResumeMemory(None, clock)
    await memory.ended("here", PLAYING)
    assert await memory.get("here", 25.0) == PLAYING
    assert await memory.get("unknown", 25.0) is None
    clock.now += 3601
    assert await memory.get("here", 25.0) is None


async def test_without_redis_for_a_moment_this_worker_remembers() -> None:
    memory = ResumeMemory(RedisClients("redis://127.0.0.1:1"), Clock())
    await memory.ended("here", PLAYING)
    assert await memory.get("here", 25.0) == PLAYING
    await memory.close()


async def test_a_place_is_known_or_it_is_none() -> None:
    """A place that may be wrong is worse than none: the client knows where its picture is."""
    memory = ResumeMemory(None, Clock())
    token = Token("away", PLAYING, final=False)
    assert await memory.place(token, 25.0) is None, "what it did since is not known"
    assert await memory.place(token._replace(final=True), 25.0) == PLAYING
    await memory.ended("away", PLAYING._replace(frame=50.0, generation=2))
    assert await memory.place(token, 25.0) is None, "the record is older than the token"
    await memory.ended("away", PLAYING._replace(frame=150.0))
    assert await memory.place(token, 25.0) == PLAYING._replace(frame=150.0)


async def test_no_place_is_known_while_redis_is_away() -> None:
    clients = RedisClients("unix:///nonexistent/redis.sock")
    memory = ResumeMemory(clients, Clock())
    asked = [memory.place(Token(f"away-{i}", PLAYING, final=False), 25.0) for i in range(1200)]
    assert await asyncio.gather(*asked) == [None] * 1200
    # Whoever waits for an answer when there is none does not wait for another.
    assert clients.failures.total() == 1
    await memory.close()


async def test_a_killed_worker_has_shared_a_single_change_at_once(
    redis_clients: RedisClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SEND_EVERY", 3600.0)
    one, two = ResumeMemory(redis_clients, Clock()), ResumeMemory(redis_clients, Clock())
    one.changed("single", TOGETHER)
    while await two.get("single", 25.0) != TOGETHER:
        pass
    await one.close()
    await two.close()


async def test_who_asks_when_the_memory_is_closed_has_an_answer(
    redis_clients: RedisClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "GATHER_SECONDS", 3600.0)
    memory = ResumeMemory(redis_clients, Clock())
    asked = asyncio.create_task(memory.get("late", 25.0))
    await asyncio.sleep(0)
    await memory.close()
    assert await asked is None
