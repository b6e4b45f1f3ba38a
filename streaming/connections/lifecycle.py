"""A WebSocket as both dialects share it: admission, limits, statistics, the pump, the end.

A plain ASGI application. Channels' consumers ask a thread to close old database connections for
each message, which would cost more than everything else that happens to one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ClassVar

from django.conf import settings

from sessions_app.access import Decision, decide

from ..monitoring.registry import get_registry
from ..playback.command_parser import message_bytes
from ..playback.commands import Command, CommandError, CommandId, Ping
from ..playback.protocol import MAX_MESSAGE_BYTES, CloseCode, ErrorCode, MessageType
from ..playback.viewer import Viewer
from ..server.flow import CLOSE_WITHIN
from ..statistics.connection import SECOND, ConnectionStatistics
from ..store import catalogue
from ..store.catalogue import SessionInfo
from ..store.frame_store import get_frame_store
from .admission import origin_allowed
from .figures import sample
from .open_connections import open_connections
from .outgoing import Outgoing, TookNothing
from .pump import Pump, Send, bye
from .session_watch import frame_count, session_watch
from .timers import get_wheel

logger = logging.getLogger("streaming.connections.lifecycle")

Receive = Callable[[], Awaitable[dict[str, Any]]]

MAX_HELD = 64
"""Commands kept until a session is ready: a client may say `play` as soon as it is connected."""

FAILED = 1011
"""Close code of a failure of ours, by the WebSocket's own registry."""

BURST_SECONDS = 2.0
"""How many seconds' worth of messages may come at once: a page that was hidden catches up."""


