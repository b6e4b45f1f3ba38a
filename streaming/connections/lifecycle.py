"""One WebSocket connection, common to both dialects: admission, statistics, pump, closing.

Theory of operation
===================

A connection is made when its WebSocket has been accepted (`streaming/consumers.py`), and lives in
`run`. Two tasks carry it, and neither waits for the other:

- The *receiving* task is the one that the server started. It admits the client, then handles one
  message after another: a handler changes the viewer, puts control messages into the pump's outbox
  and wakes the pump. It does not send.
- The *sending* task is the pump (`pump.py`), which asks the viewer what is due and sends it.

What takes longer than a handler may (reading metadata from the database, opening a recording that
has just become ready) is done in further tasks, made with `spawn`. All of them belong to one
`asyncio.TaskGroup`.

A connection ends in one of two ways, and both end in `run`:

- *The client closes.* The server passes `websocket.disconnect` on, or cancels the receiving task.
The
  dialect leaves its room and stores its playhead (`closed`), then the other tasks are cancelled.
- *We close.* A handler calls `pump.close` with a code. The sending task ends its loop,
  sends what is in the outbox, `bye` and the close frame, each within `CLOSE_WITHIN` seconds. From
  then on the client has `CLOSE_WITHIN` seconds to answer; after that the receiving task waits for
  it no longer, and the end is the same as above.

Invariants:

1. A connection is in the registry from `__init__` until the last line of `run`, whatever happens
   between. Its statistics close once, with one code.
2. It is in `OpenConnections` from its admission until it has ended; a refused one is in it or not,
   and is removed all the same.
3. Only the pump sends after the handshake. So control messages leave in the order in which they
   were enqueued, and no handler waits for a socket.
4. Closing is decided once: the first call of `pump.close` wins. Messages that arrive afterwards are
   read and dropped, because a socket that is closed over unread bytes is reset, and the client
   would not see the code.
5. `closed` runs once, before the sending task is cancelled and while the viewer is still there.
6. When `run` returns, no task of this connection is left, and nothing that outlives it (watch,
   rooms, registry, wheel) refers to it.
7. A failure in a handler ends the connection with 1011. A failure in the sending task
   or in a spawned one closes it with a code, and is logged with the connection's id.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, ClassVar

from sessions_app.access import ANONYMOUS, Action
from sessions_app.rates import TokenBucket

from ..playback.command_parser import message_bytes
from ..playback.commands import Command, CommandError, CommandId, Ping
from ..playback.protocol import (
    MAX_MESSAGE_BYTES,
    CloseCode,
    ErrorCode,
    MessageType,
    Status,
)
from ..playback.viewer import Viewer
from ..server.flow import CLOSE_WITHIN
from ..statistics.connection import SECOND, ConnectionStatistics
from ..store.catalogue import SessionInfo
from .admission import Refused
from .figures import sample
from .operator_commands import operate
from .outgoing import Outgoing, SendTimeout
from .pump import Pump, Send, bye
from .services import Services

logger = logging.getLogger("streaming.connections.lifecycle")

Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Dispatch = Callable[[dict[str, Any]], Awaitable[None]]

MAX_HELD = 64
"""Commands kept until a session is ready: a client may send `play` as soon as it is connected."""

BURST_SECONDS = 2.0
"""How many seconds' worth of messages may come at once: a page that was hidden catches up."""


