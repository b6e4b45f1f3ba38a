"""The service's start and end on ASGI servers other than ours, by the lifespan protocol.

Such a server closes its sockets by itself when it is told to end, and viewers would not hear when
to come back. So its signal handlers are called only after the viewers have been told. Ours
(`streaming.server`) does all this itself and opens no lifespan.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from streaming.connections.drain import drain
from streaming.monitoring.registry import get_registry

from . import health

Handler = Callable[[int, FrameType | None], Any]

logger = logging.getLogger("replayproject.lifespan")


class FarewellFirst:
    """Puts what is to be done before the end between the signals and the server's handlers.

    farewell: awaited on the loop at the first signal; a second signal goes straight through.
    """

    def __init__(self, farewell: Callable[[], Awaitable[None]]) -> None:
        self._farewell = farewell
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[int, Handler] = {}
        self._ending: asyncio.Task[None] | None = None
        self._told = False

    def install(self) -> None:
        """Take the signals over; does nothing outside of the main thread, which has none."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            # SIG_DFL and SIG_IGN are not the server's.
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Give them back."""
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
        self._handlers.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._told:
            self._handlers[number](number, frame)
            return
        self._told = True
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._ending = self._loop.create_task(self._end(number, self._handlers[number]))

    async def _end(self, number: int, handler: Handler) -> None:
        try:
            await self._farewell()
        except Exception:
            logger.exception("viewers may not have been told when to come back")
        finally:
            handler(number, None)


async def _tell_viewers() -> None:
    health.start_draining()
    await drain()


async def lifespan(
    _scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application of a server's lifespan."""
    await receive()
    get_registry().start()
    signals = FarewellFirst(_tell_viewers)
    signals.install()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    signals.uninstall()
    await get_registry().stop()
    await send({"type": "lifespan.shutdown.complete"})
