"""The questions that `profile_connections` answers, and the command on a real server."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from streaming.monitoring.profile import Moment, answer, correlation


def moments(intervals: list[float], cpu: list[float] | None = None) -> list[Moment]:
    return [
        Moment(
            at_s=float(second),
            connections=10,
            sends=250,
            frames=250,
            interval_mean_ms=interval,
            interval_max_ms=max(intervals[: second + 1]),
            cpu=(cpu or [0.1] * len(intervals))[second],
            memory=100_000_000,
            loop_lag_ms=1.0,
        )
        for second, interval in enumerate(intervals)
    ]


def test_a_steady_server_is_called_steady() -> None:
    often, extremes, stable, growing, following = answer(moments([40.0] * 30))
    assert often.figures["hz_per_viewer"] == pytest.approx(25)
    assert extremes.figures["largest_ms"] == 40
    assert stable.answer.startswith("yes")
    assert growing.answer.startswith("no")
    assert following.answer.startswith("neither")


def test_growth_that_follows_cpu_is_found() -> None:
    intervals = [40.0 + 3 * second for second in range(30)]
    cpu = [0.1 + 0.02 * second for second in range(30)]
    *_, growing, following = answer(moments(intervals, cpu))
    assert growing.answer.startswith("yes")
    assert "they follow CPU:" in following.answer
    assert following.figures["with_cpu"] == pytest.approx(1)


def test_one_long_interval_is_not_stable() -> None:
    _, extremes, stable, *_ = answer(moments([40.0] * 29 + [45_000.0]))
    assert extremes.figures["largest_ms"] == 45_000
    assert stable.answer.startswith("no")


def test_too_short_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="2 seconds"):
        answer(moments([40.0, 40.0]))


def test_what_does_not_vary_correlates_with_nothing() -> None:
    assert correlation([1, 2, 3], [5, 5, 5]) == 0
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


@pytest.mark.parametrize("command", ["connections", "profile_connections"])
def test_without_redis_the_commands_say_what_they_need(command: str) -> None:
    with pytest.raises(CommandError, match="REDIS_URL"):
        call_command(command)


def test_commands_show_a_workers_connections(
    valkey: str, settings: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio
    import json

    from streaming.monitoring.board import RedisBoard
    from streaming.monitoring.registry import Registry
    from streaming.redis.clients import RedisClients

    settings.REDIS_URL = valkey  # type: ignore[attr-defined]

    async def profile() -> str:
        redis = RedisClients(valkey)
        registry = Registry("host:1", RedisBoard(redis))
        registry.open("viewer1", session="demo").status = "playing"
        await registry.publish()
        try:
            await asyncio.to_thread(call_command, "connections", "--once")
            await asyncio.to_thread(
                call_command, "profile_connections", "--duration=3", "--warmup=0", "--json"
            )
        finally:
            await registry.stop()
            await redis.close()
        return capsys.readouterr().out

    printed = asyncio.run(profile())
    table, _, rest = printed.partition("{")
    assert "viewer1" in table
    assert "1 of 1 connections, 1 workers" in table
    found = json.loads("{" + rest)
    assert len(found["moments"]) == 3
    assert found["moments"][0]["connections"] == 1
    assert len(found["answers"]) == 5