class Connection:
    """One WebSocket. Subclasses are the dialects: they read messages and open the viewer.

    Attributes:
        action: what the rule of access is asked for, again every few seconds.
        subprotocol: what is confirmed in the handshake, or None.
        plain: whether rows go out bare (the plain dialect).
        id: random; names the connection in statistics, logs and resume tokens.
        address: the client's IP address.
        slug: of the session that was asked for.
        visitor: who watches; anonymous before admission.
        info: the session, as it was when it last changed; None before admission.
        opened_at: monotonic seconds.
        statistics: the connection's figures.
        pump: what sends.
    """

    subprotocol: ClassVar[str | None] = None
    action: ClassVar[Action] = Action.WATCH
    plain: ClassVar[bool] = False

    __slots__ = (
        "__weakref__",
        "_allowance",
        "_closed_with",
        "_deadline",
        "_held",
        "_outgoing",
        "_over",
        "_running",
        "_scope",
        "_services",
        "_tasks",
        "address",
        "id",
        "info",
        "opened_at",
        "pump",
        "slug",
        "statistics",
        "visitor",
    )

    def __init__(self, services: Services, scope: Mapping[str, Any], send: Send, slug: str) -> None:
        """Make a connection; it begins with `run`.

        Args:
            services: of the worker that it is on.
            scope: ASGI's.
            send: ASGI's; the WebSocket has been accepted.
            slug: of the session that is asked for.
        """
        limits = services.admission.limits
        self._services = services
        self._scope = scope
        self._outgoing = Outgoing(send, limits.ack_timeout)
        self._over = False
        self._deadline: asyncio.Timeout | None = None
        self._closed_with: int | None = None
        self.slug = slug
        self.id = secrets.token_hex(8)
        self.address = (scope.get("client") or ("", 0))[0]
        self.opened_at = time.monotonic()
        self.info: SessionInfo | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._held: list[Command] | None = None
        rate = limits.messages_per_second
        self._allowance = TokenBucket(rate, rate * BURST_SECONDS, self.opened_at)
        self.visitor = ANONYMOUS
        self.statistics = services.registry.open(
            self.id,
            session=slug,
            user="",
            address=self.address,
            encoding="rows" if self.plain else "segments",
            dialect=self.subprotocol or "plain",
        )
        self.statistics.on_command = partial(operate, self)
        self.statistics.on_sample = self._sample
        self.pump = Pump(
            self._outgoing,
            services.frames,
            self.statistics,
            services.wheel,
            transport=(scope.get("extensions") or {}).get("replay.transport"),
            plain=self.plain,
        )

    # For dialects ---------------------------------------------------------------------------

    async def opened(self, info: SessionInfo) -> None:
        """The client is admitted. info: of the session as it is now."""
        raise NotImplementedError

    async def message(self, text: str | bytes) -> None:
        """Handle a message. Raises: CommandError, which is sent to the client as `error`."""
        raise NotImplementedError

    def not_admitted(self, reason: str) -> None:
        """The client is refused; the socket closes next. reason: in words."""

    def session_changed(self, info: SessionInfo) -> None:
        """A session that is being imported or live has changed. info: its present state."""
        raise NotImplementedError

    def event_came(self, message: dict[str, Any]) -> None:
        """A live session's producer told of an event: sent now where its frame has been shown, else
        when the playhead passes it."""
        viewer, events = self.viewer, self.pump.events
        if viewer is None or events is None:
            return
        if viewer.status(time.monotonic()) is Status.LIVE:
            here = viewer.timeline.frame(time.monotonic())
            if message["frame"] <= here:
                self.pump.enqueue(message)
        events.add(message)
        self.pump.wake()

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

    def apply(self, viewer: Viewer, command: Command) -> None:
        """Execute a command and wake the pump. Raises: CommandError with the command's id."""
        # Noted before as well: an end that was reached meanwhile would be hidden by a seek.
        self.note_status(viewer)
        try:
            self.execute(viewer, command)
        except CommandError as error:
            error.id = command.id
            raise
        self.note_status(viewer)
        self.pump.wake()

    def note_status(self, viewer: Viewer) -> None:
        """Set the status in the statistics, so that a pause does not count as a long interval."""
        self.statistics.status = viewer.status(time.monotonic()).value

    def apply_held(self, viewer: Viewer) -> None:
        """Apply the held commands in order; each error is sent by itself."""
        self.note_status(viewer)
        held, self._held = self._held or (), None
        for command in held:
            try:
                self.apply(viewer, command)
            except CommandError as error:
                self.enqueue_error(error.code, error.message, error.id)

    def bye_fields(self) -> dict[str, Any]:
        """Fields of `bye` besides `reason` and `retry_after`."""
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
        self._services.watch.add(self.slug, self)

    def unwatch(self) -> None:
        self._services.watch.remove(self.slug, self)

    def session_grew(self, viewer: Viewer, info: SessionInfo) -> None:
        """A live session has more frames, has ended, or has been stored in a file."""
        if self.pump.info is not None and info.version != self.pump.info.version:
            again = bye("the session was stored anew", 1.0, **self.bye_fields())
            self.pump.close(CloseCode.RESTARTING, again)
            return
        viewer.extend(self._services.frames.frame_count(info), time.monotonic(), live=info.is_live)
        if not info.is_live:
            self.unwatch()
        self.pump.wake()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task beside receiving; it is cancelled when the connection ends."""
        self._start(self._run_spawned(work))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "spawned before `run`"
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run_spawned(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            logger.exception("connection %s", self.id)
            self.pump.close(CloseCode.RESTARTING, bye("an internal error", 5.0))

    # The connection's life ------------------------------------------------------------------

    async def run(self, receive: Receive, dispatch: Dispatch) -> None:
        """From the handshake to the end; see the theory of operation above.

        Args:
            receive: ASGI's.
            dispatch: called with each event; passes it on to `receive_message` or `disconnected`.
        """
        ended_ns = time.monotonic_ns()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._start(self._send_all())
                try:
                    await self._admit()
                    await self._receive_all(receive, dispatch)
                finally:
                    ended_ns = time.monotonic_ns()
                    self._services.connections.remove(self)
                    self.unwatch()
                    await self.closed()
                # The socket has closed. An exception would end the group too, but it and its
                # traceback would keep the whole connection until the garbage collector comes.
                for task in [*self._running]:
                    task.cancel()
        finally:
            self._tasks = None
            self.pump.viewer = None
            now_ns = time.monotonic_ns()
            self.statistics.disconnect.record(now_ns - ended_ns, now_ns)
            closing = self.pump.closing
            self._services.registry.close(
                self.id,
                "client" if closing is None else f"server: {closing.meaning}",
                self._closed_with or CloseCode.DONE if closing is None else int(closing),
            )

    async def receive_message(self, text: str | bytes) -> None:
        """A message arrived: bound it, count it, have the dialect handle it."""
        if self.pump.closing is not None:
            return
        started_ns = time.monotonic_ns()
        size = message_bytes(text)
        if size > MAX_MESSAGE_BYTES:
            self._services.registry.refused("message_bytes")
            self.pump.close(CloseCode.TOO_LARGE, bye("a message of more than 64 kB"))
            return
        now = started_ns / SECOND
        if not self._allowance.take(now):
            limit, reason = "messages", f"more than {self._allowance.rate} messages/s"
        else:
            limit, reason = self._services.connections.message_from(self, now)
        if limit:
            self._services.registry.refused(limit)
            self.pump.close(CloseCode.TOO_MANY, bye(reason, 5.0))
            return
        try:
            await self.message(text)
        except CommandError as error:
            self.enqueue_error(error.code, error.message, error.id)
        self.statistics.received(size, started_ns, time.monotonic_ns())

    def disconnected(self, code: int | None) -> None:
        """The socket has closed. code: the close frame's, None if there was none."""
        self._closed_with = code or int(CloseCode.DONE)

    def restart(self, retry_after: float) -> None:
        """Close with a `bye` that asks the client to connect again in `retry_after` seconds."""
        self.pump.close(CloseCode.RESTARTING, bye("restarting", retry_after, **self.bye_fields()))

    @property
    def version(self) -> str | None:
        """Of the finished recording that is played; None if none is."""
        info = self.pump.info
        return info.version if info is not None and info.is_ready else None

    def revoke(self, code: CloseCode, reason: str) -> None:
        """The right to watch has ended."""
        self.pump.close(code, bye(reason))

    def replaced(self) -> None:
        """The session was imported again."""
        self.pump.close_stale()

    async def _send_all(self) -> None:
        """Run the pump, then close the socket, also if the pump fails."""
        code: int = CloseCode.DONE
        try:
            await self.pump.run()
        except SendTimeout:
            self.pump.close(CloseCode.SLOW, bye("the socket took nothing for too long"))
        except OSError:
            # The client has disconnected; the receiving task gets that event as well.
            return
        except Exception:
            logger.exception("connection %s: sending failed", self.id)
            code = CloseCode.FAILED
        await self._outgoing.close(self.pump.closing or code, self.pump.drain_outbox())
        self._over = True
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + CLOSE_WITHIN)

    async def _admit(self) -> None:
        started_ns = time.monotonic_ns()
        try:
            info, visitor = await self._services.admission.admit(self, self._scope, self.slug)
        except Refused as refused:
            if refused.limit:
                self._services.registry.refused(refused.limit)
            self.not_admitted(refused.reason)
            self.pump.close(refused.code, bye(refused.reason, refused.retry_after))
            return
        self.info, self.visitor = info, visitor
        self.statistics.about["user"] = visitor.name
        if not info.is_ready:
            self.watch()
        await self.opened(info)
        now_ns = time.monotonic_ns()
        self.statistics.connect.record(now_ns - started_ns, now_ns)

    async def _receive_all(self, receive: Receive, dispatch: Dispatch) -> None:
        """Dispatch events until the socket closes, or until it should have."""
        deadline = asyncio.timeout(CLOSE_WITHIN if self._over else None)
        try:
            async with deadline:
                self._deadline = deadline
                while self._closed_with is None:
                    await dispatch(await receive())
        except TimeoutError:
            if not deadline.expired():
                raise
        finally:
            self._deadline = None

    def enqueue_error(self, code: ErrorCode, message: str, id: CommandId = None) -> None:
        """Send an `error`; the connection goes on."""
        answer = {"type": MessageType.ERROR.value, "code": code.value, "message": message}
        self.pump.enqueue(answer if id is None else {**answer, "id": id})

    # Statistics -----------------------------------------------------------------------------

    def client_reported(self, ping: Ping) -> None:
        """Keep the client's own figures for the operator."""
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
