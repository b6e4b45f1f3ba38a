"""What the callback statistics cost: a record, a connection, publishing, the page, a server."""

from __future__ import annotations

import asyncio
import random
import statistics as spread_of
import time
import tracemalloc
from collections.abc import Iterator

from replayproject.backing import choose_backing
from streaming.monitoring.board import RedisBoard, RedisReader
from streaming.monitoring.event_loop import LoopMonitor
from streaming.monitoring.reader import Reader, Selection, select
from streaming.monitoring.registry import PUBLISH_S, Registry
from streaming.playback.protocol import DEFAULT_LEAD
from streaming.redis.clients import RedisClients
from streaming.statistics.connection import SECOND, CallbackTimer, ConnectionStatistics

from .figures import Figure, middle_half
from .load import LoadProcess
from .processes import cpu_seconds, race_data, serving

RECORD_GOAL_NS, SHARE_GOAL, MEMORY_GOAL = 1_000.0, 2.0, 10_000.0


def run(quick: bool) -> Iterator[Figure]:
    yield _record(20 if quick else 60)
    yield _memory(200 if quick else 1_000)
    yield from asyncio.run(_publishing(2_000 if quick else 10_000, 5 if quick else 15))
    yield from _server(200 if quick else 1_000, 1 if quick else 2, 7 if quick else 14)


def _record(rounds: int) -> Figure:
    """One `CallbackTimer.record`, the loop around it subtracted."""
    timer, now_ns = CallbackTimer(), time.monotonic_ns()
    durations = [random.randint(2_000, 400_000) for _ in range(20_000)]
    found = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for duration in durations:
            now_ns += 40_000_000
            timer.record(duration, now_ns)
        spent = time.perf_counter_ns() - began
        began = time.perf_counter_ns()
        for _duration in durations:
            now_ns += 40_000_000
        found.append((spent - (time.perf_counter_ns() - began)) / len(durations))
    value = spread_of.median(found)
    return Figure(
        "callbacks", "a record", value, "ns", rounds * len(durations), 0,
        spread=middle_half(found), goal=f"≤ {RECORD_GOAL_NS:g}", met=value <= RECORD_GOAL_NS,
    )  # fmt: skip


def _played(name: str, seconds: int) -> ConnectionStatistics:
    """A connection that was sent a second of frames each second."""
    now_ns = 1_000 * SECOND
    each = ConnectionStatistics(name, now_ns=now_ns, session="bench", address="10.0.0.1")
    _play(each, now_ns, seconds)
    return each


def _play(each: ConnectionStatistics, now_ns: int, seconds: int) -> None:
    each.status, each.window, each.credit = "playing", 16, 16
    for _ in range(seconds):
        now_ns += SECOND
        took_ns = random.randint(5_000, 200_000)
        each.received(24, now_ns, now_ns + took_ns)
        each.sent(2_000, 25, now_ns, now_ns + took_ns)
        each.tick.record(took_ns, now_ns)
        each.sample(now_ns)


def _memory(count: int) -> Figure:
    """Python's memory for the statistics of one connection that has played for a minute."""
    tracemalloc.start()
    kept = [_played(str(number), 60) for number in range(count)]
    value = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    return Figure(
        "callbacks", "memory of a connection's statistics", value, "B", count, 0,
        goal=f"≤ {MEMORY_GOAL:g}", met=value <= MEMORY_GOAL,
    )  # fmt: skip


class _Manual(Registry):
    """Publishes when told, so that its CPU can be taken."""

    def start(self) -> None:
        self.monitor = self.monitor or LoopMonitor()


