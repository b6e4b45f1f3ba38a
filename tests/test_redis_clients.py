"""The one way to Redis: what happens when it is away, and when many ask at once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from streaming.connections.resume import ResumeMemory
from streaming.playback.playhead import Playhead
from streaming.redis.clients import REMIND_SECONDS, RedisAway, RedisClients

NOWHERE = "unix:///nonexistent/redis.sock"


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def ask(clients: RedisClients) -> None:
    client = clients.for_loop()
    with clients.asking("nothing is shared"):
        await client.ping()


async def test_it_works(redis_clients: RedisClients) -> None:
    await ask(redis_clients)
    with redis_clients.asking("nothing is shared"):
        assert redis_clients.for_threads().ping()
    assert not redis_clients.failures


async def test_a_server_that_is_not_there_is_away() -> None:
    clients = RedisClients(NOWHERE)
    with pytest.raises(RedisAway, match="nonexistent"):
        await ask(clients)
    with pytest.raises(RedisAway), clients.asking("nothing is shared"):
        clients.for_threads().ping()
    assert clients.failures == {"nothing is shared": 2}


async def test_a_server_that_does_not_answer_is_away(tmp_path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(silent, tmp_path / "redis.sock"):
        clients = RedisClients(f"unix://{tmp_path}/redis.sock", answer_seconds=0.01)
        with pytest.raises(RedisAway):
            await ask(clients)
        await clients.close()


async def test_a_failure_is_logged_once_while_it_lasts_and_its_end(
    redis_clients: RedisClients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streaming.redis")
    clock = Clock()
    clients = RedisClients(NOWHERE, clock=clock)
    for _ in range(3):
        with pytest.raises(RedisAway):
            await ask(clients)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("nothing is shared: Redis at unix:///nonexistent/")
    clock.now += REMIND_SECONDS
    with pytest.raises(RedisAway):
        await ask(clients)
    assert len(caplog.messages) == 2
    with clients.asking("nothing is shared"):
        pass
    assert "answers again" in caplog.messages[2]


def test_messages_hold_no_password() -> None:
    assert RedisClients("redis://user:secret@db:6380/1").address == "redis://user:***@db:6380/1"
    assert RedisClients(NOWHERE).address == NOWHERE


async def test_errors_of_others_pass_through(redis_clients: RedisClients) -> None:
    with pytest.raises(KeyError), redis_clients.asking("nothing is shared"):
        raise KeyError("no Redis in it")
    assert not redis_clients.failures


async def test_a_storm_takes_turns(valkey: str) -> None:
    """However many questions, none fails for being one of many."""
    clients = RedisClients(valkey, answer_seconds=60, turn_seconds=60, pool=4)
    client = clients.for_loop()

    async def ask_one(number: int) -> None:
        with clients.asking("nothing is shared"):
            assert await client.echo(str(number)) == str(number).encode()

    await asyncio.gather(*(ask_one(number) for number in range(600)))
    assert not clients.failures
    await clients.close()


async def test_viewers_that_come_back_together_ask_together(valkey: str) -> None:
    """Each asks where it was; none may lose its playhead for being one of many, though no
    connection but one is to be had, and whoever would wait for one would fail."""
    there = RedisClients(valkey, answer_seconds=60)
    here = RedisClients(valkey, answer_seconds=60, turn_seconds=0.0, pool=1)
    left, found = ResumeMemory(there), ResumeMemory(here)
    playheads = {f"storm-{i}": Playhead(float(i), 1.0, False) for i in range(600)}
    await asyncio.gather(*(left.ended(name, playhead) for name, playhead in playheads.items()))
    before = await reads(there)
    places = await asyncio.gather(*(found.get(name, 25.0) for name in playheads))
    assert places == list(playheads.values())
    assert not here.failures
    assert await reads(there) - before == 2, "500 in the first round trip, the others in the next"
    for clients in (there, here):
        await clients.close()


async def reads(clients: RedisClients) -> int:
    """How many questions for values the server has had."""
    counted = await clients.for_loop().info("commandstats")
    return sum(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("get", "mget"))
