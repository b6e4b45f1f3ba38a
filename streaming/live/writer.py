"""Appends records to the log in groups, off the event loop: one wait for the disk for all of them.

What comes while the disk is busy is the next group, so a group waits for at most one before it. A
record counts (is acknowledged, and seen by viewers) once it is on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from .log import LogWriter
from .records import Record, encode, framed_bytes

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Of records that the disk has not taken. Beyond that the producer is not read from."""


@dataclass(frozen=True, slots=True)
class Durable:
    """A record that is on disk: where it lies in the log, and its bytes."""

    record: Record
    part: int
    start: int
    end: int
    data: bytes


class GroupWriter:
    """Writes one part of a log. Belongs to one event loop.

    Attributes:
        lag: seconds that the records which were written last waited for the disk.
        waiting_bytes: of records that are not on disk yet.
    """

    def __init__(
        self,
        log: LogWriter,
        executor: Executor,
        written: Callable[[Sequence[Durable]], None],
        *,
        may_go_on: Callable[[], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            log: the part.
            executor: whose threads wait for the disk.
            written: called on the event loop with each group that is on disk.
            may_go_on: asked before a group counts; if not, `run` raises PermissionError.
            clock: monotonic seconds.
        """
        self._may_go_on = may_go_on
        self._log = log
        self._executor = executor
        self._written = written
        self._clock = clock
        self._waiting: list[tuple[Record, bytes]] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._since = 0.0
        self._closing = False
        self.lag = 0.0
        self.waiting_bytes = 0

    def add(self, record: Record) -> None:
        """Append a record after those before it."""
        data = encode(record)
        if not self._waiting:
            self._since = self._clock()
        self._waiting.append((record, data))
        self.waiting_bytes += len(data)
        if self.waiting_bytes > MAX_WAITING_BYTES:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait while the disk is too far behind."""
        await self._room.wait()

    async def run(self) -> None:
        """Write until `close` and everything is on disk. Raises: OSError from the disk."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting or not self._closing:
                if not self._waiting:
                    await self._wake.wait()
                    self._wake.clear()
                    continue
                group, self._waiting = self._waiting, []
                since = self._since
                encoded = [data for _, data in group]
                part, start = await loop.run_in_executor(self._executor, self._log.append, encoded)
                if self._may_go_on is not None and not await self._may_go_on():
                    raise PermissionError("another worker writes this session")
                self.lag = self._clock() - since
                self.waiting_bytes -= sum(map(len, encoded))
                if self.waiting_bytes <= MAX_WAITING_BYTES:
                    self._room.set()
                done = []
                for record, data in group:
                    end = start + framed_bytes(data)
                    done.append(Durable(record, part, start, end, data))
                    start = end
                self._written(done)
        finally:
            self._room.set()
            self._log.close()

    def close(self) -> None:
        """End `run` once everything is on disk."""
        self._closing = True
        self._wake.set()