async def _publishing(count: int, seconds: int) -> Iterator[Figure]:
    """One worker with `count` connections publishes to Redis; another process's page reads."""
    found: list[Figure] = []
    with choose_backing("") as backing:
        if not backing.url:
            return iter(found)
        clients = RedisClients(backing.url)
        registry = _Manual("bench:1", RedisBoard(clients))
        for number in range(count):
            _play(registry.open(str(number), session="bench"), time.monotonic_ns() - 6 * SECOND, 5)
        name = f"{count:,} connections"
        board = RedisReader(clients)
        # Somebody looks for longer than it takes until every row has had its turn.
        for watching, rounds in ((False, seconds), (True, 2 * seconds)):
            shares = []
            for _ in range(rounds):
                if watching:
                    await asyncio.to_thread(board.read, watching=True)
                began, cpu = time.monotonic(), time.thread_time()
                await registry.publish()
                shares.append(100 * (time.thread_time() - cpu) / PUBLISH_S)
                await asyncio.sleep(max(0.0, PUBLISH_S - (time.monotonic() - began)))
            share = spread_of.median(shares)
            who = "watched" if watching else "not watched"
            found.append(
                Figure("callbacks", f"{name}: publishing, {who}", share, "% of a core", count,
                       rounds, spread=middle_half(shares), goal=f"≤ {SHARE_GOAL:g}",
                       met=share <= SHARE_GOAL)
            )  # fmt: skip
        found += _page(name, board)
        await registry.stop()
    return iter(found)


def _page(name: str, board: RedisReader) -> list[Figure]:
    """Reading, merging, sorting and paging what was published."""
    reader = Reader(board)
    began = time.perf_counter()
    rows = reader.snapshot(now=True).rows
    first_ms = 1_000 * (time.perf_counter() - began)
    # Rows that have not had their turn yet are known by name only.
    ages = sorted(time.time() - row["as_of"] for row in rows if row["as_of"])
    later = []
    for _ in range(10):
        began = time.perf_counter()
        reader.snapshot(now=True)
        later.append(1_000 * (time.perf_counter() - began))
    sorting = []
    for column in ("bytes_out", "connection", "verdict", "delivered_fps"):
        began = time.perf_counter()
        select(rows, Selection(sort=column))
        sorting.append(1_000 * (time.perf_counter() - began))
    return [
        Figure("callbacks", f"{name}: first read of all", first_ms, "ms", len(rows), 0),
        Figure("callbacks", f"{name}: read again", spread_of.median(later), "ms", 10, 0,
               spread=middle_half(later)),
        Figure("callbacks", f"{name}: sort and page", spread_of.median(sorting), "ms", 4, 0,
               spread=middle_half(sorting)),
        Figure("callbacks", f"{name}: oldest row", ages[-1], "s", len(ages), 0,
               spread=f"median {ages[len(ages) // 2]:.1f}; {len(rows) - len(ages)} still unknown"),
    ]  # fmt: skip


def _server(count: int, pairs: int, seconds: float) -> Iterator[Figure]:
    """CPU of a loaded server with the statistics on and off, in turns."""
    data = race_data(20)
    cpu: dict[str, list[float]] = {"0": [], "1": []}
    for turn in range(2 * pairs):
        # On, off, off, on, …: so that a machine that slows down does not decide.
        setting = "01"[(turn + turn // 2) % 2]
        with serving(data, MESSAGES_PER_SECOND="200", STATISTICS=setting) as service:
            pids = service.workers
            url = service.websocket("/ws/sessions/bench/")
            hello = {"encoding": "segments"}
            with LoadProcess(mode="viewers", url=url, count=count, hello=hello) as load:
                time.sleep(DEFAULT_LEAD)
                load.measure()
                began, before = time.monotonic(), cpu_seconds(pids)
                time.sleep(seconds)
                cpu[setting].append(100 * (cpu_seconds(pids) - before) / (time.monotonic() - began))
                load.stop()
    on, off = spread_of.median(cpu["1"]), spread_of.median(cpu["0"])
    name = f"{count:,} viewers, segments"
    for what, values in (("on", cpu["1"]), ("off", cpu["0"])):
        yield Figure("callbacks", f"{name}: CPU, statistics {what}", spread_of.median(values),
                     "% of a core", pairs, seconds, spread=middle_half(values))  # fmt: skip
    yield Figure(
        "callbacks", f"{name}: statistics cost", on - off, "% of a core", pairs, seconds,
        goal=f"≤ {SHARE_GOAL:g}", met=on - off <= SHARE_GOAL,
    )  # fmt: skip
