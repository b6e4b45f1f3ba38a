"""All connections of one worker, and their figures on the way to the readers.

The registry lives on the worker's event loop. Once a second it publishes to a board (`board.py`):
the worker's own figures always, the connections' rows in blocks, as many as the budget allows, in
turn. So with few connections every row is a second old, and with ten thousand the publishing
still takes 2 % of a core. A reader requests fresh rows for the connections that it shows.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import msgpack

from ..statistics.connection import SECOND, WARM_UP, ConnectionStatistics
from ..statistics.report import connection_report, log_lines
from ..statistics.totals import Totals
from .blocks import BLOCK, Block, Closed
from .board import CLOSED_KEPT, Board, BoardError
from .event_loop import LoopMonitor, ProcessMeter, stall_report
from .rows import COLUMNS, diagnose_connection, loop_lag_ms, placeholder_row, summarise

logger = logging.getLogger("streaming.monitoring")

PUBLISH_S = 1.0
# 2 % of a core is 20 ms a second; the rest is packing, sending and the worker's own figures.
BUDGET_S = 0.014
# While no reader is watching, figures need only be there at once when one begins.
UNWATCHED_BUDGET_S = 0.002


class Registry:
    """The connections of this worker and their statistics. Belongs to one event loop."""

    def __init__(
        self,
        worker_id: str,
        board: Board,
        *,
        warm_up: int = WARM_UP,
        enabled: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], float] = time.time,
        store_statistics: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        """Make a registry; it publishes once `start` was called.

        Args:
            worker_id: unique among all workers.
            board: where to publish.
            warm_up: first samples of each callback that are left out of minima and maxima.
            enabled: if False, connections get timers that count nothing, and are not published.
            clock: monotonic nanoseconds.
            wall: Unix time in seconds.
            store_statistics: returns the frame store's figures, plain values.
        """
        self.worker_id = worker_id
        self.board = board
        self.monitor: LoopMonitor | None = None
        self.store_statistics = store_statistics
        self.producers: Callable[[], list[dict[str, Any]]] = list
        self._warm_up = warm_up
        self._enabled = enabled
        self._clock = clock
        self._wall = wall
        self._blocks: list[Block] = []
        self._blocks_with_space: list[Block] = []
        self._block_of: dict[str, Block] = {}
        self._next = 0
        self._unsent: deque[Closed] = deque(maxlen=CLOSED_KEPT)
        self._meter = ProcessMeter()
        self._started_at = wall()
        self._opened = 0
        self._closed: dict[int, int] = {}
        self._refused: dict[str, int] = {}
        self._frames_before = (clock(), 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._publishing_share = 0.0
        self._watched = False

        self.own_fields: dict[bytes, bytes] = {}
        """What was last published of this worker, or would have been if the board had answered."""

    # -- connections ----------------------------------------------------------------------------

    def open(self, connection_id: str, **about: Any) -> ConnectionStatistics:
        """Make the statistics of a new connection; starts to publish if that has not begun.

        Args:
            connection_id: unique.
            about: for the operator: session (slug), user, address, encoding, dialect, hello.

        Raises:
            ValueError: that connection is open already.
            RuntimeError: no event loop is running.
        """
        if connection_id in self._block_of:
            raise ValueError(f"connection {connection_id} is already open")
        self.start()
        statistics = ConnectionStatistics(
            connection_id,
            now_ns=self._clock(),
            warm_up=self._warm_up,
            silent=not self._enabled,
            **about,
        )
        while self._blocks_with_space and len(self._blocks_with_space[-1].open) >= BLOCK:
            self._blocks_with_space.pop()
        if not self._blocks_with_space:
            self._blocks.append(Block(len(self._blocks)))
            self._blocks_with_space.append(self._blocks[-1])
        block = self._blocks_with_space[-1]
        block.open[connection_id] = statistics
        block.changed = True
        self._block_of[connection_id] = block
        self._opened += 1
        return statistics

    def close(self, connection_id: str, reason: str, code: int) -> None:
        """Take out a connection that has ended, and publish its final report.

        Args:
            connection_id: of an open connection.
            reason: for the operator.
            code: close code of the WebSocket.

        Raises:
            KeyError: it was not open.
        """
        block = self._block_of.pop(connection_id)
        statistics = block.open.pop(connection_id)
        block.changed = True
        # The engine's viewer must not be kept alive by its last figures.
        statistics.on_command = statistics.on_sample = None
        statistics.status = "closed"
        if self._enabled:
            # At once: rows have their turn, and thousands may close before this block's.
            block.retired.add_connection(statistics)
        if len(block.open) == BLOCK - 1:
            self._blocks_with_space.append(block)
        self._closed[code] = self._closed.get(code, 0) + 1
        self._unsent.append(Closed(statistics, reason, code, self._clock(), self._wall()))

    def refused(self, limit: str) -> None:
        """Somebody was refused. limit: the name of the limit that was reached."""
        self._refused[limit] = self._refused.get(limit, 0) + 1

    def get(self, connection_id: str) -> ConnectionStatistics | None:
        """The statistics of an open connection."""
        block = self._block_of.get(connection_id)
        return block.open[connection_id] if block is not None else None

    def __len__(self) -> int:
        return len(self._block_of)

    # -- commands -------------------------------------------------------------------------------

    async def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request from the board: `{"rows": [ids]}` or `{"name", "connection", "args"}`."""
        try:
            if "rows" in request:
                return {"ok": self.fresh_rows(request["rows"])}
            name, connection_id = request["name"], request["connection"]
            return {"ok": await self.command(name, connection_id, request.get("args", {}))}
        except (LookupError, ValueError, TypeError) as error:
            return {"error": str(error)}

    async def command(self, name: str, connection_id: str, args: dict[str, Any]) -> Any:
        """Carry out an operator's command.

        Args:
            name: `report`, `reset` and `log_stats` are the registry's; any other (`disconnect`,
                `pause`, `keyframe`) goes to the connection's `on_command`.
            connection_id: of an open connection.
            args: of the command.

        Returns:
            Plain values: the report, or True.

        Raises:
            LookupError: the connection is not open here.
            ValueError: an unknown command, or one that needs a viewer before there is one.
        """
        statistics = self.get(connection_id)
        if statistics is None:
            raise LookupError(f"connection {connection_id} is not open on worker {self.worker_id}")
        now_ns = self._clock()
        if name == "report":
            statistics.sample(now_ns)
            found = diagnose_connection(statistics, now_ns, loop_lag_ms(self.monitor))
            return {
                **connection_report(statistics, now_ns),
                "worker": self.worker_id,
                "diagnosis": asdict(found),
            }
        if name == "reset":
            block = self._block_of[connection_id]
            block.retired.add_connection(statistics)
            statistics.reset(now_ns)
        elif name == "log_stats":
            logger.info("%s", "\n".join(log_lines(statistics)))
        elif statistics.on_command is None:
            raise ValueError(f"connection {connection_id} takes no commands")
        else:
            statistics.note("operator", name, now_ns)
            answer = statistics.on_command(name, **args)
            if inspect.isawaitable(answer):
                await answer
        return True

    def fresh_rows(self, connection_ids: list[str]) -> list[list[Any]]:
        """Rows of those of the connections that are open here, made now."""
        now_ns, lag_ms = self._clock(), loop_lag_ms(self.monitor)
        found = (self.get(connection_id) for connection_id in connection_ids)
        return [
            self._row(statistics, now_ns, lag_ms) for statistics in found if statistics is not None
        ]

    # -- publishing -----------------------------------------------------------------------------

    def start(self) -> None:
        """Measure the running event loop and publish from it, once; later calls do nothing.

        Raises: RuntimeError if no event loop is running.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self.monitor is not None:
            self.monitor.stop()
        self._loop = loop
        self._tasks.clear()
        self.monitor = LoopMonitor(clock=self._clock, on_stall=self._report_stall)
        self.monitor.start(loop)
        for coroutine in (self._publish_periodically(), self.board.serve(self.worker_id, self)):
            task = loop.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._task_ended)

    async def stop(self) -> None:
        """Publish no more, and take this worker off the board."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self.monitor is not None:
            self.monitor.stop()
            self.monitor = None
        self._loop = None
        # The board has logged what it could not do.
        with suppress(BoardError):
            # What has closed since the last second.
            while self._unsent:
                await self.publish()
            await self.board.remove(self.worker_id)

    async def publish(self) -> None:
        """Publish once: rows within the budget, this worker's figures, who has closed.

        Raises: BoardError if the board cannot be reached.
        """
        began = time.thread_time()
        rows = await self._refresh_blocks() if self._enabled else {}
        closed = [
            msgpack.packb({**c.report(), "worker": self.worker_id}) for c in self._next_closed()
        ]
        worker = self.report()
        packed = msgpack.packb(worker)
        spent = time.thread_time() - began
        self._publishing_share += 0.2 * (spent - self._publishing_share)
        kept = {b"b%d" % block.number: block.packed for block in self._blocks if block.packed}
        # A new one each time: `/metrics` reads it in a thread.
        self.own_fields = {b"worker": packed, **kept}
        received = await self.board.publish(self.worker_id, packed, rows, closed)
        self._watched = received.watched
        if not received.known:
            # The board has lost what it had (restarted, evicted): send it all again.
            everything = {block.number: block.packed for block in self._blocks if block.packed}
            await self.board.publish(self.worker_id, packed, everything, [])

    def report(self) -> dict[str, Any]:
        """This worker's figures, plain values."""
        now_ns = self._clock()
        totals = self.totals()
        cpu, memory = self._meter.read()
        before_ns, frames_before = self._frames_before
        frames = totals.counters["frames_out"]
        passed_s = max((now_ns - before_ns) / SECOND, 1e-3)
        self._frames_before = (now_ns, frames)
        monitor = self.monitor
        return {
            "worker": self.worker_id,
            "columns": COLUMNS,
            "published_at": self._wall(),
            "started_at": self._started_at,
            "connections": len(self._block_of),
            "opened": self._opened,
            "closed": dict(self._closed),
            "refused": dict(self._refused),
            "frames_rate": max(0.0, (frames - frames_before) / passed_s),
            "cpu": cpu,
            "memory": memory,
            "publishing_share": self._publishing_share,
            "loop_lag": monitor.lag.report() if monitor else None,
            "loop_recent_ms": loop_lag_ms(monitor),
            "stalls": monitor.stalls if monitor else 0,
            "longest_stall": stall_report(monitor.longest) if monitor else None,
            "last_stall": stall_report(monitor.last) if monitor else None,
            "store": self.store_statistics() if self.store_statistics else None,
            "producers": self.producers(),
            "board": self.board.report(),
            "totals": totals.report(),
        }

    def totals(self) -> Totals:
        """Of all connections ever; each block's as it was when it was last refreshed."""
        totals = Totals()
        for block in self._blocks:
            totals.add(block.totals)
        return totals

    def log_final_report(self) -> None:
        """Write this worker's totals to the log, a block for each callback that was invoked."""
        for block in self._blocks:
            self._refresh(block, self._clock())
        title = f"callback statistics of worker {self.worker_id}: {self._opened} connections"
        logger.info("%s", "\n".join([title, *self.totals().log_lines()]))

    async def _publish_periodically(self) -> None:
        while True:
            began = time.monotonic()
            # Logged by the board. Viewers are served; the figures of this second are lost.
            with suppress(BoardError):
                await self.publish()
            await asyncio.sleep(max(0.0, PUBLISH_S - (time.monotonic() - began)))

    async def _refresh_blocks(self) -> dict[int, bytes]:
        """Rows of as many blocks as the budget allows, by number."""
        rows: dict[int, bytes] = {}
        budget_s, spent_s = BUDGET_S if self._watched else UNWATCHED_BUDGET_S, 0.0
        # Blocks with opened or closed connections go first, with half of the budget at most.
        changed = [block for block in self._blocks if block.changed]
        in_turn = self._blocks[self._next :] + self._blocks[: self._next]
        for blocks, limit_s in ((changed, budget_s / 2), (in_turn, budget_s)):
            before = len(rows)
            for block in blocks:
                if spent_s >= limit_s and len(rows) > before:
                    break
                if block.number in rows:
                    continue
                began = time.thread_time()
                rows[block.number] = self._refresh(block, self._clock())
                spent_s += time.thread_time() - began
                if blocks is in_turn:
                    self._next = block.number + 1
                # Frames first: what waits on the loop runs between two blocks.
                await asyncio.sleep(0)
        for block in changed:
            if not block.packed:
                # Shown without figures rather than missing until its turn.
                now_ns, wall_s = self._clock(), self._wall()
                named = [placeholder_row(each, now_ns, wall_s) for each in block.open.values()]
                rows[block.number] = block.packed = msgpack.packb([0.0, named])
                await asyncio.sleep(0)
        return rows

    def _refresh(self, block: Block, now_ns: int) -> bytes:
        block.changed = False
        totals = Totals()
        totals.add(block.retired)
        rows, lag_ms = [], loop_lag_ms(self.monitor)
        for statistics in block.open.values():
            rows.append(self._row(statistics, now_ns, lag_ms))
            totals.add_connection(statistics)
        block.totals = totals
        block.packed = msgpack.packb([self._wall(), rows])
        return block.packed

    def _row(
        self, statistics: ConnectionStatistics, now_ns: int, lag_ms: tuple[float, float]
    ) -> list[Any]:
        statistics.sample(now_ns)
        return summarise(statistics, now_ns, self._wall(), lag_ms)

    def _next_closed(self) -> list[Closed]:
        """Some of the closed connections that were not published yet, newest last."""
        return [self._unsent.popleft() for _ in range(min(len(self._unsent), BLOCK))]

    def _report_stall(self, seconds: float, stack: str) -> None:
        """Runs in the watching thread while the loop stands still and cannot publish."""
        self.board.report_stall(self.worker_id, seconds, stack)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("statistics stopped", exc_info=task.exception())
