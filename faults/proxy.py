"""A network that can be made worse while it is in use: for servers, viewers and backing services.

Loopback only. It changes what two peers see of each other, not what they say.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

MAX_READ = 65536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Target = Path | tuple[str, int] | Callable[[], Awaitable[Streams]]


class FaultProxy:
    """Passes bytes on to a target, worse than it could.

    Attributes:
        latency: seconds added to every piece, in both directions.
        jitter: up to so many seconds more, chosen anew for each piece.
        bandwidth: bytes a second in each direction of each connection; 0 for as fast as it goes.
        one_byte: pass on single bytes, each in a write of its own.
        frozen: take what comes and pass nothing on, until it is set back: a half-open line.
        refusing: close new connections at once.
        port: where it listens, if not on a path.
        connections: how many there have been.
    """

    def __init__(
        self, target: Target, place: Path | socket.socket | None = None, *, seed: int = 1
    ) -> None:
        """Make a proxy; it listens from `async with` on.

        Args:
            target: a unix socket's path, (host, port), or what opens a connection.
            place: a path or a listening socket to listen on, else a free port of 127.0.0.1.
            seed: of what it leaves to chance.
        """
        self._target = target
        self._place = place
        self._random = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.latency = 0.0
        self.jitter = 0.0
        self.bandwidth = 0
        self.one_byte = False
        self.refusing = False
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        if isinstance(self._place, Path):
            self._server = await asyncio.start_unix_server(self._connected, self._place)
        elif self._place is not None:
            self._server = await asyncio.start_server(self._connected, sock=self._place)
            self.port = self._place.getsockname()[1]
        else:
            self._server = await asyncio.start_server(
                self._connected, "127.0.0.1", self.port, backlog=4096
            )
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def frozen(self) -> bool:
        return not self._thawed.is_set()

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        if frozen:
            self._thawed.clear()
        else:
            self._thawed.set()

    def reset(self) -> None:
        """Break every connection, without a good-bye."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._open()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for work in (self._pass(reader, far_writer), self._pass(far_reader, writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> Streams:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        if isinstance(self._target, tuple):
            return await asyncio.open_connection(*self._target)
        return await self._target()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 if self.one_byte else MAX_READ):
                pause = self.latency + self.jitter * self._random.random()
                if self.bandwidth:
                    pause += len(data) / self.bandwidth
                if pause:
                    await asyncio.sleep(pause)
                await self._thawed.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
