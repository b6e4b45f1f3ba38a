"""A link between client and server that can be slow, refuse, and break."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Self


class Proxy:
    """Passes bytes on to `target`, a unix socket path or (host, port).

    delay: seconds added to what comes back. refusing: close new connections at once.
    Listens on `path` if given, else on a free TCP port, `port`.
    """

    def __init__(self, target: Path | tuple[str, int], path: Path | None = None) -> None:
        self._target = target
        self._path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        self.refusing = False
        self.connections = 0

    async def __aenter__(self) -> Self:
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._connected, self._path)
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, without good-bye."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        there: Any = (
            asyncio.open_unix_connection(self._target)
            if isinstance(self._target, Path)
            else asyncio.open_connection(*self._target)
        )
        far_reader, far_writer = await there
        self._writers |= {writer, far_writer}
        for work in (self._pass(reader, far_writer, False), self._pass(far_reader, writer, True)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if back and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
