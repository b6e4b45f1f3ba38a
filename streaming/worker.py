"""Everything that a worker process has one of.

A process that serves has one `Worker`, made when it starts, and hands it down: to
consumers and views in the ASGI scope (`WithWorker`, `worker_of`), to everything below as an
argument. No module keeps state. Tests make their own, or the piece that they need.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from channels.layers import get_channel_layer
from django.conf import LazySettings
from django.http import HttpRequest

from sessions_app.credentials import Credentials

from .connections.admission import Admission, ConnectionLimits
from .connections.dialects.event_messages import read_event_messages
from .connections.dialects.plain_metadata import read_plain_metadata
from .connections.drain import drain
from .connections.open_connections import OpenConnections
from .connections.renewals import Renewals
from .connections.resume import ResumeMemory
from .connections.rights import RightsReview
from .connections.session_watch import SessionWatch
from .connections.timers import TimerWheel
from .live.exchange import Exchange
from .live.hub import IDLE_SECONDS, LiveHub
from .monitoring.board import Board, BoardReader, MemoryBoard, RedisBoard, RedisReader
from .monitoring.reader import Reader
from .monitoring.registry import Registry
from .redis.clients import RedisClients
from .rooms.hub import RoomHub
from .rooms.store import LocalRooms, RedisRooms, RoomStore
from .statistics.connection import WARM_UP
from .store.catalogue import Catalogue
from .store.export_makers import ExportMakers
from .store.frame_store import FrameStore
from .store.shared_cache import SharedCache

WORKER = "replay.worker"
"""Where it stands in an ASGI scope (and, for Django's test client, in a WSGI environment)."""

SESSIONS_KEPT = 64
"""Sessions whose event messages and plain metadata are kept: some 100 kB each."""

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Worker:
    """What one process has one of. Belongs to one event loop; making it needs none yet.

    Attributes:
        redis: opens all clients of Redis; None where there is one worker only.
        catalogue: what is known of sessions, at most a second old.
        frames: the frame store: segments and rows from memory, Redis, recordings.
        admission: who may connect, and the limits.
        connections: the open WebSockets.
        credentials: tokens and links, at most two seconds old.
        rights: checks periodically who may still watch.
        wheel: wakes the pumps.
        watch: notifies connections of changes of unfinished sessions.
        live: the live sessions that producers send to this worker, or that its viewers watch.
        renewals: gives lasting connections fresh resume tokens.
        resume: where viewers were.
        rooms: shared timelines.
        registry: the connections' figures, on their way to the board.
        reader: all workers' figures, for pages, REST, metrics and commands; blocks.
        exports: sessions that are being made into files of other formats.
        read_event_messages: (slug, version) → `event` messages, kept for the sessions used last.
        read_plain_metadata: (slug, version) → the plain dialect's metadata, kept likewise.
    """

    def __init__(
        self,
        *,
        redis_url: str = "",
        name: str = "",
        limits: ConnectionLimits | None = None,
        connections: OpenConnections | None = None,
        catalogue: Catalogue | None = None,
        frame_store_bytes: int = 64_000_000,
        share_frames: bool = True,
        statistics: bool = True,
        warm_up: int = WARM_UP,
        channel_layer: Any = None,
        recordings: Path | None = None,
        live_idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """
        Args:
            redis_url: of the Redis that all workers share; "" for a single worker.
            name: of this worker, unique among those that share it; host and process by default.
            limits: of connections and messages.
            connections: none yet, with the limits of an address, session, user and token.
            catalogue: of sessions; the database's by default.
            frame_store_bytes: bound of the frames in memory.
            share_frames: whether made frames are offered to the other workers.
            statistics: whether callbacks are counted and published.
            warm_up: calls of each callback that are not counted.
            channel_layer: over which workers send each other the states of rooms; None for none.
            recordings: the recordings folder, below which live sessions are written.
            live_idle_seconds: after which a live session whose producer does not come back is
                stored.
        """
        self.redis = RedisClients(redis_url) if redis_url else None
        redis = self.redis
        self.catalogue = catalogue or Catalogue()
        self.frames = FrameStore(
            memory_bytes=frame_store_bytes,
            catalogue=self.catalogue,
            shared=SharedCache(redis) if redis is not None and share_frames else None,
        )
        self.connections = OpenConnections() if connections is None else connections
        self.credentials = Credentials()
        self.admission = Admission(
            limits or ConnectionLimits(), self.connections, self.catalogue, self.credentials
        )
        self.rights = RightsReview(self.connections)
        self.wheel = TimerWheel()
        self.watch = SessionWatch(self.catalogue, self.frames)
        name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.live = LiveHub(
            self.frames,
            self.catalogue,
            recordings or Path("recordings"),
            exchange=None if redis is None else Exchange(redis, name),
            idle_seconds=live_idle_seconds,
        )
        self.live.watched = self.watch.watched
        self.frames.open_live = self.live.follow
        self.live.grew = self.watch.grew
        self.live.happened = self.watch.happened
        self.renewals = Renewals()
        self.resume = ResumeMemory(redis)
        room_store: RoomStore = LocalRooms() if redis is None else RedisRooms(redis)
        self.rooms = RoomHub(room_store, channel_layer)
        memory = MemoryBoard()
        board: Board = memory if redis is None else RedisBoard(redis)
        board_reader: BoardReader = memory if redis is None else RedisReader(redis)
        self.registry = Registry(
            name,
            board,
            warm_up=warm_up,
            enabled=statistics,
            store_statistics=self.frames.stats,
        )
        self.registry.producers = self.live.figures
        self.reader = Reader(board_reader)
        self.exports = ExportMakers()
        self.read_event_messages: Callable[[str, str], Sequence[dict[str, Any]]] = lru_cache(
            SESSIONS_KEPT
        )(read_event_messages)
        self.read_plain_metadata: Callable[[str, str], dict[str, Any]] = lru_cache(SESSIONS_KEPT)(
            read_plain_metadata
        )
        self._reviewing: asyncio.Task[None] | None = None
        self._started = False

    @classmethod
    def from_settings(cls, settings: LazySettings) -> Worker:
        """The worker that Django's settings describe."""
        return cls(
            redis_url=settings.REDIS_URL,
            limits=ConnectionLimits(
                connections=settings.MAX_CONNECTIONS,
                messages_per_second=settings.MESSAGES_PER_SECOND,
                ack_timeout=settings.ACK_TIMEOUT,
            ),
            connections=OpenConnections(
                per_address=settings.MAX_CONNECTIONS_PER_ADDRESS,
                per_session=settings.MAX_CONNECTIONS_PER_SESSION,
                per_user=settings.MAX_CONNECTIONS_PER_USER,
                per_token=settings.MAX_CONNECTIONS_PER_TOKEN,
                messages_per_second=settings.MESSAGES_PER_SECOND_TOGETHER,
            ),
            frame_store_bytes=settings.FRAME_STORE_BYTES,
            share_frames=settings.FRAME_STORE_SHARED,
            statistics=settings.STATISTICS,
            warm_up=settings.STATISTICS_WARM_UP,
            channel_layer=get_channel_layer(),
            recordings=settings.RECORDINGS_DIR,
            live_idle_seconds=settings.LIVE_IDLE_SECONDS,
        )

    @property
    def draining(self) -> bool:
        """Whether it takes no more viewers, because it is about to end."""
        return self.connections.draining

    def start(self) -> None:
        """Begin to work on the running event loop; later calls do nothing."""
        if self._started:
            return
        self._started = True
        self.registry.start()
        self.rooms.start()
        self.live.start()
        self._reviewing = asyncio.get_running_loop().create_task(self.rights.run())
        atexit.register(self.registry.log_final_report)

    async def drain(self) -> None:
        """Take no more viewers, tell those that are here when to come back, and wait for them.

        For SIGTERM, before the server ends. Afterwards this worker is not on the board any more.
        """
        await drain(self.connections)
        await self.live.close()
        await self.registry.stop()

    async def close(self) -> None:
        """End its tasks and release Redis, files and threads. It cannot be used afterwards."""
        if self._started:
            if self._reviewing is not None:
                self._reviewing.cancel()
            await self.registry.stop()
            await self.rooms.stop()
        atexit.unregister(self.registry.log_final_report)
        await self.exports.close()
        await self.resume.close()
        await self.live.close()
        await self.frames.close()
        if self.redis is not None:
            await self.redis.close()


class WithWorker:
    """ASGI application that hands a worker down in the scope of everything that is served.

    Attributes:
        worker: started by the first scope, if it was not started before.
    """

    def __init__(self, application: Application, worker: Worker) -> None:
        self._application = application
        self.worker = worker

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.worker.start()
        scope[WORKER] = self.worker
        await self._application(scope, receive, send)


def worker_of(request: HttpRequest) -> Worker:
    """The worker that answers `request`. Raises: LookupError if the server did not hand it down."""
    scope = getattr(request, "scope", request.META)
    if WORKER not in scope:
        raise LookupError(
            f"no {WORKER!r} in the request's scope: serve replayproject.asgi.application"
        )
    return cast(Worker, scope[WORKER])