class Connection:
    """One WebSocket. Subclasses are the dialects: they read messages and open the viewer.

    `subprotocol`: what is confirmed in the handshake, or None.
    """

    subprotocol: ClassVar[str | None] = None
    plain: ClassVar[bool] = False

    __slots__ = (
        "__weakref__",
        "_allowance",
        "_allowance_at",
        "_held",
        "_outgoing",
        "_over",
        "_patience",
        "_receive",
        "_scope",
        "_tasks",
        "address",
        "id",
        "info",
        "opened_at",
        "pump",
        "slug",
        "statistics",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send, slug: str) -> None:
        self._scope = scope
        self._receive = receive
        self._outgoing = Outgoing(send, settings.ACK_TIMEOUT)
        self._over = False
        self._patience: asyncio.Timeout | None = None
        self.slug = slug
        self.id = secrets.token_hex(8)
        self.address = (scope.get("client") or ("", 0))[0]
        self.opened_at = time.monotonic()
        self.info: SessionInfo | None = None
        self._tasks: set[asyncio.Task[None]] | None = None
        self._held: list[Command] | None = None
        self._allowance = settings.MESSAGES_PER_SECOND * BURST_SECONDS
        self._allowance_at = self.opened_at
        user = scope.get("user")
        self.statistics = get_registry().open(
            self.id,
            session=slug,
            user=str(user) if getattr(user, "is_authenticated", False) else "",
            address=self.address,
            encoding="rows" if self.plain else "segments",
            dialect=self.subprotocol or "plain",
        )
        self.statistics.on_command = self._operator
        self.statistics.on_sample = self._sample
        self.pump = Pump(
            self._outgoing,
            get_frame_store(),
            self.statistics,
            get_wheel(),
            transport=(scope.get("extensions") or {}).get("replay.transport"),
            plain=self.plain,
        )

    # For dialects ---------------------------------------------------------------------------

    async def opened(self, info: SessionInfo) -> None:
        """The client is admitted. info: of the session as it is now."""
        raise NotImplementedError

    async def message(self, text: str | bytes) -> None:
        """A message arrived. Raises: CommandError, which the client is told."""
        raise NotImplementedError

    def session_changed(self, info: SessionInfo) -> None:
        """The session is still being imported, or live, and is now as `info` says."""
        raise NotImplementedError

    async def closed(self) -> None:
        """The socket has closed."""

    def execute(self, viewer: Viewer, command: Command) -> None:
        """Carry out a command that changes the viewer. Raises: CommandError, nothing changed."""
        raise NotImplementedError

    def hold(self, command: Command) -> None:
        """Keep a command that came before there are frames. Raises: CommandError if too many."""
        held = self._held = self._held or []
        if len(held) >= MAX_HELD:
            raise CommandError(
                ErrorCode.NOT_READY,
                f"{MAX_HELD} commands wait for the session's frames already: wait too",
                command.id,
            )
        held.append(command)

    def carry_out(self, viewer: Viewer, command: Command) -> None:
        """`execute`, and have the pump look. Raises: CommandError with the command's id."""
        # Before as well: the end that was reached meanwhile is over with a seek.
        self.note_status(viewer)
        try:
            self.execute(viewer, command)
        except CommandError as error:
            error.id = command.id
            raise
        self.note_status(viewer)
        self.pump.wake()

    def note_status(self, viewer: Viewer) -> None:
        """Tell the statistics what the viewer does from now on: a pause is no long interval."""
        self.statistics.status = viewer.status(time.monotonic()).value

    def carry_out_held(self, viewer: Viewer) -> None:
        """What was said before the frames came, in order; errors are told one by one."""
        self.note_status(viewer)
        held, self._held = self._held or (), None
        for command in held:
            try:
                self.carry_out(viewer, command)
            except CommandError as error:
                self.say_error(error.code, error.message, error.id)

    def farewell(self) -> dict[str, Any]:
        """What `bye` tells beside reason and `retry_after`."""
        return {}

    @property
    def viewer(self) -> Viewer | None:
        """The viewer, once frames may flow."""
        return self.pump.viewer

    @property
    def elapsed(self) -> float:
        """Seconds since the connection was opened."""
        return round(time.monotonic() - self.opened_at, 3)

    def watch(self) -> None:
        """Have `session_changed` called from now on."""
        session_watch().add(self.slug, self)

    def unwatch(self) -> None:
        session_watch().remove(self.slug, self)

    def session_grew(self, viewer: Viewer, info: SessionInfo) -> None:
        """A live session has more frames now, or its last, or is stored in a file by now."""
        if self.pump.info is not None and info.version != self.pump.info.version:
            again = bye("the session was stored anew", 1.0, **self.farewell())
            self.pump.close(CloseCode.RESTARTING, again)
            return
        viewer.extend(frame_count(info), time.monotonic(), live=info.is_live)
        if not info.is_live:
            self.unwatch()
        self.pump.wake()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside receiving; it ends with the connection. Failures are logged."""
        tasks = self._tasks = self._tasks or set()
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("connection %s", self.id, exc_info=error)
            self.pump.close(CloseCode.RESTARTING, bye("an internal error", 5.0))

    # The connection's life ------------------------------------------------------------------

    async def run(self) -> None:
        """From the handshake to the end."""
        sending = asyncio.get_running_loop().create_task(self._send_all())
        code = int(CloseCode.DONE)
        try:
            await self._admit()
            code = await self._receive_all()
        finally:
            started_ns = time.monotonic_ns()
            open_connections().remove(self)
            self.unwatch()
            try:
                await self.closed()
            finally:
                sending.cancel()
                for task in self._tasks or ():
                    task.cancel()
                self.pump.viewer = None
                now_ns = time.monotonic_ns()
                self.statistics.disconnect.record(now_ns - started_ns, now_ns)
                closing = self.pump.closing
                get_registry().close(
                    self.id,
                    "client" if closing is None else f"server: {closing.meaning}",
                    code if closing is None else int(closing),
                )

    def restart(self, retry_after: float) -> None:
        """Tell the client to come back, to this worker's successor, and close."""
        self.pump.close(CloseCode.RESTARTING, bye("restarting", retry_after, **self.farewell()))

    async def _send_all(self) -> None:
        """The pump, whose end or failure must not leave a silent socket behind."""
        code: int = CloseCode.DONE
        try:
            await self.pump.run()
        except TookNothing:
            self.pump.close(CloseCode.SLOW, bye("the socket took nothing for too long"))
        except OSError:
            # The client has gone, as whoever receives is told as well.
            return
        except Exception:
            logger.exception("connection %s: sending failed", self.id)
            code = FAILED
        await self._outgoing.close(self.pump.closing or code, self.pump.last_words())
        self._over = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + CLOSE_WITHIN)

    async def _admit(self) -> None:
        started_ns = time.monotonic_ns()
        connections = open_connections()
        if connections.draining:
            self.restart(1.0)
            return
        if problem := connections.full_for(
            self.address, settings.MAX_CONNECTIONS, settings.MAX_CONNECTIONS_PER_ADDRESS
        ):
            self.pump.close(CloseCode.TOO_MANY, bye(problem, 5.0))
            return
        connections.add(self)
        if not origin_allowed(self._scope):
            self.pump.close(CloseCode.NOT_YOURS, bye("this page's origin may not connect"))
            return
        info = await catalogue.find(self.slug)
        if info is None:
            self.pump.close(CloseCode.NO_SUCH_SESSION, bye(f"no session {self.slug!r}"))
            return
        user = self._scope.get("user")
        decision = decide(
            info.access,
            authenticated=bool(getattr(user, "is_authenticated", False)),
            staff=bool(getattr(user, "is_staff", False)),
        )
        if decision is Decision.LOGIN_REQUIRED:
            self.pump.close(CloseCode.LOG_IN, bye("log in to watch this session"))
            return
        if decision is Decision.FORBIDDEN:
            self.pump.close(CloseCode.NOT_YOURS, bye("this session is for staff"))
            return
        self.info = info
        if info.state not in ("ready",):
            self.watch()
        await self.opened(info)
        now_ns = time.monotonic_ns()
        self.statistics.connect.record(now_ns - started_ns, now_ns)

    async def _receive_all(self) -> int:
        """Handle messages until the socket closes, or until it should have. Returns: the code."""
        patience = asyncio.timeout(CLOSE_WITHIN if self._over else None)
        try:
            async with patience:
                self._patience = patience
                return await self._receive_each()
        except TimeoutError:
            if not patience.expired():
                raise
            return int(CloseCode.DONE)
        finally:
            self._patience = None

    async def _receive_each(self) -> int:
        while True:
            event = await self._receive()
            kind = event["type"]
            if kind == "websocket.disconnect":
                return int(event.get("code") or CloseCode.DONE)
            if kind != "websocket.receive" or self.pump.closing is not None:
                continue
            started_ns = time.monotonic_ns()
            text = event.get("text")
            if text is None:
                text = event.get("bytes") or b""
            size = message_bytes(text)
            if size > MAX_MESSAGE_BYTES:
                self.pump.close(CloseCode.TOO_LARGE, bye("a message of more than 64 kB"))
                continue
            if not self._allow(started_ns):
                limit = settings.MESSAGES_PER_SECOND
                self.pump.close(CloseCode.TOO_MANY, bye(f"more than {limit} messages/s", 5.0))
                continue
            try:
                await self.message(text)
            except CommandError as error:
                self.say_error(error.code, error.message, error.id)
            self.statistics.received(size, started_ns, time.monotonic_ns())

    def say_error(self, code: ErrorCode, message: str, id: CommandId = None) -> None:
        """Send an `error`; the connection goes on."""
        answer = {"type": MessageType.ERROR.value, "code": code.value, "message": message}
        self.pump.say(answer if id is None else {**answer, "id": id})

    def _allow(self, now_ns: int) -> bool:
        """Take one message from the allowance, which grows with time up to a burst."""
        now = now_ns / SECOND
        rate = settings.MESSAGES_PER_SECOND
        allowance = self._allowance + (now - self._allowance_at) * rate
        self._allowance_at = now
        self._allowance = min(allowance, rate * BURST_SECONDS) - 1.0
        return self._allowance >= 0.0

    # Statistics -----------------------------------------------------------------------------

    def _operator(self, name: str, **args: Any) -> None:
        """An operator's command from the admin. Raises: ValueError for an unknown one."""
        viewer, now = self.viewer, time.monotonic()
        if name == "disconnect":
            code = CloseCode(args.get("code", CloseCode.DONE))
            self.pump.close(code, bye(args.get("reason") or "closed by an operator"))
        elif viewer is None:
            raise ValueError(f"connection {self.id} has no viewer yet")
        elif name == "pause":
            viewer.pause(now)
        elif name == "keyframe":
            viewer.refresh(now)
        else:
            raise ValueError(f"unknown command {name!r}: expected disconnect, pause or keyframe")
        if viewer is not None:
            self.note_status(viewer)
        self.pump.wake()

    def client_reported(self, ping: Ping) -> None:
        """What a client says of itself, for the operator."""
        self.statistics.hidden = ping.hidden
        if ping.buffer is not None:
            self.statistics.client_buffer_s = ping.buffer
        if ping.round_trip is not None:
            self.statistics.round_trip(int(ping.round_trip * 1_000_000))

    def _sample(self, statistics: ConnectionStatistics, now_ns: int) -> None:
        transport = (self._scope.get("extensions") or {}).get("replay.transport")
        if transport is not None:
            statistics.pending_bytes = transport.pending_bytes
        if self.viewer is not None:
            sample(statistics, self.viewer, now_ns)
