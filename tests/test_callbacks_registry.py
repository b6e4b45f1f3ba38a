"""From a connection to the operator: publishing, merging, commands, closed connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from streaming.monitoring import board as sharing
from streaming.monitoring.blocks import BLOCK
from streaming.monitoring.board import EXPIRE_S, BoardError, MemoryBoard, RedisBoard, RedisReader
from streaming.monitoring.event_loop import LoopMonitor
from streaming.monitoring.reader import NoSuchConnection, Reader, Selection, select
from streaming.monitoring.registry import Registry
from streaming.monitoring.rows import COLUMNS, placeholder_row, summarise
from streaming.redis.clients import RedisClients
from streaming.statistics.connection import SECOND, ConnectionStatistics
from streaming.statistics.report import log_lines

MS = 1_000_000


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.ns = 1_000 * SECOND

    def __call__(self) -> int:
        return self.ns

    def wall(self) -> float:
        return self.ns / SECOND

    def advance(self, seconds: float) -> int:
        self.ns += int(seconds * SECOND)
        return self.ns


class Published(Registry):
    """A registry that publishes when the test says so."""

    def start(self) -> None:
        self.monitor = LoopMonitor(clock=self._clock)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures do not expire, nor answers come too late, because the machine is busy."""
    monkeypatch.setattr(sharing, "EXPIRE_S", 600)
    monkeypatch.setattr(sharing, "ANSWER_S", 60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


@pytest.fixture
def registry(board: MemoryBoard, clock: Clock) -> Published:
    return Published("w1", board, clock=clock, wall=clock.wall)


@pytest.fixture
def reader(board: MemoryBoard, clock: Clock) -> Reader:
    return Reader(board, clock=lambda: clock.ns / SECOND, wall=clock.wall)


def play(registry: Registry, clock: Clock, name: str, seconds: int, fps: int = 25) -> None:
    """Let a connection receive frames one by one, sampled once a second."""
    statistics = registry.get(name)
    assert statistics is not None
    statistics.status = "playing"
    for _ in range(seconds):
        for _ in range(fps):
            now_ns = clock.advance(1 / fps)
            statistics.sent(2_000, 1, now_ns - 20_000, now_ns)
            statistics.tick.record(10_000, now_ns)
        statistics.sample(clock.ns)


async def test_a_connection_is_shown_as_it_is(
    registry: Published, reader: Reader, clock: Clock
) -> None:
    registry.open("a", session="demo", user="ann", address="10.0.0.1")
    play(registry, clock, "a", 12)
    await registry.publish()
    (row,) = reader.snapshot().rows
    assert (row["connection"], row["session"], row["user"]) == ("a", "demo", "ann")
    assert row["verdict"] == "healthy"
    assert row["delivered_fps"] == pytest.approx(25, rel=0.2)
    assert row["interval_max_ms"] == pytest.approx(40)
    assert row["bytes_out"] == 12 * 25 * 2_000
    assert row["worker"] == "1"


async def test_forty_five_seconds_without_a_frame_are_a_stalled_loop(
    registry: Published, reader: Reader, clock: Clock
) -> None:
    """The fault that callback timing was first invented for: one frame in 45 s."""
    statistics = registry.open("a", session="demo")
    play(registry, clock, "a", 30)
    assert registry.monitor is not None
    registry.monitor.beat(clock.ns)
    now_ns = clock.advance(45)
    registry.monitor.beat(now_ns)
    statistics.sent(2_000, 1, now_ns - 20_000, now_ns)
    await registry.publish()
    (row,) = reader.snapshot().rows
    assert row["verdict"] == "stalled loop"
    assert "45000 ms between two sends instead of 40" in row["figures"]
    assert "event loop" in row["advice"]
    report = await registry.command("report", "a", {})
    assert report["diagnosis"]["verdict"] == "stalled loop"
    assert report["events"][-1]["text"] == "healthy → stalled loop"
    assert any("KEY METRIC" in line for line in log_lines(statistics))
    assert reader.snapshot().workers[0]["longest_stall"]["duration_ms"] == pytest.approx(
        45_000, rel=0.01
    )


async def test_a_recovered_connection_is_healthy_again(
    registry: Published, reader: Reader, clock: Clock
) -> None:
    registry.open("a")
    play(registry, clock, "a", 30)
    assert registry.monitor is not None
    registry.monitor.beat(clock.ns)
    registry.monitor.beat(clock.advance(2))
    play(registry, clock, "a", 1)
    await registry.publish()
    assert reader.snapshot().rows[0]["verdict"] == "stalled loop"
    play(registry, clock, "a", 15)
    await registry.publish()
    assert reader.snapshot(now=True).rows[0]["verdict"] == "healthy"


async def test_slowing_down_over_a_minute_is_degrading(
    registry: Published, reader: Reader, clock: Clock
) -> None:
    registry.open("a")
    for fps in (25, 17, 10):
        play(registry, clock, "a", 20, fps)
    play(registry, clock, "a", 1, 10)
    await registry.publish()
    assert reader.snapshot().rows[0]["verdict"] == "degrading"


async def test_closed_connections_stay_with_reason_code_and_figures(
    registry: Published, reader: Reader, clock: Clock
) -> None:
    registry.open("a", session="demo")
    play(registry, clock, "a", 2)
    registry.close("a", "went away", 1001)
    await registry.publish()
    assert reader.snapshot().rows == []
    (final,) = reader.closed()
    assert (final["reason"], final["code"]) == ("went away", 1001)
    assert final["frames_out"] == 50
    assert final["callbacks"]["writable"]["count"] == 50
    assert reader.snapshot().workers[0]["closed"] == {1001: 1}


async def test_only_the_last_thousand_closed_are_kept(registry: Published, reader: Reader) -> None:
    for number in range(1_100):
        registry.open(str(number))
        registry.close(str(number), "done", 1000)
    for _ in range(20):
        await registry.publish()
    closed = reader.closed()
    assert len(closed) == 1_000
    assert closed[0]["connection"] == "1099"
    assert closed[-1]["connection"] == "100"


async def test_totals_never_shrink(registry: Published, clock: Clock) -> None:
    seen = []
    for number in range(BLOCK + 5):
        registry.open(str(number))
    for number in range(BLOCK + 5):
        play(registry, clock, str(number), 1)
        await registry.publish()
        seen.append(registry.totals().counters["frames_out"])
        if number % 3 == 0:
            registry.close(str(number), "done", 1000)
        elif number % 3 == 1:
            await registry.command("reset", str(number), {})
        await registry.publish()
        seen.append(registry.totals().counters["frames_out"])
    assert seen == sorted(seen)
    assert seen[-1] == 25 * (BLOCK + 5)
    report = registry.totals().report()["callbacks"]["writable"]
    assert report["count"] == sum(report["octaves"]) == 25 * (BLOCK + 5)


async def test_switched_off_it_publishes_only_the_worker(
    board: MemoryBoard, reader: Reader, clock: Clock
) -> None:
    registry = Published("w1", board, enabled=False, clock=clock, wall=clock.wall)
    for number in range(10):
        registry.open(str(number)).sent(100, 1, clock.ns, clock.ns)
        registry.close(str(number), "done", 1000)
    registry.open("a")
    await registry.publish()
    assert reader.snapshot().rows == []
    assert reader.snapshot().workers[0]["connections"] == 1


async def test_rows_are_fresh_while_somebody_looks(
    registry: Published, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.monitoring.registry.UNWATCHED_BUDGET_S", 0.0)
    monkeypatch.setattr("streaming.monitoring.registry.BUDGET_S", 60.0)
    for number in range(10 * BLOCK):
        registry.open(str(number), session="demo")
    await registry.publish()
    rows = reader.snapshot(watching=False).rows
    assert {row["session"] for row in rows} == {"demo"}
    assert len(rows) == 10 * BLOCK  # known by name, although not all are measured
    assert not all(row["as_of"] for row in rows)
    reader.snapshot(now=True)  # now somebody looks
    await registry.publish()  # is told so
    await registry.publish()
    assert all(row["as_of"] for row in reader.snapshot(now=True).rows)


async def test_every_block_gets_its_turn(
    registry: Published, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for budget in ("BUDGET_S", "UNWATCHED_BUDGET_S"):
        # Any time at all is more than this: one block at a time.
        monkeypatch.setattr(f"streaming.monitoring.registry.{budget}", 1e-9)
    for number in range(4 * BLOCK):
        registry.open(str(number))
    for _ in range(8):
        await registry.publish()
        # One that comes and goes in the first block must not keep out the others.
        registry.close("0", "done", 1000)
        registry.open("0")
    assert len(reader.snapshot(now=True).rows) == 4 * BLOCK


async def test_a_connection_is_found_before_it_was_published(
    registry: Published, board: MemoryBoard, reader: Reader
) -> None:
    await registry.publish()
    await board.serve("w1", registry)
    registry.open("new")
    report = await asyncio.to_thread(reader.report, "new")
    assert report["connection"] == "new"


async def test_names_are_unique_and_known(registry: Published) -> None:
    registry.open("a")
    with pytest.raises(ValueError, match="already open"):
        registry.open("a")
    with pytest.raises(KeyError):
        registry.close("b", "done", 1000)


async def test_commands_reach_the_connection_and_its_refusals_the_operator(
    registry: Published, board: MemoryBoard, reader: Reader
) -> None:
    statistics = registry.open("a")
    got: list[Any] = []

    def obey(name: str, **args: Any) -> None:
        if name == "dance":
            raise ValueError("unknown command 'dance'")
        got.append((name, args))

    statistics.on_command = obey
    await registry.publish()
    await board.serve("w1", registry)
    in_thread = asyncio.to_thread
    assert await in_thread(reader.command, "a", "disconnect", code=4429, reason="too much")
    assert got == [("disconnect", {"code": 4429, "reason": "too much"})]
    with pytest.raises(NoSuchConnection, match="dance"):
        await in_thread(reader.command, "a", "dance")
    with pytest.raises(NoSuchConnection, match="b is not open"):
        await in_thread(reader.command, "b", "reset")


async def test_log_stats_writes_to_the_log(
    registry: Published, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    registry.open("a")
    play(registry, clock, "a", 1)
    with caplog.at_level(logging.INFO, logger="streaming.monitoring"):
        await registry.command("log_stats", "a", {})
        registry.log_final_report()
    assert "total invocations: 25" in caplog.text
    report = caplog.text.split("callback statistics of worker w1: 1 connections")[1]
    assert "min interval: 40000000 ns (25.00 Hz)" in report
    assert "max interval: 40000000 ns (25.00 Hz)" in report


async def test_a_worker_without_viewers_reports_no_callbacks(
    registry: Published, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="streaming.monitoring"):
        registry.log_final_report()
    assert caplog.messages == ["callback statistics of worker w1: 0 connections"]


async def test_a_workers_extremes_are_those_of_any_connection_open_or_gone(
    registry: Published, clock: Clock
) -> None:
    registry.open("slow")
    play(registry, clock, "slow", 20, fps=2)
    registry.close("slow", "client", 1000)
    registry.open("fast")
    play(registry, clock, "fast", 2, fps=50)
    await registry.publish()
    writable = registry.totals().report()["callbacks"]["writable"]
    assert writable["interval_min_ns"] == 20_000_000
    assert writable["interval_max_ns"] == 500_000_000
    assert registry.totals().report()["callbacks"]["receive"]["interval_min_ns"] is None


async def test_a_worker_that_stands_still_is_shown_as_stalled(
    registry: Published, board: MemoryBoard, reader: Reader, clock: Clock
) -> None:
    registry.open("a")
    registry.open("b")
    play(registry, clock, "a", 3)
    await registry.publish()
    board.report_stall("w1", 7.0, "  File x.py, line 1\n")
    rows = {row["connection"]: row for row in reader.snapshot().rows}
    assert rows["a"]["verdict"] == "stalled loop"
    assert "7 s" in rows["a"]["figures"]
    assert rows["b"]["verdict"] == "healthy"  # not playing: nothing is late
    assert reader.snapshot().workers[0]["stalled"] == [7.0, "  File x.py, line 1\n"]


def test_the_monitor_sees_a_stall_and_who_caused_it() -> None:
    clock = Clock()
    monitor = LoopMonitor(clock=clock)
    monitor.beat(clock.ns)
    for _ in range(100):
        monitor.beat(clock.advance(0.05))
    assert monitor.recent_ms() == (0, 0)
    assert monitor.overdue_stack(clock.advance(0.1)) == ""
    assert monitor.overdue_stack(clock.advance(0.1)) != ""
    monitor.beat(clock.advance(0.3))
    assert monitor.stalls == 1
    assert monitor.longest is not None
    assert monitor.longest.duration_ms == pytest.approx(450)
    monitor.beat(clock.advance(0.05))
    assert monitor.stalls == 1


async def test_the_watching_thread_names_the_blocking_line() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    def on_stall(_seconds: float, stack: str) -> None:
        seen.append(stack)
        loop.call_soon_threadsafe(told.set)

    monitor = LoopMonitor(on_stall=on_stall)
    monitor.start(loop)
    try:
        block_until(lambda: bool(seen))
        await asyncio.wait_for(told.wait(), 60)
    finally:
        monitor.stop()
    assert "block_until" in seen[0]


def block_until(done: Any) -> None:
    """Keep the event loop's thread busy."""
    while not done():
        pass


# -- over Redis ---------------------------------------------------------------------------------


@pytest.fixture
async def shared(
    valkey: str, redis_clients: RedisClients, clock: Clock
) -> AsyncIterator[tuple[list[Published], Reader]]:
    with redis.Redis.from_url(valkey) as client:
        client.flushall()  # workers of other tests may not have expired yet
    workers = [
        Published(name, RedisBoard(redis_clients), clock=clock, wall=clock.wall)
        for name in ("w1", "w2")
    ]
    yield workers, Reader(RedisReader(redis_clients), wall=clock.wall)
    for worker in workers:
        await worker.stop()


async def test_two_workers_are_merged_and_numbered(
    shared: tuple[list[Published], Reader], clock: Clock
) -> None:
    workers, reader = shared
    for at, worker in enumerate(workers):
        worker.open(f"c{at}", session="demo")
        play(worker, clock, f"c{at}", 2)
        await worker.publish()
        await worker.publish()
    snapshot = reader.snapshot()
    assert {row["connection"]: row["worker"] for row in snapshot.rows} == {"c0": "1", "c1": "2"}
    assert [worker["name"] for worker in snapshot.workers] == ["1", "2"]
    await workers[0].stop()
    assert [row["connection"] for row in reader.snapshot(now=True).rows] == ["c1"]


async def test_a_dead_workers_figures_expire_within_five_seconds(
    shared: tuple[list[Published], Reader], valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "EXPIRE_S", EXPIRE_S)
    workers, _reader = shared
    workers[0].open("a")
    await workers[0].publish()
    with redis.Redis.from_url(valkey) as client:
        left_ms = client.pttl("replay:callbacks:worker:w1")
    assert 0 < left_ms <= 5_000


async def test_everything_is_sent_again_after_redis_lost_it(
    shared: tuple[list[Published], Reader], valkey: str
) -> None:
    workers, reader = shared
    for number in range(3 * BLOCK):
        workers[0].open(str(number))
    await workers[0].publish()
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    await workers[0].publish()
    assert len(reader.snapshot(now=True).rows) == 3 * BLOCK


async def test_commands_travel_to_the_right_worker(
    shared: tuple[list[Published], Reader],
) -> None:
    workers, reader = shared
    serving = []
    for at, worker in enumerate(workers):
        worker.open(f"c{at}")
        await worker.publish()
        serving.append(asyncio.create_task(worker.board.serve(worker.worker_id, worker)))
    try:
        report = await asyncio.to_thread(_until_answered, reader, "c1")
        assert report["connection"] == "c1"
        assert report["worker"] == "w2"
    finally:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def _until_answered(reader: Reader, connection: str) -> dict[str, Any]:
    """A worker's subscription takes a moment; until then nobody is there to answer."""
    for _ in range(100_000):
        try:
            return reader.report(connection)
        except BoardError:
            continue
    raise AssertionError("no answer")


async def test_redis_that_is_gone_is_an_error_for_readers_only(clock: Clock) -> None:
    redis = RedisClients("unix:///nonexistent/redis.sock")
    worker = Published("w1", RedisBoard(redis), clock=clock, wall=clock.wall)
    worker.open("a")
    with pytest.raises(BoardError, match="nonexistent"):
        await worker.publish()
    with pytest.raises(BoardError, match="nonexistent"):
        Reader(RedisReader(redis)).snapshot()


# -- selecting ----------------------------------------------------------------------------------


def test_an_introduction_has_the_columns_of_a_row(clock: Clock) -> None:
    statistics = ConnectionStatistics("a", now_ns=clock.ns, session="demo")
    named = placeholder_row(statistics, clock.ns, clock.wall())
    measured = summarise(statistics, clock.ns, clock.wall(), (0.0, 0.0))
    for column, one, other in zip(COLUMNS, named, measured, strict=True):
        if column not in ("sparkline", "target_fps", "credit", "window"):
            assert one == other, column


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "connection": f"c{number:03}",
            "user": "ann" if number % 2 else "",
            "address": f"10.0.0.{number % 7}",
            "session": "demo" if number % 3 else "other",
            "worker": str(1 + number % 2),
            "verdict": "healthy" if number % 5 else "slow client",
            "status": "playing",
            "round_trip_ms": None if number % 4 else float(number),
        }
        for number in range(count)
    ]


def test_sorting_puts_what_is_unknown_last_when_descending() -> None:
    page = select(rows(10), Selection(sort="round_trip_ms"))
    assert [row["connection"] for row in page.rows[:3]] == ["c008", "c004", "c000"]


def test_filters_search_and_facets() -> None:
    page = select(
        rows(100),
        Selection(search="ann 10.0.0.1", filters={"session": "demo"}, sort="connection"),
    )
    assert page.total == 100
    assert all(
        row["user"] == "ann" and row["address"] == "10.0.0.1" and row["session"] == "demo"
        for row in page.rows
    )
    assert page.found == len(page.rows) == page.facets["session"]["demo"]
    assert sum(page.facets["verdict"].values()) == sum(page.facets["session"].values())


def test_pages_and_a_page_beyond_the_last() -> None:
    last = select(rows(250), Selection(sort="connection", descending=False, page=99))
    assert (last.page, last.pages, len(last.rows)) == (3, 3, 50)
    assert last.rows[0]["connection"] == "c200"


def test_an_unknown_column_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no column .colour.*bytes_out"):
        select([], Selection(sort="colour"))
